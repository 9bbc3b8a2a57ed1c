# SPDX-License-Identifier: Apache-2.0
"""Losing a camera: the other goes on alone, and pairs again as soon as there are two."""

import pytest
from watched import cameras, MS, play, START, Watched

from degfusion_ros.stream.pairing import Pair, Single

LOST = 300 * MS


def without(events, stream, since_ms, until_ms):
    return [(arrival, name, stamp) for arrival, name, stamp in events
            if name != stream or not since_ms * MS <= stamp - START < until_ms * MS]


def kinds(watched, stream):
    """Return the stamps (ms from the start) of what went on alone."""
    return [(one.stamp_ns - START) / MS for one in watched.singles if one.stream == stream]


@pytest.mark.parametrize('reference', ['visible', 'thermal'])
@pytest.mark.parametrize('lost', ['visible', 'thermal'])
@pytest.mark.parametrize('delays', [(0, 0), (0, 90), (90, 0)])
def test_one_camera_is_lost_for_two_seconds(reference, lost, delays):
    events = without(cameras(30, 30, 4, 2, delays), lost, 1000, 3000)
    watched = play(events, reference=reference, wait_ns=150 * MS, lost_after_ns=LOST)
    left = 'thermal' if lost == 'visible' else 'visible'
    alone = kinds(watched, left)
    assert not kinds(watched, lost)
    # Those that waited when the loss was noticed go out, too; before, none goes out alone.
    assert 1000 <= alone[0] <= 1300 and alone[-1] >= 2900
    assert len(alone) >= 30 * 1.6
    back = [(pair.stamp_ns - START) / MS for pair in watched.pairs if pair.stamp_ns > START + 2e9]
    assert back[0] <= 3000 + 2 + 1000 / 30 + 90
    assert len(back) >= 26


def test_with_a_hold_as_long_no_reference_is_lost():
    events = without(cameras(30, 30, 4, 2), 'thermal', 1000, 3000)
    watched = play(events, wait_ns=150 * MS, hold_ns=LOST, lost_after_ns=LOST)
    assert len(watched.pairs) + len(watched.singles) == 120
    assert watched.pairer.dropped['visible'] == {}
    assert [pair.held for pair in watched.pairs].count(True) in range(8, 12)


def test_a_hold_outlasts_a_shutter():
    events = without(cameras(30, 30, 4, 2), 'thermal', 1000, 2000)
    watched = play(events, hold_ns=1100 * MS, lost_after_ns=LOST)
    assert not watched.singles and len(watched.pairs) == 120


def test_a_camera_that_was_never_there_is_missed():
    watched = play(without(cameras(30, 30), 'thermal', 0, 9000), lost_after_ns=LOST)
    assert len(watched.singles) >= 120 - 10 and not watched.pairs


def test_both_lost_end_in_silence_and_come_back_as_pairs():
    events = without(without(cameras(30, 30), 'thermal', 1000, 3000), 'visible', 1000, 3000)
    watched = play(events, lost_after_ns=LOST)
    assert not watched.singles and len(watched.pairs) == 60


def test_nothing_is_shown_again_without_a_new_frame():
    watched = Watched(hold_ns=5000 * MS, lost_after_ns=LOST)
    for name in ('visible', 'thermal'):
        watched.add(name, START)
    watched.run_to(10_000 * MS)
    assert len(watched.pairs) == 1 and not watched.singles


def test_clocks_apart_let_the_reference_go_on_alone():
    watched = play(cameras(30, 30, 4, 5000, delays_ms=(0, -5000)), lost_after_ns=LOST)
    assert not watched.pairs and not kinds(watched, 'thermal')
    assert len(kinds(watched, 'visible')) >= 120 - 11


@pytest.mark.parametrize('behind_ms', [100, 250])
def test_clocks_a_little_apart_are_not_fused_by_the_hold_for_ever(behind_ms):
    """By default: the thermal frame before is young enough to be held, and never a pair."""
    watched = play(cameras(30, 30, 4, -behind_ms, (0, behind_ms)), max_dt_ns=50 * MS,
                   wait_ns=50 * MS, hold_ns=300 * MS, lost_after_ns=LOST)
    assert len(watched.pairs) + len(watched.singles) == 120
    assert all(pair.held and pair.stamp_ns - START < 400 * MS for pair in watched.pairs)
    assert len(kinds(watched, 'visible')) >= 120 - 12 and not kinds(watched, 'thermal')


@pytest.mark.parametrize('hz', [9, 4, 3.5, 2.5, 1.25])
def test_a_hold_serves_a_slow_camera_however_long(hz):
    watched = play(cameras(30, hz, 8, 4, (0, 60)), max_dt_ns=50 * MS, wait_ns=150 * MS,
                   hold_ns=1000 * MS, lost_after_ns=LOST)
    assert not watched.singles and len(watched.pairs) == 240


@pytest.mark.parametrize('hz, phase_ms, max_dt_ms', [(5, 80, 50), (8.6, 56, 50), (30, 16, 10)])
@pytest.mark.parametrize('wait_ms', [50, 150])
def test_a_hold_serves_free_running_cameras_that_never_fit(hz, phase_ms, max_dt_ms, wait_ms):
    watched = play(cameras(hz, hz, 8, phase_ms), max_dt_ns=max_dt_ms * MS, wait_ns=wait_ms * MS,
                   hold_ns=300 * MS, lost_after_ns=LOST)
    assert not watched.singles and all(pair.held for pair in watched.pairs)
    assert len(watched.pairs) >= int(8 * hz) - 1  # the first has nothing before it


@pytest.mark.parametrize('capacity, paired', [(16, False), (30, True)])
def test_a_partner_later_than_the_queue_is_long_leaves_no_reference_out(capacity, paired):
    """Thermal takes 0.9 s: 16 frames at 30 Hz wait 0.53 s, however long they might."""
    watched = play(cameras(30, 30, 4, 0, (0, 900)), max_dt_ns=50 * MS, wait_ns=950 * MS,
                   hold_ns=300 * MS, lost_after_ns=LOST, capacity=capacity)
    assert watched.pairer.dropped['visible'] == {}
    assert len(watched.pairs) + len(kinds(watched, 'visible')) == 120
    assert (len(watched.pairs) > 16) == paired  # the last ones have no newer ones behind them


def test_a_reference_older_than_what_went_out_alone_does_not_turn_time_back():
    watched = Watched(lost_after_ns=LOST, max_dt_ns=50 * MS)
    for number in range(20):
        watched.add('thermal', START + number * 33 * MS, number * 33 * MS)
    last = watched.singles[-1].stamp_ns
    assert last == START + 19 * 33 * MS
    watched.add('visible', last - 10 * MS)
    assert watched.pairer.dropped['visible'] == {'out_of_order': 1}
    watched.add('visible', last + 20 * MS)
    pair, = watched.add('thermal', last + 33 * MS)
    assert isinstance(pair, Pair) and pair.stamp_ns == last + 20 * MS


def test_a_lone_frame_of_a_stream_that_stopped_is_no_reason_to_go_on_alone():
    watched = Watched(wait_ns=500 * MS, lost_after_ns=LOST)
    watched.add('visible', START)
    watched.finish()
    assert watched.pairer.dropped['visible'] == {'no_partner': 1}


def test_while_the_partner_is_lost_nobody_waits_for_it():
    watched = Watched(wait_ns=200 * MS, lost_after_ns=LOST)
    for number in range(20):
        done = watched.add('visible', START + number * 33 * MS, number * 33 * MS)
    assert done == [Single('visible', done[0].item, START + 19 * 33 * MS)]


def test_with_a_hold_a_frame_between_two_takes_the_nearer():
    """9 Hz thermal: 80 ms after one frame, 31 ms before the next, that next one is shown twice."""
    watched = Watched(max_dt_ns=50 * MS, hold_ns=150 * MS, wait_ns=100 * MS)
    watched.add('thermal', START)
    watched.add('visible', START, 0)
    for at in (80, 113):
        watched.add('visible', START + at * MS, at * MS)
    watched.add('thermal', START + 111 * MS, 111 * MS + 5 * MS)
    watched.finish()
    assert [(pair.delta_ns // MS, pair.held) for pair in watched.pairs] == [
        (0, False), (31, True), (-2, False)]
    assert watched.pairer.reused == 1
