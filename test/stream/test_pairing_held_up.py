# SPDX-License-Identifier: Apache-2.0
"""A caller that was held up brings what came meanwhile one by one: it is paired all the same."""

from hypothesis import given, settings, strategies as st
from watched import cameras, MS, START

from degfusion_ros.stream.pairing import Pairer

PERIOD = 33 * MS


def test_a_wait_that_ended_while_the_partner_lay_in_a_queue_is_not_over():
    pairer = Pairer(hold_ns=300 * MS)
    for stream in ('visible', 'thermal'):
        pairer.add(stream, START, f'{stream} 0', 0, expire=False)
    assert pairer.add('visible', START + PERIOD, 'visible 1', PERIOD, expire=False) == []
    late = PERIOD + 400 * MS
    for stream, number in (('visible', 2), ('thermal', 1), ('thermal', 2)):
        assert pairer.add(
            stream, START + number * PERIOD, f'{stream} {number}', late, expire=False) == []
    assert [(pair.reference, pair.other, pair.held) for pair in pairer.poll(late)] == [
        ('visible 1', 'thermal 1', False), ('visible 2', 'thermal 2', False)]


def test_a_partner_that_completes_a_pair_in_time_is_not_left_to_poll():
    pairer = Pairer()
    pairer.add('visible', START, 'v', 0, expire=False)
    assert pairer.add('thermal', START, 't', 49 * MS, expire=False)[0].other == 't'


@given(st.integers(1, 16), st.integers(1, 5))
def test_a_partner_in_hand_is_not_thrown_away_for_want_of_room(capacity, count):
    pairer, late = Pairer(capacity=capacity), 400 * MS
    pairer.add('visible', START, 'v', 0, expire=False)
    made = [pair for index in range(count) for pair in pairer.add(
        'thermal', START + index * 16 * MS, index, late, expire=False)] + pairer.poll(late)
    assert [(pair.reference, pair.other) for pair in made] == [('v', 0)]


@given(st.integers(1, 8), st.integers(10, 40))
def test_of_one_too_many_the_oldest_goes_whoever_was_held_up(capacity, count):
    pairer = Pairer(capacity=capacity)
    for index in range(count):
        pairer.add('visible', START + index * PERIOD, index, index * PERIOD, expire=False)
        assert pairer.waiting['visible'] <= capacity
    assert pairer.dropped['visible'] == {'overflow': count - capacity}
    pairer.poll(count * PERIOD + 50 * MS)
    assert pairer.dropped['visible'] == {'overflow': count - capacity, 'no_partner': capacity}


@given(st.integers(-12, 12), st.tuples(st.integers(0, 120), st.integers(0, 120)),
       st.integers(500, 1500), st.integers(0, 500), st.sampled_from([10, 50, 150]),
       st.sampled_from([0, 300]))
@settings(max_examples=150, deadline=None)
def test_a_hold_up_changes_no_pair(phase_ms, delays_ms, since_ms, hold_up_ms, wait_ms, hold_ms):
    """Whatever comes during it is brought after it: a frame of each stream in turn."""
    events = cameras(30, 30, 3, phase_ms, delays_ms)
    wait_ms += abs(delays_ms[0] - delays_ms[1]) + abs(phase_ms)
    pairer = Pairer(wait_ns=wait_ms * MS, hold_ns=hold_ms * MS, capacity=64)
    since, until = ((1000 + at) * MS for at in (since_ms, since_ms + hold_up_ms))
    queues = {'visible': [], 'thermal': []}
    made = []

    def wake(now):
        while (due := pairer.next_due_ns()) is not None and due <= now:
            made.extend(pairer.poll(max(due, until) if due > since else due))

    def bring(now):
        while any(queues.values()):
            for stream, queue in queues.items():
                if queue:
                    stamp = queue.pop(0)
                    made.extend(pairer.add(stream, stamp, stamp, now, expire=False))

    for arrival, stream, stamp in events:
        if since <= arrival < until:
            queues[stream].append(stamp)
            continue
        if arrival < since:
            wake(arrival)
        else:
            bring(until)
            wake(arrival)
        made.extend(pairer.add(stream, stamp, stamp, arrival, expire=False))
    made.extend(pairer.poll(10_000 * MS))
    fresh = [pair for pair in made if not pair.held]
    assert len(fresh) == 90 and {abs(pair.delta_ns) for pair in fresh} == {abs(phase_ms) * MS}
