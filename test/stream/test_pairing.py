# SPDX-License-Identifier: Apache-2.0
"""Pairing case by case: rates, phases, delays, losses, holds, loops."""

import pytest
from watched import cameras, MS, play, START, Watched

from degfusion_ros.stream.pairing import Pairer


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


def test_a_reference_pushed_out_by_newer_ones_takes_what_there_is():
    pairer = Pairer(capacity=2, max_dt_ns=50 * MS, wait_ns=900 * MS, hold_ns=100 * MS)
    pairer.add('thermal', START - 30 * MS, 'early', 0)
    for index in range(2):  # a nearer partner may come yet
        assert pairer.add('visible', START + index * 33 * MS, index, index * 33 * MS) == []
    pair, = pairer.add('visible', START + 66 * MS, 2, 66 * MS)
    assert (pair.reference, pair.other, pair.held) == (0, 'early', False)
    pair, = pairer.add('visible', START + 99 * MS, 3, 99 * MS)
    assert (pair.reference, pair.other, pair.held) == (1, 'early', True)
    assert pairer.waiting['visible'] == 2 and pairer.dropped['visible'] == {}


@pytest.mark.parametrize('capacity, lost', [(16, True), (30, False)])
def test_references_that_come_late_need_a_queue_of_partners_and_no_wait(capacity, lost):
    pairer = Pairer(wait_ns=0, capacity=capacity)
    for arrival, stream, stamp in cameras(30, 30, 4, 0, (900, 0)):
        pairer.add(stream, stamp, None, arrival)
    assert pairer.paired == (16 if lost else 120)  # the last ones are pushed out by none
    assert bool(pairer.dropped['thermal'].get('overflow')) == lost


def test_why_the_newest_frame_was_not_taken():
    pairer = Pairer()
    causes = []
    for stamp in (START, START, 0, START + 33 * MS):
        pairer.add('thermal', stamp, None, 0)
        causes.append(pairer.refused('thermal'))
    assert causes == ['', 'duplicate', 'zero_stamp', ''] and pairer.refused('visible') == ''


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


def shuffled(events, late_ms, every):
    """Let every so many frames of each stream arrive late, after the one behind it."""
    counts = dict.fromkeys(('visible', 'thermal'), 0)
    late = []
    for arrival, stream, stamp in events:
        counts[stream] += 1
        late.append((arrival + late_ms * MS * (counts[stream] % every == 0), stream, stamp))
    return sorted(late)


def test_a_stream_out_of_order_is_given_the_time_it_takes():
    watched = play(shuffled(cameras(30, 30, 12, 4), 45, 7), wait_ns=150 * MS)
    lost = sum(watched.pairer.dropped['visible'].values())
    assert lost <= 3 and len(watched.pairs) == 360 - lost  # until it is known
    assert [abs(pair.delta_ns) for pair in watched.pairs[60:]] == [4 * MS] * (300 - lost)


def test_a_tidy_stream_pays_nothing_for_one_frame_out_of_order():
    events = cameras(30, 30, 4, 4)
    arrival, stream, stamp = events[100]
    events[100] = (arrival + 80 * MS, stream, stamp)
    watched = play(sorted(events), wait_ns=150 * MS)
    assert sorted(watched.latencies)[len(watched.latencies) * 9 // 10] == 4 * MS


def test_order_is_trusted_again_after_a_while():
    events = shuffled(cameras(30, 30, 3, 4), 45, 7) + [
        (arrival + 3000 * MS, stream, stamp + 3000 * MS)
        for arrival, stream, stamp in cameras(30, 30, 15, 4)]
    watched = play(sorted(events), wait_ns=150 * MS)
    assert max(watched.latencies[-90:-1]) == 4 * MS < 15 * MS < watched.latencies[85]
