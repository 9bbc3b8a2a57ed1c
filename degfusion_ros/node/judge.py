# SPDX-License-Identifier: Apache-2.0
"""The second thread: looks at the newest pair a few times a second, beside the frames' way."""

from collections.abc import Callable
import contextlib
import os
import threading
import time
from typing import NamedTuple

import cv2
import numpy as np
from std_msgs.msg import Header

from degfusion_ros.stream.timing import Rate

SMALLEST_GAP_S = 0.1  # a scene that never stands still is judged no more often than this
LATE_S, LATE = 5.0, 5  # a judgement older than this, and than so many periods, is told
NICE = 10  # how far the judge steps back behind the frames; it still gets a tenth of a full core
THUMBNAIL = (16, 16)


class Sight(NamedTuple):
    """A pair to be judged: what the fuser gets, and the header of the frame it came from."""

    visible: np.ndarray
    thermal: np.ndarray
    header: Header
    missing: str = ''  # whose picture is only a stand-in


class Judge:
    """
    Calls `judge(sight)` in its own thread: every 1/rate_hz s, on request, on a change of scene.

    `rate_hz` and `scene_change` are functions, so that parameters may change meanwhile.
    """

    def __init__(
            self, judge: Callable[[Sight], None], rate_hz: Callable[[], float],
            scene_change: Callable[[], float], on_error: Callable[[Exception], None]):
        self._judge, self._on_error = judge, on_error
        self._rate_hz, self._scene_change = rate_hz, scene_change
        self._newest: Sight | None = None
        self._thumbnails: list[np.ndarray] | None = None  # of the pair judged last
        self._asked = True  # the first pair is judged at once
        self._changed = False
        self._began, self._worked = -1e9, 0.0
        self._finished: float | None = None
        self._offers = Rate()
        self._failure = ''  # of the last judgement, in words
        self._stopped = False
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._run, name='judge', daemon=True)
        self._thread.start()

    def offer(self, visible: np.ndarray, thermal: np.ndarray, header: Header,
              missing: str = '') -> None:
        """Hand over the newest pair (RGB uint8 HxWx3, float32 HxW in 0..1); never waits."""
        changed = self._looks_different(visible, thermal)
        self._offers.tick()
        with self._wake:
            self._newest = Sight(visible, thermal, header, missing)
            self._changed = changed
            self._wake.notify()

    def request(self) -> None:
        """Judge the next pair, whatever the rate says."""
        with self._wake:
            self._newest = None  # the next one: not what is already here
            self._asked = True

    def age_s(self) -> float | None:
        """Return how many seconds ago a judgement last ended, None before the first."""
        return None if self._finished is None else time.monotonic() - self._finished

    def trouble(self) -> str:
        """Return in words that judging fails or does not keep up with its rate, '' if it does."""
        if self._failure:
            return f'judging fails, so labels and restoration stay as they were: {self._failure}'
        rate = min(self._rate_hz(), self._offers.hz())  # no more often than pairs come
        age, offered = self.age_s(), self._offers.span_s()
        waited = offered if age is None else min(age, offered)
        if rate <= 0 or waited <= max(LATE_S, LATE / rate):
            return ''
        return (f'nothing has been judged for {waited:.0f} s: the machine is too slow for '
                f'degradation.rate_hz: {self._rate_hz():g}, lower it or output.size')

    def close(self, timeout_s: float = 5.0) -> bool:
        """
        Stop, after the judgement that is under way; return True if it has ended.

        Waits at most `timeout_s`; the thread is a daemon, so one that hangs keeps no process.
        """
        with self._wake:
            self._stopped = True
            self._wake.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        _step_back()
        while True:
            with self._wake:
                while not self._stopped and (wait := self._seconds_left()) != 0:
                    self._wake.wait(wait)
                if self._stopped:
                    return
                sight, self._newest = self._newest, None
                self._asked = self._changed = False
                self._began = time.monotonic()
            try:
                self._thumbnails = _thumbnails(sight.visible, sight.thermal)
                busy = time.thread_time()
                self._judge(sight)
                self._worked = time.thread_time() - busy  # less its waits for gaps
                self._failure = ''
                self._finished = time.monotonic()
            except Exception as error:  # the next pair may be judged well
                self._failure = ' '.join(f'{type(error).__name__}: {error}'.split())
                self._on_error(error)

    def _seconds_left(self) -> float | None:
        """Return how long until the newest pair is due: 0 for now, None for not before a call."""
        if self._newest is None:
            return None
        if self._asked:
            return 0
        rate = self._rate_hz()
        gap = SMALLEST_GAP_S if self._changed else 1 / rate if rate > 0 else None
        # On a slow machine it rests as long as it worked: most of the time belongs to frames.
        return gap and max(0, self._began + max(gap, 2 * self._worked) - time.monotonic())

    def _looks_different(self, visible: np.ndarray, thermal: np.ndarray) -> bool:
        threshold, before = self._scene_change(), self._thumbnails
        if threshold <= 0 or before is None:
            return False
        now = _thumbnails(visible, thermal)
        return max(np.abs(a - b).mean() for a, b in zip(now, before)) > threshold


def _step_back() -> None:
    """Give this thread, and those it starts, less of the processor than frames get (Linux)."""
    thread = threading.get_native_id()
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(
            os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICE)


def _thumbnails(visible: np.ndarray, thermal: np.ndarray) -> list[np.ndarray]:
    """Return both pictures at 16 x 16 in 0..1, from every fourth pixel: cheap."""
    small = cv2.resize(visible[::4, ::4].copy(), THUMBNAIL, interpolation=cv2.INTER_AREA)
    return [
        small.astype(np.float32) / 255,
        cv2.resize(thermal[::4, ::4].copy(), THUMBNAIL, interpolation=cv2.INTER_AREA)]
