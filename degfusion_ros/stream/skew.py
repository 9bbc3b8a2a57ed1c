# SPDX-License-Identifier: Apache-2.0
"""
How far apart two cameras' clocks are, and how fast they part.

Each stamp lies some delay before its arrival. The least delay in half a second hardly changes
with load, so the difference of the two streams' least delays follows their clocks: its median
is their distance (with the difference of the transports in it, which stamps cannot tell apart),
its slope their drift (transport has none).
"""

from collections import deque
from statistics import median
from typing import NamedTuple

from degfusion_ros.stream.presence import STREAMS

WINDOW_NS = 500_000_000
RECENT = 10  # windows for the distance: five seconds
LONG = 240  # windows for the drift: two minutes
ENOUGH = 20  # windows before a drift is told
JUMP_NS = 1_000_000_000  # a step of this size is another time, not a drift


class Skew(NamedTuple):
    """What is known: thermal against visible, positive where the thermal clock is behind."""

    offset_ns: int | None = None  # what to add to the thermal stamps
    drift_ppm: float | None = None  # by how much that grows
    error_ppm: float | None = None  # standard error of the drift


class SkewMeter:
    """Takes every usable frame's stamp and arrival; not thread-safe."""

    def __init__(self):
        self.reset()

    def reset(self) -> None:
        """Forget everything: the clocks have been set."""
        self._window: int | None = None
        self._least: dict[str, int] = {}
        self._points: deque[tuple[int, int]] = deque(maxlen=LONG)

    def seen(self, stream: str, stamp_ns: int, now_ns: int) -> None:
        """Take a frame's stamp and when it arrived, on any clock that runs evenly."""
        window = now_ns // WINDOW_NS
        if window != self._window:
            self._close()
            self._window = window
        delay = now_ns - stamp_ns
        self._least[stream] = min(delay, self._least.get(stream, delay))

    def skew(self) -> Skew:
        """Return what the last two minutes tell; None for what is not known yet."""
        if len(self._points) < 2:
            return Skew()
        recent = list(self._points)[-RECENT:]
        offset = round(median(gap for _, gap in recent))
        if len(self._points) < ENOUGH:
            return Skew(offset)
        # Theil's slopes between the halves: half of the windows may be wild.
        times, gaps = zip(*self._points)
        half = len(times) // 2
        slope = median((gaps[i + half] - gaps[i]) / (times[i + half] - times[i])
                       for i in range(half))
        middle = median(gap - slope * time for time, gap in self._points)
        scatter = 1.4826 * median(abs(gap - slope * time - middle) for time, gap in self._points)
        error = 5 * scatter / ((times[-1] - times[0]) * len(times) ** 0.5)
        return Skew(offset, slope * 1e6, error * 1e6)

    def _close(self) -> None:
        if len(self._least) == len(STREAMS):
            gap = self._least['thermal'] - self._least['visible']
            if self._points and abs(gap - self._points[-1][1]) > JUMP_NS:
                self._points.clear()
            self._points.append((self._window * WINDOW_NS, gap))
        self._least = {}
