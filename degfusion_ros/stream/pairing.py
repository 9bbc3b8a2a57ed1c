# SPDX-License-Identifier: Apache-2.0
"""
Pair two streams by nearest stamp.

One stream is the reference: each of its frames gets the nearest frame of the other stream, in
stamp order, and waits for it only as long as a nearer one may still come, never longer than
`wait_ns`, nor behind more than `capacity` others. A stream that is left without partners goes on
alone. Every frame is paired, single or dropped with a cause; stamps are integer nanoseconds.
"""

from typing import Any, NamedTuple

from degfusion_ros.stream.arrivals import Arrivals, Frame, JUMP_NS, NEVER_NS
from degfusion_ros.stream.choice import choose
from degfusion_ros.stream.presence import other_of, Presence, STREAMS

RELEASE = 2  # on a robot: a worker that only just keeps up loses no other frame by two at once


class Pair(NamedTuple):
    """A reference frame and its partner."""

    reference: Any
    other: Any
    stamp_ns: int  # the reference frame's own stamp
    delta_ns: int  # other - reference, after the offsets
    held: bool  # no partner of its own within max_dt_ns: another frame's, shown again


class Single(NamedTuple):
    """A frame that goes on alone, because its partner's camera is lost."""

    stream: str
    item: Any
    stamp_ns: int  # its own stamp


class Pairer:
    """
    The pairing of one visible and one thermal stream.

    reference: whose frames ask for a partner, and whose stamps the pairs carry.
    max_dt_ns: largest distance of a pair, inclusive. wait_ns: longest wait of a reference frame
    after its arrival. offsets_ns: added to each stream's stamps. hold_ns: how old the partner of
    a held pair may be, 0 for none; nor is one older than its stream's own period held where both
    streams come and each has had no partner for long enough to go on alone, wait_ns aside.
    capacity: frames that may wait in each stream; of one too many the oldest has waited enough if
    it is a reference, else it is dropped. presence: tells who goes on alone; nobody without it.
    release: of the frames without a partner that waited when the other stream was found to be
    lost, so many of the newest go on at once, the others are dropped as 'stale'; 0: all go on.

    A partner ahead of its reference that will be clearly nearer to the next reference is kept for
    that one (otherwise one lost frame would shift all later pairs by one); with a hold both have
    it, if no earlier one is nearer. Partners never go back in time. A stamp that jumps back drops
    what waits and starts anew.
    Not thread-safe: call it from one thread. Clocks are passed in, none is read.
    """

    def __init__(self, reference: str = 'visible', max_dt_ns: int = 20_000_000,
                 wait_ns: int = 50_000_000, offsets_ns: dict[str, int] | None = None,
                 hold_ns: int = 0, capacity: int = 32, presence: Presence | None = None,
                 release: int = 0):
        if reference not in STREAMS:
            raise ValueError(f'reference is {reference!r}: it must be one of {STREAMS}')
        if min(max_dt_ns, wait_ns, hold_ns, release) < 0 or capacity < 1:
            raise ValueError('max_dt_ns, wait_ns, hold_ns and release must be 0 or more, '
                             'capacity 1 or more')
        self._streams = {name: Arrivals(capacity) for name in STREAMS}
        self._reference, self._other = reference, other_of(reference)
        self._references = self._streams[reference]
        self._others = self._streams[self._other]
        self._presence = presence or Presence(0)
        self._offsets_ns = dict.fromkeys(STREAMS, 0) | (offsets_ns or {})
        self._max_dt_ns, self._wait_ns, self._hold_ns = max_dt_ns, wait_ns, hold_ns
        self._release = release
        self.paired = 0  # all pairs
        self.held = 0  # those with held=True
        self.reused = 0  # those whose partner an earlier pair had already
        self.singles = dict.fromkeys(STREAMS, 0)
        self.jumps = 0  # jumps back in time
        self._forget()

    def add(self, stream: str, stamp_ns: int, item: Any, now_ns: int,
            expire: bool = True) -> list[Pair | Single]:
        """
        Take a frame that arrived at `now_ns` (monotonic); return what this completes.

        Without `expire` a wait that had ended before, and all behind it, is left to poll(), while
        there is room: a caller that was held up may have the nearer partner yet to bring.
        """
        if stream not in self._streams:
            raise ValueError(f'stream is {stream!r}: it must be one of {STREAMS}')
        due_ns = self.next_due_ns()
        overdue = not expire and due_ns is not None and due_ns < now_ns
        arrivals = self._streams[stream]
        arrivals.received += 1
        frame = Frame(stamp_ns + self._offsets_ns[stream], stamp_ns, item, now_ns + self._wait_ns)
        cause = 'zero_stamp' if stamp_ns <= 0 else self._refuse(arrivals, frame, now_ns)
        arrivals.refused = cause or ''
        if cause:
            arrivals.dropped[cause] += 1
        else:
            self._presence.seen(stream, now_ns)
            arrivals.insert(frame)
        done = self._settle(now_ns) if overdue and self._others.overfull else []
        if self._others.overfull:
            oldest = self._others.waiting[0]
            self._others.drop('overflow', lambda other: other is oldest)
        return done + self._settle(now_ns, overdue and not done)

    def poll(self, now_ns: int) -> list[Pair | Single]:
        """Return the pairs whose wait has ended by `now_ns`, in stamp order, and lonely frames."""
        return self._settle(now_ns)

    def next_due_ns(self) -> int | None:
        """
        Return when poll() lets something go if no frame comes before, None if nothing waits.

        Always after the last poll(), and never after next_deadline_ns().
        """
        deadline_ns = self.next_deadline_ns()
        return None if deadline_ns is None else min(deadline_ns, self._final_ns)

    def next_deadline_ns(self) -> int | None:
        """Return when poll() must be called at the latest, None if nothing waits."""
        return min((frame.deadline_ns for frame in self._references.waiting), default=None)

    def reset(self) -> None:
        """Drop what waits, counted under 'reset', and forget all stamps; counts stay."""
        for arrivals in self._streams.values():
            arrivals.drop('reset')
            arrivals.forget_time()
        self._forget()

    @property
    def waiting(self) -> dict[str, int]:
        """Frames that wait, by stream."""
        return {name: len(arrivals.waiting) for name, arrivals in self._streams.items()}

    @property
    def dropped(self) -> dict[str, dict[str, int]]:
        """Dropped frames by stream and cause."""
        return {name: dict(arrivals.dropped) for name, arrivals in self._streams.items()}

    def refused(self, stream: str) -> str:
        """Return for what cause the stream's newest frame was dropped at once, '' if it was not."""
        return self._streams[stream].refused

    @property
    def counts(self) -> dict[str, int]:
        """
        Totals: received_visible, received_thermal, paired, held, then the drops by cause.

        Of the reference stream, received = paired + singles + waiting + dropped; of the other
        stream, received = paired - reused + singles + waiting + dropped.
        """
        totals = {f'received_{name}': a.received for name, a in self._streams.items()}
        totals |= {'paired': self.paired, 'held': self.held}
        return totals | dict(self._references.dropped + self._others.dropped)

    def _forget(self):
        self._final_ns = NEVER_NS  # from when on the first that waits need not, as last seen
        self._decided_ns: int | None = None  # the last reference that was paired or dropped
        self._partner: Frame | None = None  # the last partner given
        self._ahead: Frame | None = None  # the same, if it is kept for a reference to come
        self._alone_ns: int | None = None  # the last frame of the other stream that went on alone
        self._lagging: Arrivals | None = None  # the stream that has yet to jump as the other did
        self._lag_ends_ns = 0

    def _refuse(self, arrivals, frame, now_ns) -> str | None:
        if self._is_left_over(arrivals, frame.stamp_ns, now_ns):
            return 'reset'
        if arrivals.jumped_back(frame.stamp_ns):
            self.reset()
            self.jumps += 1
            self._lagging = self._others if arrivals is self._references else self._references
            self._lag_ends_ns = now_ns + JUMP_NS
        if arrivals.knows(frame.stamp_ns):
            return 'duplicate'
        arrivals.note(frame.stamp_ns, now_ns)
        if arrivals is self._references:
            too_late = self._decided_ns is not None and frame.stamp_ns <= self._decided_ns
            if self._alone_ns is not None:  # the output shall not go back in time
                too_late |= 0 <= self._alone_ns - frame.stamp_ns <= self._max_dt_ns
        else:
            too_late = self._partner is not None and frame.stamp_ns <= self._partner.stamp_ns
        return 'out_of_order' if too_late else None

    def _is_left_over(self, arrivals, stamp_ns, now_ns) -> bool:
        """Return whether this is a last frame from before the jump the other stream has made."""
        if arrivals is not self._lagging:
            return False
        jumped = self._references if arrivals is self._others else self._others
        if now_ns < self._lag_ends_ns and stamp_ns > jumped.newest_ns + JUMP_NS:
            return True
        self._lagging = None
        return False

    def _settle(self, now_ns, pushed_alone=False) -> list[Pair | Single]:
        """Let go what need not wait; pushed_alone: only references that are one too many."""
        done = []
        alone = self._presence.alone(self._reference, now_ns)
        in_vain = alone and self._presence.silent(self._other, now_ns)
        # Both come and never fit: either their clocks are apart, which a hold would show for ever,
        # or they are slow and out of phase, which it is for. What still waits may fit yet.
        apart = alone and self._presence.alone(self._other, now_ns - self._wait_ns)
        while self._references.waiting:
            frame = self._references.waiting[0]
            pushed = self._references.overfull
            if pushed_alone and not pushed:
                return done
            choice = choose(self._references, self._others, self._ahead, self._max_dt_ns, now_ns)
            arrived_ns = frame.deadline_ns - self._wait_ns
            self._final_ns = max(  # an earlier reference may come, too
                choice.final_ns, arrived_ns + self._references.disorder_ns(now_ns))
            # Pairs leave in stamp order, so an early frame waits no longer than a later one.
            if not (in_vain or pushed or self.next_due_ns() <= now_ns):
                break
            cause = 'overflow' if pushed else 'no_partner'
            if in_vain and choice.partner is None and self._surplus(self._references):
                cause = 'stale'
            done += self._emit(frame, choice, alone, apart, cause)
            if done and isinstance(done[-1], Pair) and not done[-1].held:
                self._presence.paired(now_ns)
        if (self._presence.silent(self._reference, now_ns)
                and self._presence.alone(self._other, now_ns)):
            done += self._go_on_alone()
        return done

    def _surplus(self, arrivals) -> list[Frame]:
        """Return what waits besides the newest that may go on at once."""
        return arrivals.waiting[:-self._release] if self._release else []

    def _emit(self, frame, choice, alone, apart, cause) -> list[Pair | Single]:
        self._references.waiting.pop(0)
        self._decided_ns = frame.stamp_ns
        _, partner, yielded = choice
        stale = cause == 'stale'
        alone = alone and not stale
        held = partner is None and not stale and not (apart and self._out_of_reach(frame))
        if held:
            partner = self._holdable(frame, yielded)
        self._ahead = partner if partner is not None and partner is yielded else None
        if partner is None:
            if alone:
                self.singles[self._reference] += 1
            else:
                self._references.dropped[cause] += 1
        elif partner is self._partner:
            self.reused += 1
        else:
            self._partner = partner
            self._others.waiting.remove(partner)
        self._drop_unused()
        if partner is None:
            return [Single(self._reference, frame.item, frame.header_ns)] if alone else []
        self.paired += 1
        self.held += held
        delta_ns = partner.stamp_ns - frame.stamp_ns
        return [Pair(frame.item, partner.item, frame.header_ns, delta_ns, held)]

    def _out_of_reach(self, frame) -> bool:
        """Tell whether no frame is as near as the other stream's own period: clocks are apart."""
        period_ns = self._others.period_ns
        return period_ns is not None and all(
            abs(other.stamp_ns - frame.stamp_ns) > period_ns
            for other in [self._partner, *self._others.waiting] if other is not None)

    def _holdable(self, frame, yielded) -> Frame | None:
        """
        Return the newest frame up to this one that is no older than hold_ns, used or not.

        If the partner that it left to a nearer reference is nearer still, both have that.
        """
        if not self._hold_ns:
            return None
        oldest_ns = frame.stamp_ns - self._hold_ns
        past = [other for other in [self._partner, *self._others.waiting]
                if other is not None and oldest_ns <= other.stamp_ns <= frame.stamp_ns]
        if yielded is not None:
            past.append(yielded)
        return min(past, default=None, key=lambda other: abs(other.stamp_ns - frame.stamp_ns))

    def _go_on_alone(self) -> list[Single]:
        """Let the frames of the other stream go: there is no reference any more."""
        surplus = self._surplus(self._others)
        self._others.drop('stale', lambda other: other in surplus)
        gone, self._others.waiting = self._others.waiting, []
        self.singles[self._other] += len(gone)
        if gone:
            self._partner, self._ahead = gone[-1], None
            self._alone_ns = gone[-1].stamp_ns
        return [Single(self._other, frame.item, frame.header_ns) for frame in gone]

    def _drop_unused(self):
        """Drop what no reference can want any more: overtaken by a partner, or too old."""
        floor_ns = self._decided_ns - max(self._max_dt_ns, self._hold_ns)
        if self._partner is not None:
            floor_ns = max(floor_ns, self._partner.stamp_ns)
        self._others.drop('unused', lambda other: other.stamp_ns < floor_ns)
