# SPDX-License-Identifier: Apache-2.0
"""One stream of stamped frames: what waits, and what its stamps say about frames to come."""

from bisect import insort
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

JUMP_NS = 1_000_000_000  # a stamp this far back is another time, not a late frame
JUMP_RUN = 5  # so are this many ascending stamps in a row behind the newest (a short bag loops)
EARLY = 0.8  # the next frame comes no earlier than this share of the shortest recent interval


@dataclass(eq=False, slots=True)
class Frame:
    """A waiting frame; `stamp_ns` carries the stream's offset, `header_ns` does not."""

    stamp_ns: int
    header_ns: int
    item: Any
    deadline_ns: int  # on the arrival clock


class Arrivals:
    """The waiting frames of one stream, sorted by stamp, and its counts."""

    def __init__(self, capacity: int):
        self.waiting: list[Frame] = []
        self.received = 0
        self.dropped = Counter()
        self._capacity = capacity
        self.forget_time()

    def forget_time(self) -> None:
        """Start a new time line."""
        self.newest_ns: int | None = None
        self._last_ns = 0
        self._run = 0
        self._intervals = deque(maxlen=8)

    def jumped_back(self, stamp_ns: int) -> bool:
        """Return whether this stamp starts another time; call it once for every frame."""
        behind = self.newest_ns is not None and stamp_ns < self.newest_ns
        self._run = self._run + 1 if behind and stamp_ns > self._last_ns else int(behind)
        self._last_ns = stamp_ns
        return behind and (self.newest_ns - stamp_ns > JUMP_NS or self._run >= JUMP_RUN)

    def knows(self, stamp_ns: int) -> bool:
        """Return whether a frame of this stamp waits or is the newest."""
        return stamp_ns == self.newest_ns or any(f.stamp_ns == stamp_ns for f in self.waiting)

    def insert(self, frame: Frame) -> None:
        """Let a frame wait; above the capacity the oldest is dropped."""
        if self.newest_ns is None or frame.stamp_ns > self.newest_ns:
            if self.newest_ns is not None:
                self._intervals.append(frame.stamp_ns - self.newest_ns)
            self.newest_ns = frame.stamp_ns
        insort(self.waiting, frame, key=lambda f: f.stamp_ns)
        if len(self.waiting) > self._capacity:
            del self.waiting[0]
            self.dropped['overflow'] += 1

    def drop(self, cause: str, which: Callable[[Frame], bool] = lambda frame: True) -> None:
        """Count the waiting frames that `which` picks under `cause` and let go of them."""
        kept = [frame for frame in self.waiting if not which(frame)]
        if len(kept) < len(self.waiting):
            self.dropped[cause] += len(self.waiting) - len(kept)
            self.waiting = kept

    @property
    def period_ns(self) -> int | None:
        """The shortest recent interval between stamps, None while too few are known."""
        return min(self._intervals) if len(self._intervals) >= 3 else None

    @property
    def next_ns(self) -> int | None:
        """The earliest stamp that may still come in order, None before the first frame."""
        if self.newest_ns is None:
            return None
        return self.newest_ns + max(1, int(EARLY * (self.period_ns or 0)))
