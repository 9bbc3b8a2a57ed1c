# SPDX-License-Identifier: Apache-2.0
"""What each camera is up to: it comes, is silent, frozen, sends rubbish, has a clock of its own."""

from collections.abc import Callable
import math
import zlib

import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from degfusion_ros.imaging.encodings import FrameError
from degfusion_ros.node.health import Health
from degfusion_ros.node.messages import stamp_ns
from degfusion_ros.node.parameters import TABLE
from degfusion_ros.node.settings import Settings
from degfusion_ros.stream.changes import Changes
from degfusion_ros.stream.offsets import offsets_ns
from degfusion_ros.stream.presence import other_of, Presence, STREAMS
from degfusion_ros.stream.skew import SkewMeter
from degfusion_ros.stream.stillness import Stillness

NS = 1_000_000_000
SAMPLES = 4096  # bytes of a frame that tell it from the last: noise is in all of them
RECENT_S = 1.5  # a refusal of this age is still the reason why a stream is silent
BLANK_S = 2.0  # pictures of one value for as long are told
SLOW_S = 2.0  # a camera may be as slow as this and is not called silent
RANGES = {entry.name: entry.range for entry in TABLE}
UNTIMELY = {  # why pairing drops a frame at once -> what to do
    'duplicate': 'the stamp stands still: let the driver set header.stamp anew for each frame',
    'out_of_order': 'the stamps go back: let the driver set header.stamp to the time of capture',
    'reset': "they are from before the other camera's stamps jumped back"}


class Cameras:
    """Both streams as they arrive; used by the executor's thread alone."""

    def __init__(
            self, settings: Settings, health: Health,
            simulated: Callable[[], bool] = lambda: False):
        """`simulated` tells whether the cameras may have no noise: time is simulated, too."""
        self._settings, self._health, self._simulated = settings, health, simulated
        self.presence = Presence(int(settings['sync.lost_after_s'] * NS))
        self._still = {
            name: Stillness(int(settings['sync.frozen_after_s'] * NS)) for name in STREAMS}
        self._frozen = dict.fromkeys(STREAMS, False)
        self._prints: dict[str, int] = {}  # of the samples of each stream's newest frame
        self._untimely: dict[str, tuple[int, str]] = {}  # when, why a frame was dropped at once
        self._changes = Changes()
        self._offset_ns = offsets_ns(settings)
        self._meter = SkewMeter()

    def accept(self, name: str, message: Image | CompressedImage, now_ns: int) -> None:
        """Take note of a frame; raises FrameError for one that is no news or has no time."""
        stamp = stamp_ns(message.header)
        if stamp <= 0:
            raise FrameError('zero_stamp', 'the stamp is 0: let the driver set header.stamp')
        still = self._still[name].frozen(self._fingerprint(name, message), now_ns)
        self._frozen[name] = still and not self._at_rest(name, now_ns)
        if self._frozen[name]:
            after = self._settings['sync.frozen_after_s']
            raise FrameError(
                'frozen', f'the same pixels for more than {after:g} s: restart the driver; a '
                'simulated camera without noise needs sync.frozen_after_s: 0.0')
        self._meter.seen(name, stamp + self._offset_ns[name], now_ns)
        self._changes.seen(name, stamp, now_ns, _kind(message))

    def untimely(self, name: str, cause: str, now_ns: int) -> None:
        """Take note that pairing has dropped a frame at once for its stamp."""
        self._untimely[name] = now_ns, cause

    def rewind(self) -> None:
        """Begin anew after time jumped."""
        self._meter.reset()

    def trouble(self, name: str, now_ns: int) -> tuple[str, str]:
        """Return what ails a stream (missing, frozen, unusable, unfit; '': nothing), in words."""
        cause, text = self._health.last_refusal(name, RECENT_S)
        if cause == 'frozen' and self._frozen[name]:
            return 'frozen', f'{cause}: {text}'
        age_ns = self.presence.age_ns(name, now_ns)
        rate = self._health.rates[name].hz()
        patience_s = min(SLOW_S, 3 / rate) if rate else 0.0
        comes = age_ns is not None and age_ns <= max(
            self.presence.lost_after_ns, patience_s * NS)
        given_up = self._health.given_up(name, self._settings['sync.lost_after_s'])
        if comes and not (cause and given_up):
            return self._misfit(name)
        if cause and cause != 'frozen':
            return 'unusable', f'{cause}: {text}'
        when_ns, cause = self._untimely.get(name, (0, ''))
        if cause and now_ns - when_ns <= max(RECENT_S, patience_s) * NS:
            return 'unusable', (
                f'{cause}: frames come at {rate:.1f} Hz, all are dropped: {UNTIMELY[cause]}')
        return 'missing', ''

    def passing_trouble(self, name: str) -> str:
        """Return in words why frames of a stream, or 'pairs', were dropped, '' if none was."""
        cause, text = self._health.last_refusal(name, RECENT_S)
        told = name if name == 'pairs' else f'{name} frames'
        return cause and f'{told} were dropped a moment ago: {cause}: {text}'

    def blank(self, name: str, now_ns: int) -> str:
        """Return in words that all pictures of a stream are of one value, '' if they are not."""
        since_ns = self._still[name].blank_ns(now_ns)
        if since_ns <= BLANK_S * NS:
            return ''
        return f'{name}: every pixel has one value since {since_ns / NS:.0f} s'

    def changed(self, now_ns: int) -> str:
        """Return in words what the streams have changed all of a sudden, '' for nothing."""
        return self._changes.told(now_ns)

    def alone(self, name: str, now_ns: int) -> bool:
        """Tell whether a stream goes on alone."""
        # what message_filters may match yet is not let go while the other camera sends
        goes_on = (name == self._settings['sync.reference']
                   and self._settings['sync.policy'] == 'nearest')
        return self.presence.alone(name, now_ns) and (
            goes_on or self.presence.silent(other_of(name), now_ns))

    def unpaired(self) -> str:
        """Return in words why frames of both cameras make no pair, with the remedy."""
        if self._settings['sync.policy'] == 'exact':
            told, remedy = 'no two stamps are the same', 'set sync.policy: nearest'
        else:
            told, remedy = 'no two frames are within sync.max_dt_s', 'raise it'
        return f'{told}: ' + (self.clock_trouble() or f'{remedy}, or see dropped.*')

    def clock_trouble(self) -> str:
        """Return in words, with the remedy, that the clocks are apart or part; '' if not."""
        offset_ns, drift, error = self._meter.skew()
        if offset_ns is not None and abs(offset_ns) > self._settings['sync.skew_warn_s'] * NS:
            late, seconds = ('thermal', offset_ns / NS)
            if seconds < 0:
                late, seconds = 'visible', -seconds
            told, name = f'{late} stamps lie {seconds:.3f} s further back', f'sync.offset_{late}_s'
            offset = self._settings[name] + seconds
            if offset > RANGES[name][1]:
                return f'{told}: synchronise the clocks'
            patience = self._patience(late, seconds + 0.05)
            return (
                f'{told}: if its clock does, synchronise it or set {name}: {offset:.3f}'
                + (patience and f'; if its frames take that long, set {patience}'))
        if drift is not None and abs(drift) - 3 * error > self._settings['sync.drift_warn_ppm']:
            minutes = self._settings['sync.max_dt_s'] / abs(drift) * 1e6 / 60
            return (
                f'the clocks of visible and thermal part by {drift:.0f} ppm, which is '
                f'sync.max_dt_s in {minutes:.0f} min: synchronise them (PTP, trigger)')
        return ''

    def values(self, now_ns: int) -> dict[str, str]:
        """Return ages and clocks for the diagnostics."""
        ages = {name: self.presence.age_ns(name, now_ns) for name in STREAMS}
        offset_ns, drift, error = self._meter.skew()
        return {
            **{f'age.{name}_s': 'never came' if age is None else f'{age / NS:.2f}'
               for name, age in ages.items()},
            'clock_offset_ms': 'unknown' if offset_ns is None else f'{offset_ns / 1e6:+.1f}',
            'clock_drift_ppm': 'unknown' if drift is None else f'{drift:+.0f} +- {error:.0f}'}

    def _patience(self, late: str, seconds: float) -> str:
        """Return what lets frames wait for one of `late` so long, '' if nothing does or need be."""
        # the other camera's frames wait until newer ones push them out; only those of the reference
        # of our own pairing wait for a time
        waits = other_of(late)
        needed = {'sync.queue_size': math.ceil(seconds * self._health.rates[waits].hz()) + 1}
        if self._settings['sync.policy'] == 'nearest' and waits == self._settings['sync.reference']:
            needed = {'sync.wait_s': round(seconds, 2)} | needed
        if any(value > RANGES[name][1] for name, value in needed.items()):
            return ''
        return ' and '.join(f'{name}: {value}' for name, value in needed.items()
                            if value > self._settings[name])

    def _misfit(self, name: str) -> tuple[str, str]:
        """Return as `trouble` that the reference goes on without a stream that does not fit it."""
        cause, text = self._health.last_refusal('pairs', RECENT_S)
        if (cause and name != self._settings['sync.reference']
                and self._health.given_up('pairs', self._settings['sync.lost_after_s'])):
            return 'unfit', f'{cause}: {text}'
        return '', ''

    def _at_rest(self, name: str, now_ns: int) -> bool:
        """Tell whether it is a simulated scene that stands still: then it does for both cameras."""
        other = self._still[other_of(name)]
        half_ns = self._settings['sync.frozen_after_s'] * NS / 2
        return self._simulated() and other.stands_ns(now_ns) > half_ns

    def _fingerprint(self, name: str, message: Image | CompressedImage) -> int | None:
        """Return what tells a frame from another, None where all of it is of one value."""
        data = np.frombuffer(message.data, np.uint8)
        if name == 'thermal' and isinstance(message, Image):
            # telemetry rows count frames while the picture stands
            top, bottom = (message.step * self._settings[f'thermal.crop_{side}_px']
                           for side in ('top', 'bottom'))
            data = data[top:max(top, data.size - bottom)]  # what leaves no row is told elsewhere
        # an odd stride walks through all columns
        found = zlib.crc32(data[::max(1, data.size // SAMPLES) | 1].tobytes())
        before, self._prints[name] = self._prints.get(name), found
        if found != before:
            return found
        # a dark picture may have its little noise elsewhere: only all of it tells
        return None if _plain(data, message) else zlib.crc32(data)


def _plain(data: np.ndarray, message: Image | CompressedImage) -> bool:
    """Tell whether all pixels are the same, as by night or saturated: then there is no noise."""
    if not isinstance(message, Image):
        return False
    pixel = message.step // message.width  # bytes; less than a pixel's are added to a row
    rows = data[:data.size // message.step * message.step].reshape(-1, message.step)
    rows = rows[:, :message.width * pixel]
    return bool((rows == np.tile(rows[:1, :pixel], message.width)).all())


def _kind(message: Image | CompressedImage) -> str:
    if isinstance(message, Image):
        return f'{message.width}x{message.height} {message.encoding}'
    return message.format
