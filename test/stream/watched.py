# SPDX-License-Identifier: Apache-2.0
"""A pairer whose every step is checked by an independent reading of the rules, and cameras."""

from degfusion_ros.stream.arrivals import MEMORY_NS
from degfusion_ros.stream.pairing import Pair, Pairer, Single
from degfusion_ros.stream.presence import Presence

MS = 1_000_000
START = 10_000 * MS


class Watched:
    """
    A pairer under watch: every step is checked against what was received so far.

    Knows nothing of how the pairer works, only its promises. Items are (stamp, serial).
    """

    def __init__(self, reference='visible', offsets_ns=None, lost_after_ns=0, **options):
        self.pairer = Pairer(reference=reference, offsets_ns=offsets_ns,
                             presence=Presence(lost_after_ns), **options)
        self.lost_after_ns = lost_after_ns
        self.options = {'max_dt_ns': 20 * MS, 'wait_ns': 50 * MS, 'hold_ns': 0} | options
        self.reference = reference
        self.other = 'thermal' if reference == 'visible' else 'visible'
        self.offsets = offsets_ns or {'visible': 0, 'thermal': 0}
        self.received = {'visible': 0, 'thermal': 0}
        self.arrived = {}  # serial -> arrival of each reference
        self.references = []  # (stamp, serial) not decided
        self.others = set()  # stamps received
        self.floor = -10 ** 18  # stamp of the last partner
        self.used = set()
        self.pairs = []
        self.singles = []
        self.came = {'visible': [], 'thermal': []}  # arrivals of usable frames
        self.fresh_ns = -10 ** 18  # when the last fresh pair was made
        self.latencies = []
        self.lots = [0]  # how many frames without a partner of their own each step let go
        self.now = 0

    def run_to(self, now):
        while (due := self.pairer.next_due_ns()) is not None and due <= now:
            assert self.now < due <= self.pairer.next_deadline_ns(), 'poll() left an ended wait'
            if self.now < due - 1:
                self.now = due - 1
                done = self.pairer.poll(self.now)
                # a camera is found to be lost, or what was late is forgotten, on the way
                assert not done or self.lost_after_ns or due > MEMORY_NS, 'it was due before'
                self.check(done)
                if self.pairer.next_due_ns() != due:
                    continue
            before, self.now = self.pairer.waiting[self.reference], due
            self.check(self.pairer.poll(due))
            assert self.pairer.waiting[self.reference] < before, 'woken for nothing'
        self.now = now

    def add(self, stream, stamp, now=None):
        self.run_to(self.now if now is None else now)
        self.received[stream] += 1
        serial = sum(self.received.values())
        before, jumps = self.pairer.dropped[stream], self.pairer.jumps
        pairs = self.pairer.add(stream, stamp, (stamp, serial), self.now)
        refused = {cause for cause in ('duplicate', 'out_of_order', 'zero_stamp', 'reset')
                   if self.pairer.dropped[stream].get(cause, 0) > before.get(cause, 0)}
        if self.pairer.jumps > jumps:
            self.references, self.others, self.floor = [], set(), -10 ** 18
        if self.pairer.jumps > jumps or not refused:
            self.came[stream].append(self.now)
            if stream == self.reference:
                self.arrived[serial] = self.now
                self.references = sorted([*self.references,
                                          (stamp + self.offsets[stream], serial)])
            else:
                self.others.add(stamp + self.offsets[stream])
        self.check(pairs)
        return pairs

    def check(self, done):
        waiting = self.pairer.waiting
        pairs = [one for one in done if isinstance(one, Pair)]
        alone = {one.item[1]: one for one in done if isinstance(one, Single)}
        for one in alone.values():
            self.check_alone(one)
        decided = self.references[:len(self.references) - waiting[self.reference]]
        paired = {pair.reference[1]: pair for pair in pairs}
        assert len(paired) == len(pairs)
        order = [serial for _, serial in decided if serial in paired]
        assert order == [pair.reference[1] for pair in pairs], 'pairs leave in stamp order'
        apart = all(map(self.left_alone, self.came))
        for stamp, serial in decided:
            self.references.pop(0)
            if apart and serial in paired and paired[serial].held:
                assert self.within_a_period(stamp), 'held for ever'
            self.check_decision(stamp, paired.get(serial))
            if serial in paired or serial in alone:
                self.latencies.append(self.now - self.arrived[serial])
        assert all(self.now < self.arrived[serial] + self.options['wait_ns']
                   for _, serial in self.references), 'a wait is bounded'
        self.lots.append(len(alone) + sum(pair.held for pair in pairs))
        self.pairs += pairs
        self.singles += alone.values()
        if any(not pair.held for pair in pairs):
            self.fresh_ns = self.now
        self.check_counts()

    def left_alone(self, stream):
        """Tell whether a stream has come without a gap, and without partner, for all too long."""
        since, last = None, None
        for came in self.came[stream]:
            if last is None or came - last > self.lost_after_ns:
                since = came
            last = came
        if not self.lost_after_ns or last is None or self.now - last > self.lost_after_ns:
            return False
        patience_ns = self.lost_after_ns + self.options['wait_ns']
        return self.now - max(since, self.fresh_ns) > patience_ns

    def within_a_period(self, stamp):
        """Tell whether a frame of the other stream is as near as its frames lie to each other."""
        known = sorted(self.others)
        gaps = [after - before for before, after in zip(known, known[1:])]
        return len(gaps) < 3 or min(abs(one - stamp) for one in known) <= max(gaps)

    def check_alone(self, one):
        """Nothing goes on alone but what has come, and was without partner, for long enough."""
        came = self.came[one.stream]
        assert one.stamp_ns == one.item[0]
        assert self.lost_after_ns and self.now - self.fresh_ns > self.lost_after_ns
        recent = [0, *(t for t in came if t >= self.now - self.lost_after_ns)]
        assert len(recent) > 1 and came[0] < self.now - self.lost_after_ns
        if one.stream != self.reference:
            gone = self.came[self.reference]
            assert not gone or self.now - gone[-1] > self.lost_after_ns
            partner = one.stamp_ns + self.offsets[one.stream]
            assert partner not in self.used, 'a frame is shown twice'
            self.used.add(one.item[1])
            self.floor = max(self.floor, partner)

    def check_decision(self, stamp, pair):
        """No unused partner was nearer, but for those a waiting reference is nearer to."""
        reach = self.options['max_dt_ns'] + 1
        if pair is not None:
            partner = pair.other[0] + self.offsets[self.other]
            assert pair.delta_ns == partner - stamp
            assert pair.stamp_ns == pair.reference[0] == stamp - self.offsets[self.reference]
            if pair.held:
                assert -self.options['hold_ns'] <= pair.delta_ns <= self.options['max_dt_ns']
                assert partner >= self.floor, 'partners never go back in time'
            else:
                assert abs(pair.delta_ns) <= self.options['max_dt_ns']
                assert pair.other[1] not in self.used, 'used twice without hold'
                assert partner >= self.floor
                reach = abs(pair.delta_ns)
        for other in self.others:
            if other > self.floor and abs(other - stamp) < reach:
                assert any(abs(rival - other) < abs(stamp - other)
                           for rival, _ in self.references), 'a nearer partner was there'
        if pair is not None:
            if not pair.held:
                self.used.add(pair.other[1])
            self.floor = partner

    def check_counts(self):
        pairer, counts = self.pairer, self.pairer.counts
        dropped = {name: sum(causes.values()) for name, causes in pairer.dropped.items()}
        assert counts['paired'] == len(self.pairs)
        for name in ('visible', 'thermal'):
            assert pairer.singles[name] == sum(one.stream == name for one in self.singles)
        assert counts['held'] == sum(pair.held for pair in self.pairs)
        alone = {one.item[1] for one in self.singles}
        assert len(self.pairs) - pairer.reused == len(
            {pair.other[1] for pair in self.pairs} - alone)
        for name in ('visible', 'thermal'):
            assert counts[f'received_{name}'] == self.received[name]
            given = len(self.pairs) - (0 if name == self.reference else pairer.reused)
            assert self.received[name] == (
                given + pairer.singles[name] + pairer.waiting[name] + dropped[name])
        causes = set(counts) - {'received_visible', 'received_thermal', 'paired', 'held'}
        assert sum(counts[cause] for cause in causes) == sum(dropped.values())

    def finish(self):
        self.run_to(self.now + 10_000 * MS)
        assert self.pairer.waiting[self.reference] == 0


def cameras(visible_hz, thermal_hz, seconds=4, phase_ms=0.0, delays_ms=(0, 0), jitter=None,
            lost=()):
    """Return (arrival, stream, stamp) of two cameras in order of arrival."""
    events = []
    for stream, rate, phase, delay in (('visible', visible_hz, 0, delays_ms[0]),
                                       ('thermal', thermal_hz, phase_ms, delays_ms[1])):
        for index in range(int(seconds * rate)):
            noise = jitter(stream, index) if jitter else 0
            stamp = START + round((index * 1000 / rate + phase + noise) * MS)
            if (stream, index) not in lost:
                events.append((stamp - START + 1000 * MS + delay * MS, stream, stamp))
    return sorted(events)


def play(events, **options):
    watched = Watched(**options)
    for arrival, stream, stamp in events:
        watched.add(stream, stamp, arrival)
    watched.finish()
    return watched
