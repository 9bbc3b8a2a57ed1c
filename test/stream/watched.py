# SPDX-License-Identifier: Apache-2.0
"""A pairer whose every step is checked by an independent reading of the rules, and cameras."""

from degfusion_ros.stream.pairing import Pairer

MS = 1_000_000
START = 10_000 * MS


class Watched:
    """
    A pairer under watch: every step is checked against what was received so far.

    Knows nothing of how the pairer works, only its promises. Items are (stamp, serial).
    """

    def __init__(self, reference='visible', offsets_ns=None, **options):
        self.pairer = Pairer(reference=reference, offsets_ns=offsets_ns, **options)
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
        self.latencies = []
        self.now = 0

    def run_to(self, now):
        while (deadline := self.pairer.next_deadline_ns()) is not None and deadline <= now:
            assert deadline > self.now, 'poll() left a wait that had ended'
            self.now = deadline
            self.check(self.pairer.poll(deadline))
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
            if stream == self.reference:
                self.arrived[serial] = self.now
                self.references = sorted([*self.references,
                                          (stamp + self.offsets[stream], serial)])
            else:
                self.others.add(stamp + self.offsets[stream])
        self.check(pairs)
        return pairs

    def check(self, pairs):
        waiting = self.pairer.waiting
        decided = self.references[:len(self.references) - waiting[self.reference]]
        paired = {pair.reference[1]: pair for pair in pairs}
        assert len(paired) == len(pairs)
        order = [serial for _, serial in decided if serial in paired]
        assert order == [pair.reference[1] for pair in pairs], 'pairs leave in stamp order'
        for stamp, serial in decided:
            self.references.pop(0)
            self.check_decision(stamp, paired.get(serial))
            if serial in paired:
                self.latencies.append(self.now - self.arrived[serial])
        assert all(self.now < self.arrived[serial] + self.options['wait_ns']
                   for _, serial in self.references), 'a wait is bounded'
        self.pairs += pairs
        self.check_counts()

    def check_decision(self, stamp, pair):
        """No unused partner was nearer, but for those a waiting reference is nearer to."""
        reach = self.options['max_dt_ns'] + 1
        if pair is not None:
            partner = pair.other[0] + self.offsets[self.other]
            assert pair.delta_ns == partner - stamp
            assert pair.stamp_ns == pair.reference[0] == stamp - self.offsets[self.reference]
            if pair.held:
                assert -self.options['hold_ns'] <= pair.delta_ns <= 0
                assert partner >= self.floor, 'partners never go back in time'
            else:
                assert abs(pair.delta_ns) <= self.options['max_dt_ns']
                assert pair.other[1] not in self.used, 'used twice without hold'
                assert partner > self.floor
                reach = abs(pair.delta_ns)
        for other in self.others:
            if other > self.floor and abs(other - stamp) < reach:
                assert any(abs(rival - other) < abs(stamp - other)
                           for rival, _ in self.references), 'a nearer partner was there'
        if pair is not None:
            self.used.add(pair.other[1])
            self.floor = partner

    def check_counts(self):
        pairer, counts = self.pairer, self.pairer.counts
        dropped = {name: sum(causes.values()) for name, causes in pairer.dropped.items()}
        assert counts['paired'] == len(self.pairs)
        assert counts['held'] == sum(pair.held for pair in self.pairs)
        assert len(self.pairs) - pairer.reused == len({pair.other[1] for pair in self.pairs})
        for name in ('visible', 'thermal'):
            assert counts[f'received_{name}'] == self.received[name]
            given = len(self.pairs) - (0 if name == self.reference else pairer.reused)
            assert self.received[name] == given + pairer.waiting[name] + dropped[name]
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
