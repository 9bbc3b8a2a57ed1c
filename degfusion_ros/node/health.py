# SPDX-License-Identifier: Apache-2.0
"""What the node has counted and timed, and complaints that do not flood the log."""

from collections import Counter
import threading
import time

from rclpy.impl.rcutils_logger import RcutilsLogger

from degfusion_ros.imaging.alignment import Misalignment
from degfusion_ros.imaging.encodings import FrameError
from degfusion_ros.stream.timing import Rate, Share, Stages

QUIET_S = 10.0  # the same complaint is not logged more often


class Health:
    """
    Counters, rates and stage times since configure; filled from every thread.

    Keys: received.STREAM, fused, judged, dropped.WHAT.CAUSE, where WHAT is visible or thermal
    for a frame that never became part of a pair, pairs for a pair (or a frame on its own) that
    was not fused; unheard for one not fused because nobody wants a picture of it;
    unusable.WHAT.CAUSE for a frame, or a pair that does not fit together (pairs), of which the
    other camera's frame was shown; mosaic_error, judge_error.
    """

    def __init__(self, logger: RcutilsLogger):
        self.rates = {name: Rate() for name in ('visible', 'thermal', 'fused')}
        self.busy = Share()  # of the pairs, those dropped as newer ones came while one was fused
        self.stages = Stages()
        self.misalignment: Misalignment | None = None  # as last judged, None where unknown
        self.misaligned = False  # by more than the parameter allows
        self.held: tuple[str, float] | None = None  # of what was published last
        self.unheard_s = -1e9  # when last a frame was not fused because nobody wants it
        self.idle = False  # since nobody subscribes to a picture
        self._logger = logger
        self._counts: Counter[str] = Counter()
        self._complained: dict[tuple[str, str], float] = {}
        self._refused: dict[str, tuple[float, str, str]] = {}  # whose -> when, cause, why
        self._failing: dict[str, float] = {}  # whose -> since when, without a good one
        self._lock = threading.Lock()

    def arrived(self, stream: str) -> None:
        """Count a frame that came in."""
        self.rates[stream].tick()
        self.count(f'received.{stream}')

    def fused(self, held: tuple[str, float] | None = None) -> None:
        """Count what was published; held: the stream and age in ms of a held pair's partner."""
        self.held, self.idle = held, False
        self.rates['fused'].tick()
        self.count('fused')

    def unheard(self, held: tuple[str, float] | None, idle: bool) -> None:
        """
        Count what was not fused, for nobody wants a picture of it; held as for fused.

        idle: nobody subscribes to any, not even to a mosaic now and then.
        """
        self.held, self.idle = held, idle
        self.unheard_s = time.monotonic()
        self.count('unheard')

    def refuse(self, what: str, frame: str, error: FrameError) -> None:
        """
        Count and report what cannot be used.

        `what` is lost, a frame of a stream or one of 'pairs', for the sake of `frame`: a stream's
        frame, or 'pairs' where two good ones do not fit together.
        """
        self.count(f'dropped.{what}.{error.cause}')
        self.unusable(frame, error)

    def unusable(self, frame: str, error: FrameError) -> None:
        """Report a frame of a stream that cannot be used, or of 'pairs' one that does not fit."""
        now = time.monotonic()
        with self._lock:
            self._refused[frame] = (now, error.cause, str(error))
            self._failing.setdefault(frame, now)
        told = 'pair' if frame == 'pairs' else f'{frame} frame'
        self.complain(f'{frame} {error.cause}', f'{told} dropped: {error}')

    def last_refusal(self, frame: str, recent_s: float) -> tuple[str, str]:
        """Return cause and words of the last refusal, twice '' without a recent one."""
        with self._lock:
            when, cause, text = self._refused.get(frame, (-recent_s, '', ''))
        return (cause, text) if time.monotonic() - when < recent_s else ('', '')

    def usable(self, frame: str) -> None:
        """Take note that a stream's frame could be decoded, or that one of 'pairs' fits."""
        with self._lock:
            self._failing.pop(frame, None)

    def given_up(self, frame: str, after_s: float) -> bool:
        """Tell whether all of a stream (or all pairs) has been unusable for longer; 0: never."""
        with self._lock:
            since = self._failing.get(frame)
        return since is not None and 0 < after_s < time.monotonic() - since

    def failed(self, cause: str, error: Exception, what: str = '') -> None:
        """Count and report an error that nobody foresaw; `what`, as for refuse, if it cost one."""
        key = f'dropped.{what}.{cause}' if what else cause
        self.count(key)
        text = f'{type(error).__name__}: {error}'
        if what:
            with self._lock:
                self._refused[what] = (time.monotonic(), cause, ' '.join(text.split()))
        where = error.__traceback__
        while where is not None and where.tb_next is not None:
            where = where.tb_next
        line = f' ({where.tb_frame.f_code.co_filename}:{where.tb_lineno})' if where else ''
        self.complain(f'{key} {type(error)}', f'{key}: {text}{line}')

    def complain(self, key: str, text: str) -> None:
        """Log a warning, unless the same `key` complained a moment ago."""
        now = time.monotonic()
        with self._lock:
            if now - self._complained.get(key, -QUIET_S) < QUIET_S:
                return
            self._complained[key] = now
        self._logger.warning(text)

    def count(self, key: str) -> None:
        """Add one to a counter."""
        with self._lock:
            self._counts[key] += 1

    def counts(self) -> dict[str, int]:
        """Return a copy of all counters."""
        with self._lock:
            return dict(self._counts)
