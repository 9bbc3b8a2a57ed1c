# SPDX-License-Identifier: Apache-2.0
"""One stream of stamped frames: what waits, and what its stamps say about frames to come."""

from bisect import insort
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

JUMP_NS = 1_000_000_000  # a stamp this far back is another time, not a late frame
JUMP_RUN = 5  # so are this many ascending stamps in a row behind the newest (a short bag loops)
MEMORY_NS = 10_000_000_000  # a stream that was out of order is trusted again after as long
STRAYS = 1  # as many late frames in that time change nothing
SLACK = 1.25  # the next one may be later than the latest of them
NEVER_NS = 1 << 63  # later than any time
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
        self.refused = ''  # why the newest frame was not let in, '' if it was
        self._capacity = capacity
        self.forget_time()

    def forget_time(self) -> None:
        """Start a new time line."""
        self.newest_ns: int | None = None
        self._last_ns = 0
        self._run = 0
        self._intervals = deque(maxlen=8)
        self._advances = deque(maxlen=32)  # (stamp, arrival) of the frames that were the newest
        self._late = deque(maxlen=64)  # (arrival, how late) of those that came out of order

    def jumped_back(self, stamp_ns: int) -> bool:
        """Return whether this stamp starts another time; call it once for every frame."""
        behind = self.newest_ns is not None and stamp_ns < self.newest_ns
        self._run = self._run + 1 if behind and stamp_ns > self._last_ns else int(behind)
        self._last_ns = stamp_ns
        return behind and (self.newest_ns - stamp_ns > JUMP_NS or self._run >= JUMP_RUN)

    def note(self, stamp_ns: int, now_ns: int) -> None:
        """Learn how far out of order the stream is; call it for every frame of this time."""
        passed = next((arrival for stamp, arrival in self._advances if stamp > stamp_ns), None)
        if passed is not None:
            self._late.append((now_ns, now_ns - passed))
        elif self.newest_ns is None or stamp_ns > self.newest_ns:
            self._advances.append((stamp_ns, now_ns))

    def disorder_ns(self, now_ns: int) -> int:
        """Return for how long after a frame earlier ones may still come: 0 in a tidy stream."""
        while self._late and self._late[0][0] < now_ns - MEMORY_NS:
            self._late.popleft()
        late = [lateness for _, lateness in self._late]
        return int(SLACK * max(late)) if len(late) > STRAYS else 0

    def past_ns(self, stamp_ns: int, now_ns: int) -> int:
        """Return from when on no frame before this stamp is to come, by what is known now."""
        stride = max(1, int(EARLY * (self.period_ns or 0)))
        passed = next((arrival for stamp, arrival in self._advances
                       if stamp + stride >= stamp_ns), None)
        return NEVER_NS if passed is None else passed + self.disorder_ns(now_ns)

    def knows(self, stamp_ns: int) -> bool:
        """Return whether a frame of this stamp waits or is the newest."""
        return stamp_ns == self.newest_ns or any(f.stamp_ns == stamp_ns for f in self.waiting)

    def insert(self, frame: Frame) -> None:
        """Let a frame wait, be there one too many then."""
        if self.newest_ns is None or frame.stamp_ns > self.newest_ns:
            if self.newest_ns is not None:
                self._intervals.append(frame.stamp_ns - self.newest_ns)
            self.newest_ns = frame.stamp_ns
        insort(self.waiting, frame, key=lambda f: f.stamp_ns)

    @property
    def overfull(self) -> bool:
        """Whether more frames wait than may."""
        return len(self.waiting) > self._capacity

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
