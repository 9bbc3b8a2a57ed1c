# SPDX-License-Identifier: Apache-2.0
"""A frame's way through the worker: a pair of messages, or a lonely one, in; pictures out."""

import time
from typing import NamedTuple

import numpy as np
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from degfusion_ros.imaging import encodings, mosaic
from degfusion_ros.imaging.camera_info import cropped_camera_info
from degfusion_ros.imaging.encodings import FrameError
from degfusion_ros.imaging.registration import resized, SMALLEST_SIDE
from degfusion_ros.node.frames import Decoder
from degfusion_ros.node.health import Health
from degfusion_ros.node.judge import Judge
from degfusion_ros.node.lonely import Pictures, StandIn
from degfusion_ros.node.matching import Frame
from degfusion_ros.node.messages import shifted
from degfusion_ros.node.outputs import Outputs
from degfusion_ros.node.settings import Settings
from degfusion_ros.node.verdicts import Verdicts
from degfusion_ros.stream.offsets import to_reference_ns
from degfusion_ros.stream.pairing import Pair, Single
from degfusion_ros.stream.presence import other_of, STREAMS

TOPICS = (('fused', 'fused'), *((name, f'{name}_restored') for name in STREAMS))  # of outputs


class Shot(NamedTuple):
    """What the worker has in hand."""

    pictures: Pictures  # for the network
    header: Header
    came_ns: int  # when its last frame arrived
    shows: str  # which output goes out on the fused topic
    words: str  # for the mosaic
    info: CameraInfo | None  # of the pictures before they got the output's size
    held: tuple[str, float] | None = None  # a partner shown again: its stream and age in ms


class Pipeline:
    """Fuses a pair, or restores a lonely frame, when called; runs in the mailbox's worker."""

    def __init__(
            self, settings: Settings, fuser: object, decoder: Decoder, judge: Judge,
            verdicts: Verdicts, outputs: Outputs, infos: dict[str, CameraInfo], health: Health,
            warm_sizes: set[tuple[int, int]]):
        self._settings, self._fuser, self._decoder = settings, fuser, decoder
        self._judge, self._verdicts = judge, verdicts
        self._outputs, self._infos, self._health = outputs, infos, health
        self._warm_sizes = warm_sizes  # (height, width) the fuser has been warmed up for
        self._stand_in = StandIn()
        self.warming = False
        self._last_mosaic_ns = self._last_stand_in_ns = 0
        self._gone_alone: dict[str, object] = {}  # the last message of each stream that did

    def __call__(self, pair: Pair | Single) -> None:
        """Decode, align, fuse and publish; a frame that cannot be used is counted."""
        stages, began = self._health.stages, time.monotonic_ns()
        frames = self._by_stream(pair)
        came = max(frame.arrived_ns for frame in frames.values())
        stages.record('wait', (began - came) / 1e6)
        with stages.measure('decode'):
            shot = self._take(pair, frames, came)
        if shot is None:
            return
        mosaic_due = self._mosaic_due(began)
        wanted = self._wanted(shot, mosaic_due)
        # The first frame of a size is fused in any case: who listens later shall not wait.
        if not wanted and shot.pictures['visible'].shape[:2] in self._warm_sizes:
            self._health.unheard(shot.held, idle=not self._outputs.listened('mosaic'))
            return
        fusion = self._fuse(shot, wanted or (shot.shows,))
        with stages.measure('publish'):
            self._publish(fusion, shot)
        stages.record('total', (time.monotonic_ns() - came) / 1e6)
        self._health.fused(shot.held)
        if mosaic_due:
            self._last_mosaic_ns = began
            try:
                self._publish_mosaic(fusion, shot)
            except Exception as error:  # the pair itself is out and counted
                if self._outputs.can_publish():  # nothing can be, once ROS has shut down
                    self._health.failed('mosaic_error', error)

    def _by_stream(self, pair: Pair | Single) -> dict[str, Frame]:
        if isinstance(pair, Single):
            return {pair.stream: pair.item}
        reference = self._settings['sync.reference']
        return {reference: pair.reference, other_of(reference): pair.other}

    def _take(self, pair: Pair | Single, frames: dict[str, Frame], came: int) -> Shot | None:
        """Decode; None, and counted, when nothing can be made of it."""
        pictures, errors = {}, {}
        for stream, frame in sorted(frames.items(), reverse=True):  # the visible one first
            try:
                picture = getattr(self._decoder, stream)(frame.message)
                height, width = picture.shape[:2]
                if min(height, width) < SMALLEST_SIDE:  # a compressed one may hide it at the door
                    raise FrameError(
                        'too_small', f'image of {width}x{height} pixels is too small: '
                        f'{SMALLEST_SIDE} a side are needed')
                pictures[stream] = picture
                self._health.usable(stream)
            except FrameError as error:
                errors[stream] = error
        if len(pictures) == len(STREAMS):
            try:
                shot = self._both(pair, frames, pictures, came)
                self._health.usable('pairs')
                return shot
            except FrameError as error:  # they do not fit together
                errors['pairs'] = error
                del pictures[other_of(self._settings['sync.reference'])]
        # a held one may come again with every frame of the other: its stamp goes out once
        again = any(self._gone_alone.get(name) is frames[name].message for name in pictures)
        for what, error in errors.items():
            after_s = self._settings['sync.lost_after_s']
            if not pictures or again or not self._health.given_up(what, after_s):
                self._health.refuse('pairs', what, error)
                return None
            self._health.unusable(what, error)
            self._health.count(f'unusable.{what}.{error.cause}')
        (stream, picture), = pictures.items()
        return self._alone(stream, picture, frames[stream])

    def _both(self, pair: Pair, frames: dict[str, Frame], pictures: Pictures, came: int) -> Shot:
        images = self._decoder.align(**pictures)
        # The stamp is the reference's; the pixels lie on the visible camera's grid.
        header = Header(stamp=pair.reference.header.stamp,
                        frame_id=frames['visible'].header.frame_id)
        self._health.stages.record('delta_t', abs(pair.delta_ns) / 1e6)
        if self._verdicts.lost(()):
            self._judge.request()
        self._stand_in.remember(*images)
        self._judge.offer(*images, header)
        delta_ms = pair.delta_ns / 1e6
        held = (other_of(self._settings['sync.reference']), abs(delta_ms)) if pair.held else None
        return Shot(dict(zip(STREAMS, images)), header, came, 'fused', f'dt {delta_ms:+.1f} ms',
                    self._infos.get('visible'), held)

    def _alone(self, stream: str, picture: np.ndarray, frame: Frame) -> Shot:
        self._gone_alone[stream] = frame.message
        lost, info = other_of(stream), self._infos.get(stream)
        header = shifted(frame.header, to_reference_ns(self._settings, stream))
        if stream == 'thermal' and info is not None:
            info = cropped_camera_info(
                info, picture.shape[0], self._settings['thermal.crop_top_px'],
                self._settings['thermal.crop_bottom_px'])
        picture = resized(picture, self._stand_in.size(
            stream, picture, self._settings['output.size']))
        if self._verdicts.lost((lost,)):
            self._judge.request()
        if self._judge_may_look(frame.arrived_ns):
            self._judge.offer(
                **self._stand_in.for_judge(stream, picture), header=header, missing=lost)
        return Shot(self._stand_in.for_network(stream, picture), header, frame.arrived_ns, stream,
                    f'{lost} missing', info)

    def _judge_may_look(self, now_ns: int) -> bool:
        """Tell whether a stand-in is worth its time: ten a second, or two for each judgement."""
        gap_ns = 0.5e9 / max(5.0, self._settings['degradation.rate_hz'])
        if now_ns - self._last_stand_in_ns < gap_ns:
            return False
        self._last_stand_in_ns = now_ns
        return True

    def _fuse(self, shot: Shot, outputs: tuple[str, ...]) -> object:
        """
        Fuse; the first frame of a new size warms up for the others, for it must not be late.

        All the warming up is done at the first one of all, should none have been done before.
        """
        size = shot.pictures['visible'].shape[:2]
        self.warming = size not in self._warm_sizes
        try:
            with self._health.stages.measure('warm_up' if self.warming else 'fuse'):
                if not self._warm_sizes:  # model.warm_up_size is `first`
                    self._fuser.warm_up(*size)
                fusion = self._fuser.fuse(**shot.pictures, outputs=outputs)
            self._warm_sizes.add(size)
            return fusion
        finally:
            self.warming = False

    def _mosaic_due(self, now_ns: int) -> bool:
        # a tenth early: frames that come at just this rate shall each have theirs
        gap_ns = 0.9e9 / self._settings['output.mosaic_rate_hz']
        return self._outputs.listened('mosaic') and now_ns - self._last_mosaic_ns >= gap_ns

    def _wanted(self, shot: Shot, mosaic_too: bool) -> tuple[str, ...]:
        heard = {name: mosaic_too or self._outputs.listened(topic) for name, topic in TOPICS}
        if shot.shows != 'fused':  # of a stand-in nothing is shown
            return (shot.shows,) if heard['fused'] or heard[shot.shows] else ()
        return tuple(name for name, listened in heard.items() if listened)

    def _publish(self, fusion: object, shot: Shot) -> None:
        colour, main = self._settings['output.colour'], getattr(fusion, shot.shows)
        if main is not None:
            self._outputs.picture(
                'fused', encodings.from_rgb(main, colour), colour, shot.header, shot.info)
        for name, encoding in (('visible', 'rgb8'), ('thermal', 'mono8')):
            restored = getattr(fusion, name)
            if restored is not None and self._outputs.listened(f'{name}_restored'):
                self._outputs.picture(
                    f'{name}_restored', restored, encoding, shot.header, shot.info)

    def _publish_mosaic(self, fusion: object, shot: Shot) -> None:
        labels = self._verdicts.labels
        lines = [f'{name}: {", ".join(labels.get(name, ("not judged yet",)))}'
                 for name in STREAMS]
        lines.append(f'{shot.words}   {(time.monotonic_ns() - shot.came_ns) / 1e6:.0f} ms')
        shown = [shot.pictures[name] if shot.shows in ('fused', name) else None
                 for name in STREAMS]
        with self._health.stages.measure('mosaic'):
            picture = mosaic.compose(
                *shown, getattr(fusion, shot.shows), fusion.visible, fusion.thermal, lines=lines)
            self._outputs.picture('mosaic', picture, 'rgb8', shot.header)
