# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, settings, strategies as st
import pytest

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


options = st.fixed_dictionaries({
    'reference': st.sampled_from(['visible', 'thermal']),
    'max_dt_ns': st.sampled_from([0, 5 * MS, 20 * MS, 50 * MS, 200 * MS]),
    'wait_ns': st.sampled_from([0, 10 * MS, 50 * MS, 150 * MS]),
    'hold_ns': st.sampled_from([0, 0, 40 * MS, 150 * MS]),
    'offsets_ns': st.fixed_dictionaries({'visible': st.integers(-30 * MS, 30 * MS),
                                         'thermal': st.integers(-30 * MS, 30 * MS)}),
    'capacity': st.just(1000),
})
streams = st.sampled_from(['visible', 'thermal'])


@given(options, st.lists(st.tuples(streams, st.integers(0, 300), st.integers(0, 40)), max_size=60))
@settings(max_examples=400, deadline=None)
def test_any_order_of_any_stamps(options, events):
    watched = Watched(**options)
    for stream, stamp, gap in events:
        watched.add(stream, START + stamp * MS, watched.now + gap * MS)
    watched.finish()


wild = st.one_of(st.integers(-5, 400 * MS), st.integers(START, START + 200 * MS),
                 st.integers(START - 1500 * MS, START + 5000 * MS), st.just(0))


@given(options, st.lists(st.tuples(streams, wild, st.integers(0, 40)), max_size=60))
@settings(max_examples=300, deadline=None)
def test_jumps_zeros_and_repeats_are_all_accounted_for(options, events):
    watched = Watched(**options)
    for stream, stamp, gap in events:
        watched.add(stream, stamp, watched.now + gap * MS)
    watched.finish()


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


@given(options, st.sampled_from([6, 9, 10, 25, 30, 60]), st.sampled_from([6, 9, 10, 25, 30, 60]),
       st.integers(-40, 40), st.tuples(st.integers(0, 90), st.integers(0, 90)),
       st.floats(0, 15), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_any_two_cameras(options, visible_hz, thermal_hz, phase, delays, jitter, random):
    play(cameras(visible_hz, thermal_hz, 1, phase, delays,
                 lambda stream, index: random.uniform(-jitter, jitter)), **options)


@pytest.mark.parametrize('phase', [-6, -2, 0, 2, 6])
def test_cameras_in_step_pair_without_waiting(phase):
    watched = play(cameras(30, 30, phase_ms=phase), max_dt_ns=20 * MS)
    assert len(watched.pairs) == 120
    assert {abs(pair.delta_ns) for pair in watched.pairs} == {abs(phase) * MS}
    # Until the thermal rate is known a reference waits for the thermal frame after it.
    assert max(watched.latencies[4:]) == max(0, phase) * MS


def test_a_fast_late_partner_is_the_nearest_one():
    """60 Hz thermal, 30 ms late: the first within the slop is 29 ms off where 4 ms is on offer."""
    watched = play(cameras(30, 60, phase_ms=4, delays_ms=(0, 30)), max_dt_ns=100 * MS)
    assert len(watched.pairs) == 120
    assert {pair.delta_ns for pair in watched.pairs} == {4 * MS}
    assert watched.pairer.counts['unused'] >= 115


def test_late_thermal_loses_nothing():
    watched = play(cameras(30, 30, delays_ms=(0, 80)), wait_ns=100 * MS)
    assert len(watched.pairs) == 120 and {pair.delta_ns for pair in watched.pairs} == {0}


@pytest.mark.parametrize('lost', [('thermal', 40), ('visible', 40)])
@pytest.mark.parametrize('phase', [-3, 3])
@pytest.mark.parametrize('delay', [0, 40])
def test_a_lost_frame_costs_one_pair_not_the_phase(lost, phase, delay):
    watched = play(cameras(30, 30, phase_ms=phase, delays_ms=(0, delay), lost=[lost]),
                   max_dt_ns=50 * MS, wait_ns=100 * MS)
    assert len(watched.pairs) == 119
    assert {abs(pair.delta_ns) for pair in watched.pairs} == {3 * MS}


def test_slow_thermal_without_hold_drops_the_rest():
    watched = play(cameras(30, 9), max_dt_ns=17 * MS)
    assert len(watched.pairs) == 36
    assert watched.pairer.dropped['visible'] == {'no_partner': 84}
    assert watched.pairer.dropped['thermal'] == {}


def test_slow_thermal_with_hold_serves_every_reference():
    watched = play(cameras(30, 9), max_dt_ns=17 * MS, hold_ns=150 * MS)
    assert len(watched.pairs) == 120
    assert sum(pair.held for pair in watched.pairs) == 84
    assert sorted(watched.latencies)[60] == 0  # no wait where no thermal frame can come in time
    assert max(watched.latencies[10:-1]) <= 34 * MS
    for pair in watched.pairs:
        if pair.held:
            assert pair.delta_ns > -112 * MS


def test_hold_ends_with_its_age():
    watched = Watched(hold_ns=100 * MS, wait_ns=0)
    watched.add('thermal', START)
    ages = [0, 50, 100, 101]
    pairs = [watched.add('visible', START + age * MS) for age in ages]
    assert [[pair.held for pair in step] for step in pairs] == [[False], [True], [True], []]


def test_a_partner_two_references_want_goes_to_the_nearer():
    watched = Watched(max_dt_ns=50 * MS, wait_ns=100 * MS)
    watched.add('visible', START)
    watched.add('visible', START + 30 * MS)
    pair, = watched.add('thermal', START + 40 * MS)
    assert pair.reference[0] == START + 30 * MS
    assert watched.pairer.dropped['visible'] == {'no_partner': 1}


def test_a_reference_that_yields_takes_the_next_best():
    watched = Watched(max_dt_ns=50 * MS, wait_ns=100 * MS)
    watched.add('thermal', START - 45 * MS)
    watched.add('visible', START)
    watched.add('visible', START + 30 * MS)
    pairs = watched.add('thermal', START + 40 * MS)
    assert [pair.delta_ns for pair in pairs] == [-45 * MS, 10 * MS]


def test_a_rival_with_a_nearer_partner_of_its_own_leaves_this_one():
    watched = Watched(max_dt_ns=50 * MS, wait_ns=100 * MS)
    watched.add('visible', START)
    watched.add('visible', START + 33 * MS)
    assert not watched.add('thermal', START + 20 * MS)  # the second may want it
    pairs = watched.add('thermal', START + 34 * MS)
    assert [pair.delta_ns for pair in pairs] == [20 * MS, MS]


def test_phase_noise_at_half_a_period_loses_nothing():
    noise = cameras(30, 30, phase_ms=16.6, jitter=lambda stream, index: index * 7 % 3 / 2)
    assert len(play(noise, max_dt_ns=50 * MS).pairs) == 120


def test_hold_prefers_the_newest_even_if_it_was_never_shown():
    watched = Watched(max_dt_ns=5 * MS, hold_ns=100 * MS, wait_ns=0)
    watched.add('thermal', START)
    watched.add('visible', START)
    watched.add('thermal', START + 50 * MS)
    pair, = watched.add('visible', START + 70 * MS)
    assert pair.held and pair.delta_ns == -20 * MS and watched.pairer.reused == 0


def test_equal_stamps_pair_at_once():
    watched = Watched(max_dt_ns=0)
    watched.add('thermal', START)
    pair, = watched.add('visible', START)
    assert pair.delta_ns == 0 and not pair.held


def test_the_largest_distance_is_inclusive():
    for distance, expected in ((20 * MS, 1), (20 * MS + 1, 0)):
        watched = play([(0, 'visible', START), (1, 'thermal', START + distance)])
        assert len(watched.pairs) == expected


def test_offsets_move_stamps_but_not_headers():
    watched = Watched(max_dt_ns=0, offsets_ns={'visible': 0, 'thermal': -35 * MS})
    watched.add('thermal', START + 35 * MS)
    pair, = watched.add('visible', START)
    assert pair.delta_ns == 0 and pair.stamp_ns == START


def test_repeats_zeros_and_stragglers_are_counted():
    watched = Watched()
    for stream, stamp in (('visible', 0), ('thermal', -1), ('visible', START), ('visible', START),
                          ('thermal', START), ('thermal', START), ('visible', START),
                          ('visible', START - 33 * MS), ('thermal', START - 33 * MS)):
        watched.add(stream, stamp)
    assert watched.pairer.dropped == {
        'visible': {'zero_stamp': 1, 'duplicate': 2, 'out_of_order': 1},
        'thermal': {'zero_stamp': 1, 'duplicate': 1, 'out_of_order': 1}}
    assert len(watched.pairs) == 1


def test_a_straggler_still_serves_a_reference_to_come():
    watched = Watched(max_dt_ns=50 * MS)
    for stamp in (0, 66, 33):
        watched.add('thermal', START + stamp * MS)
    pair, = watched.add('visible', START + 35 * MS)
    assert pair.delta_ns == -2 * MS


@pytest.mark.parametrize('delays', [(0, 0), (0, 80), (80, 0)])
@pytest.mark.parametrize('seconds', [0.8, 3])  # 0.8: the loop is shorter than a clear jump
def test_a_looping_bag_recovers_within_one_pair(delays, seconds):
    loops = []
    for loop in range(3):
        loops += [(arrival + round(loop * seconds * 1e9), stream, stamp) for
                  arrival, stream, stamp in cameras(30, 30, seconds, 2, delays)]
    watched = play(sorted(loops), wait_ns=120 * MS)
    assert watched.pairer.jumps >= 2
    frames = int(30 * seconds)
    lost = 1 if seconds > 1 else 8  # a short loop shows only after a run of old stamps
    # What waits when the loop starts is lost as well: the frames under way in the slower stream.
    assert len(watched.pairs) >= 3 * frames - 2 * (lost + 3)


def test_a_loop_starts_with_its_first_pair():
    watched = Watched()
    for stamp in (START, START + 33 * MS):
        watched.add('visible', stamp)
        watched.add('thermal', stamp)
    watched.add('visible', START - 5000 * MS)
    watched.add('thermal', START + 66 * MS)  # was under way before the jump
    pair, = watched.add('thermal', START - 5000 * MS)
    assert pair.reference[0] == pair.other[0] == START - 5000 * MS
    assert watched.pairer.jumps == 1
    assert watched.pairer.dropped['thermal'] == {'reset': 1}


def test_a_single_stamp_from_the_future_does_no_lasting_harm():
    events = cameras(30, 30)
    arrival, stream, stamp = events[100]
    events[100] = (arrival, stream, stamp + 3_600_000 * MS)
    assert len(play(events).pairs) >= 117


def test_clocks_apart_drop_every_frame_with_a_cause_and_bounded_memory():
    watched = play(cameras(30, 30, 4, 5000, delays_ms=(0, -5000)), capacity=10)
    assert not watched.pairs
    assert watched.pairer.dropped['visible'] == {'no_partner': 120}
    assert watched.pairer.waiting['thermal'] <= 10


@pytest.mark.parametrize('stream, cause', [('visible', 'no_partner'), ('thermal', 'overflow')])
def test_one_stream_alone_does_not_fill_memory(stream, cause):
    pairer = Pairer(capacity=10)
    for index in range(500):
        now = index * 33 * MS
        assert pairer.add(stream, START + now, bytes(10), now) == []
        assert pairer.waiting[stream] <= 10
    assert pairer.dropped[stream][cause] >= 480


def test_a_burst_above_the_capacity_drops_the_oldest():
    pairer = Pairer(capacity=3)
    for index in range(5):
        pairer.add('visible', START + index, index, 0)
    assert pairer.dropped['visible'] == {'overflow': 2}
    assert pairer.add('thermal', START + 4, 'x', 1)[-1].reference == 4


def test_reset_counts_what_waited():
    pairer = Pairer()
    pairer.add('visible', START, 'a', 0)
    pairer.reset()
    assert pairer.counts == {'received_visible': 1, 'received_thermal': 0, 'paired': 0, 'held': 0,
                             'reset': 1}
    assert pairer.next_deadline_ns() is None
    pairer.add('visible', 33 * MS, 'b', 1)  # an earlier time is no jump after a reset
    assert pairer.add('thermal', 33 * MS, 'c', 2)[0].reference == 'b' and pairer.jumps == 0


@pytest.mark.parametrize('options, words', [
    ({'reference': 'lidar'}, 'lidar'), ({'max_dt_ns': -1}, '0 or more'), ({'capacity': 0}, '1 or')])
def test_wrong_arguments_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        Pairer(**options)
    with pytest.raises(ValueError, match='lidar'):
        Pairer().add('lidar', 1, None, 0)
