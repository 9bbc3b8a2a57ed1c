# SPDX-License-Identifier: Apache-2.0
"""Pairing under any order, any stamps and any two cameras: the rules hold at every step."""

from hypothesis import given, settings, strategies as st
from watched import cameras, MS, play, START, Watched

from degfusion_ros.stream.pairing import Pair, Pairer
from degfusion_ros.stream.presence import Presence

options = st.fixed_dictionaries({
    'reference': st.sampled_from(['visible', 'thermal']),
    'max_dt_ns': st.sampled_from([0, 5 * MS, 20 * MS, 50 * MS, 200 * MS]),
    'wait_ns': st.sampled_from([0, 10 * MS, 50 * MS, 150 * MS]),
    'hold_ns': st.sampled_from([0, 0, 40 * MS, 150 * MS]),
    'lost_after_ns': st.sampled_from([0, 0, 60 * MS, 300 * MS]),
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


@given(options, st.sampled_from([6, 9, 10, 25, 30, 60]), st.sampled_from([6, 9, 10, 25, 30, 60]),
       st.integers(-40, 40), st.tuples(st.integers(0, 90), st.integers(0, 90)),
       st.floats(0, 15), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_any_two_cameras(options, visible_hz, thermal_hz, phase, delays, jitter, random):
    play(cameras(visible_hz, thermal_hz, 1, phase, delays,
                 lambda stream, index: random.uniform(-jitter, jitter)), **options)


@given(st.sampled_from(['visible', 'thermal']), st.integers(0, 2000), st.integers(1, 40),
       st.sampled_from([9, 25, 30]), st.tuples(st.integers(0, 1500), st.integers(0, 1500)),
       st.sampled_from([0, 40, 300, 1200]))
@settings(max_examples=100, deadline=None)
def test_no_reference_vanishes_whatever_wait_and_capacity_are(
        reference, wait_ms, capacity, other_hz, late_ms, hold_ms):
    """One that is dropped is counted, and none is once its stream may go on alone."""
    presence = Presence(300 * MS)
    pairer = Pairer(reference, wait_ns=wait_ms * MS, hold_ns=hold_ms * MS, capacity=capacity,
                    presence=presence)
    rates = (30, other_hz) if reference == 'visible' else (other_hz, 30)
    received, shown = [], []

    def lost():
        causes = pairer.dropped[reference]
        return causes.get('overflow', 0) + causes.get('no_partner', 0)

    def take(step, now):
        before = lost()
        for one in step():
            if isinstance(one, Pair) or one.stream == reference:
                shown.append(one.reference if isinstance(one, Pair) else one.item)
        assert pairer.waiting[reference] <= capacity
        assert lost() == before or not presence.alone(reference, now)
        assert len(received) == len(shown) + pairer.waiting[reference] + sum(
            pairer.dropped[reference].values())

    for arrival, stream, stamp in cameras(*rates, 3, 4, late_ms):
        while (deadline := pairer.next_deadline_ns()) is not None and deadline <= arrival:
            take(lambda now=deadline: pairer.poll(now), deadline)
        if stream == reference:
            received.append(stamp)
        take(lambda: pairer.add(stream, stamp, stamp, arrival), arrival)  # noqa: B023
    assert shown == sorted(set(shown))
