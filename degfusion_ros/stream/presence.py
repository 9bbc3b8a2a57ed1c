# SPDX-License-Identifier: Apache-2.0
"""Which of two streams still comes, and which has to go on without the other."""

STREAMS = ('visible', 'thermal')


def other_of(stream: str) -> str:
    """Return the other of the two streams."""
    return STREAMS[1 - STREAMS.index(stream)]


class Presence:
    """
    Arrivals and pairs of a visible and a thermal stream on the arrival clock, in nanoseconds.

    lost_after_ns: how long a stream may have no partner before it goes on alone; 0: for ever.
    Time in which neither stream comes does not count: a paused recording loses no camera.
    Clocks are passed in, none is read.
    """

    def __init__(self, lost_after_ns: int):
        if lost_after_ns < 0:
            raise ValueError(f'lost_after_ns is {lost_after_ns}: it must be 0 or more')
        self.lost_after_ns = lost_after_ns
        self._last_ns: dict[str, int] = {}  # the newest arrival
        self._since_ns: dict[str, int] = {}  # when the stream began to come without a gap
        self._paired_ns: int | None = None

    def seen(self, stream: str, now_ns: int) -> None:
        """Take note of a usable frame."""
        if self.silent(stream, now_ns):
            self._since_ns[stream] = now_ns
        self._last_ns[stream] = now_ns

    def paired(self, now_ns: int) -> None:
        """Take note of a pair of fresh frames."""
        self._paired_ns = now_ns

    def age_ns(self, stream: str, now_ns: int) -> int | None:
        """Return how long ago the stream's newest frame came, None if none ever did."""
        last = self._last_ns.get(stream)
        return None if last is None else now_ns - last

    def unpaired_ns(self, now_ns: int) -> int | None:
        """Return how long ago the last pair of fresh frames was made, None before the first."""
        return None if self._paired_ns is None else now_ns - self._paired_ns

    def silent(self, stream: str, now_ns: int) -> bool:
        """Tell whether the stream does not come (any more)."""
        age = self.age_ns(stream, now_ns)
        return age is None or age > self.lost_after_ns

    def alone(self, stream: str, now_ns: int) -> bool:
        """Tell whether the stream comes, and has had no partner for too long."""
        if not self.lost_after_ns or self.silent(stream, now_ns):
            return False
        since = self._since_ns[stream]
        if self._paired_ns is not None:
            since = max(since, self._paired_ns)
        return now_ns - since > self.lost_after_ns
