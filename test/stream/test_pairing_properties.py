# SPDX-License-Identifier: Apache-2.0
"""Pairing under any order, any stamps and any two cameras: the rules hold at every step."""

from hypothesis import given, settings, strategies as st
from watched import cameras, MS, play, START, Watched

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
