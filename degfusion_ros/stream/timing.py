# SPDX-License-Identifier: Apache-2.0
"""Rates and stage times for diagnostics, safe to use from several threads."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
import math
import threading
import time

PAUSE_S = 1.0  # a silence of this length, and of so many mean intervals, ends a series
PAUSE = 4


class Rate:
    """Events per second over a sliding window; after a pause it is measured anew."""

    def __init__(self, window_s: float = 5.0, clock: Callable[[], float] = time.monotonic):
        if window_s <= 0:
            raise ValueError(f'window_s is {window_s}: it must be above 0')
        self._window_s = window_s
        self._clock = clock
        self._times = deque()
        self._first = self._newest = None
        self._lock = threading.Lock()

    def tick(self) -> None:
        """Count one event now."""
        with self._lock:
            now = self._clock()
            self._forget(now)
            if self._first is None or self._paused(now):
                self._first = now
                self._times.clear()
            self._times.append(now)
            self._newest = now

    def hz(self) -> float:
        """Return the rate; 0 after a window of silence, over the time since the start at first."""
        with self._lock:
            now = self._clock()
            self._forget(now)
            if self._first is None:
                return 0.0
            if now - self._first >= self._window_s:
                return len(self._times) / self._window_s
            # The first event opens the time that the others fill.
            return (len(self._times) - 1) / max(now - self._first, 1e-3)

    def span_s(self) -> float:
        """Return for how long has been measured without a pause, 0 before the first event."""
        with self._lock:
            return 0.0 if self._first is None else self._clock() - self._first

    def age_s(self) -> float | None:
        """Return how long ago the last event was, None before the first."""
        with self._lock:
            return None if self._newest is None else self._clock() - self._newest

    def _paused(self, now):
        if len(self._times) < 2:
            return not self._times
        interval = (self._times[-1] - self._times[0]) / (len(self._times) - 1)
        return now - self._newest > max(PAUSE_S, PAUSE * interval)

    def _forget(self, now):
        while self._times and self._times[0] <= now - self._window_s:
            self._times.popleft()


class Share:
    """What share of the events in a sliding window is of a kind; 0 while they are few."""

    def __init__(self, window_s: float = 10.0, few: int = 20,
                 clock: Callable[[], float] = time.monotonic):
        self._window_s, self._few, self._clock = window_s, few, clock
        self._events: deque[tuple[float, bool]] = deque()
        self._lock = threading.Lock()

    def note(self, of_kind: bool) -> None:
        """Count one event now."""
        with self._lock:
            self._forget()
            self._events.append((self._clock(), of_kind))

    def value(self) -> float:
        """Return the share, 0 to 1."""
        with self._lock:
            self._forget()
            if len(self._events) < self._few:
                return 0.0
            return sum(of_kind for _, of_kind in self._events) / len(self._events)

    def _forget(self):
        since = self._clock() - self._window_s
        while self._events and self._events[0][0] <= since:
            self._events.popleft()


class Stages:
    """Rolling times of named stages, in milliseconds."""

    def __init__(self, size: int = 300):
        if size < 1:
            raise ValueError(f'size is {size}: it must be 1 or more')
        self._size = size
        self._times = {}
        self._lock = threading.Lock()

    def record(self, name: str, ms: float) -> None:
        """Add one time of a stage."""
        with self._lock:
            self._times.setdefault(name, deque(maxlen=self._size)).append(ms)

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Record how long the block took, also when it raises."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.record(name, (time.perf_counter() - start) * 1e3)

    def summary(self) -> dict[str, dict[str, float]]:
        """Return {stage: {'p50': ms, 'p99': ms}} over the last `size` times of each stage."""
        with self._lock:
            copies = {name: sorted(times) for name, times in self._times.items()}
        return {name: {'p50': _rank(times, 0.50), 'p99': _rank(times, 0.99)}
                for name, times in copies.items()}


def _rank(ordered, share) -> float:
    """Return the smallest time that at least this share of the times does not exceed."""
    return ordered[math.ceil(share * len(ordered)) - 1]
