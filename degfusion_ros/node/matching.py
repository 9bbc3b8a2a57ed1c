# SPDX-License-Identifier: Apache-2.0
"""Frames of two streams in, pairs and lonely frames out: by our own pairing or message_filters'."""

from collections.abc import Callable
import time
from typing import NamedTuple

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from std_msgs.msg import Header

from degfusion_ros.node.messages import stamp_ns
from degfusion_ros.node.settings import Settings
from degfusion_ros.stream.offsets import offsets_ns
from degfusion_ros.stream.pairing import Pair, Pairer, RELEASE, Single
from degfusion_ros.stream.presence import other_of, Presence, STREAMS

NS = 1_000_000_000
ROUNDS = 5  # of an executor that was held up: each brings one of the messages DDS keeps (depth 5)


class Frame(NamedTuple):
    """A message as it came, not yet looked into, and when (monotonic clock)."""

    message: object
    arrived_ns: int

    @property
    def header(self) -> Header:
        """The message's header."""
        return self.message.header


class Shifted(NamedTuple):
    """A frame as message_filters matches it: by a header whose stamp has the offset added."""

    header: Header
    frame: Frame


def _ns(seconds: float) -> int:
    return round(seconds * NS)  # int() makes 2009999999 of 2.01 s: stamps may have to be equal


class Nearest:
    """The nearest stamp after a bounded wait (stream.pairing), woken by a timer."""

    def __init__(
            self, node: Node, settings: Settings, presence: Presence,
            on_pair: Callable[[Pair | Single], None]):
        self._node, self._on_pair = node, on_pair
        self._pairer = Pairer(
            reference=settings['sync.reference'],
            max_dt_ns=_ns(settings['sync.max_dt_s']),
            wait_ns=_ns(settings['sync.wait_s']),
            offsets_ns=offsets_ns(settings),
            hold_ns=_ns(settings['sync.hold_s']),
            capacity=settings['sync.queue_size'], presence=presence, release=RELEASE)
        # Waiting is measured on the steady clock: simulated time may stand still.
        self._timer = node.create_timer(
            3600.0, self._poll, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._timer.cancel()
        self._due_ns: int | None = None  # what the timer is set for
        self._rounds = 0  # since it was due, in each of which a frame came
        self._added = True  # a frame, since the last of them

    def add(self, stream: str, frame: Frame) -> str:
        """
        Take a frame; calls on_pair for every pair that it completes.

        Returns the cause for which the frame itself was dropped at once, '' if it was not.
        """
        stamp = stamp_ns(frame.header)
        self._added = True
        self._emit(self._pairer.add(stream, stamp, frame, frame.arrived_ns, expire=False))
        return self._pairer.refused(stream)

    def reset(self) -> None:
        """Forget the frames that wait: they count as dropped by 'reset'."""
        self._pairer.reset()
        self._set_timer()

    def counts(self) -> dict[str, int]:
        """
        Return pairs, reused partners, lonely and waiting frames, drops by stream and cause.

        Frames of the reference stream = pairs + single + waiting + dropped; of the other one
        = pairs - reused + single + waiting + dropped.
        """
        pairer = self._pairer
        counts = {'pairs': pairer.paired, 'held': pairer.held, 'reused': pairer.reused,
                  'time_jumps': pairer.jumps}
        counts |= {f'single.{stream}': count for stream, count in pairer.singles.items()}
        for stream, waiting in pairer.waiting.items():
            counts[f'waiting.{stream}'] = waiting
            for cause, count in pairer.dropped[stream].items():
                counts[f'dropped.{stream}.{cause}'] = count
        return counts

    def close(self) -> None:
        """Forget the frames that wait, stop the timer."""
        self.reset()
        self._node.destroy_timer(self._timer)

    def _poll(self) -> None:
        # An executor that was kept from running finds timer and messages due together, calls the
        # timer first and takes one message of each topic a round: what a wait was for may be
        # there, not yet taken. So waits end after a round that brings nothing, or a few that do.
        if self._added and self._rounds < ROUNDS:
            self._added = False
            self._rounds += 1
            self._timer.timer_period_ns = 1
            self._timer.reset()
            return
        self._due_ns = None
        self._emit(self._pairer.poll(time.monotonic_ns()))

    def _emit(self, pairs: list[Pair | Single]) -> None:
        for pair in pairs:
            self._on_pair(pair)
        self._set_timer()

    def _set_timer(self) -> None:
        due, now = self._pairer.next_due_ns(), time.monotonic_ns()
        if due is None:
            self._timer.cancel()
        elif self._due_ns is not None and max(due, self._due_ns) <= now:
            return  # it is on its way: frames that come meanwhile shall not put it off
        else:
            self._rounds, self._added = 0, True
            self._timer.timer_period_ns = max(1, due - now)
            self._timer.reset()
        self._due_ns = due


class Synchronised:
    """message_filters' exact or approximate policy, which tells nothing of what it drops."""

    def __init__(
            self, filters: object, settings: Settings, presence: Presence,
            on_pair: Callable[[Pair | Single], None]):
        self._filters, self._settings, self._on_pair = filters, settings, on_pair
        self._presence = presence
        offsets = offsets_ns(settings)
        # Their difference is what matters, and a stamp below 0 would end inside its lock.
        self._shift_ns = {name: ns - min(offsets.values()) for name, ns in offsets.items()}
        self._came = dict.fromkeys(STREAMS, 0)
        self._singles = dict.fromkeys(STREAMS, 0)
        self._pairs = 0
        self.reset()

    def add(self, stream: str, frame: Frame) -> str:
        """Take a frame; calls on_pair for the pair that it completes, if any; returns ''."""
        self._came[stream] += 1
        now = frame.arrived_ns
        self._presence.seen(stream, now)
        if self._presence.alone(stream, now) and self._presence.silent(other_of(stream), now):
            self._singles[stream] += 1
            self._on_pair(Single(stream, frame, stamp_ns(frame.header)))
            return ''
        header = Header()
        header.stamp.sec, header.stamp.nanosec = divmod(
            stamp_ns(frame.header) + self._shift_ns[stream], NS)
        self._doors[stream].signalMessage(Shifted(header, frame))
        return ''

    def reset(self) -> None:
        """Begin anew: the synchroniser itself never recovers from a jump back in time."""
        self._doors = {name: self._filters.SimpleFilter() for name in STREAMS}
        size = self._settings['sync.queue_size']
        if self._settings['sync.policy'] == 'exact':
            joined = self._filters.TimeSynchronizer([*self._doors.values()], size)
        else:
            joined = self._filters.ApproximateTimeSynchronizer(
                [*self._doors.values()], size, self._settings['sync.max_dt_s'])
        joined.registerCallback(self._matched)

    def counts(self) -> dict[str, int]:
        """Return pairs, and frames without one yet: whether they wait is not to be known."""
        counts = {'pairs': self._pairs}
        for name, came in self._came.items():
            counts[f'single.{name}'] = self._singles[name]
            counts[f'dropped.{name}.unmatched'] = came - self._pairs - self._singles[name]
        return counts

    def close(self) -> None:
        """Forget the frames that wait."""
        self.reset()

    def _matched(self, visible: Shifted, thermal: Shifted) -> None:
        self._pairs += 1
        self._presence.paired(max(visible.frame.arrived_ns, thermal.frame.arrived_ns))
        pair = (visible, thermal)
        reference, other = pair if self._settings['sync.reference'] == 'visible' else pair[::-1]
        delta_ns = stamp_ns(other.header) - stamp_ns(reference.header)
        self._on_pair(Pair(
            reference.frame, other.frame, stamp_ns(reference.frame.header), delta_ns, False))
