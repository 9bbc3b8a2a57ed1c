# SPDX-License-Identifier: Apache-2.0
"""What waited for a camera that turns out to be lost: the newest frames go on, or all do."""

from hypothesis import given, settings, strategies as st
import pytest
from watched import cameras, MS, play

CAMERA = {'max_dt_ns': 20 * MS, 'wait_ns': 150 * MS, 'lost_after_ns': 300 * MS}
FROM_MS, UNTIL_MS = 1000, 2500


def losing(lost, hz=30, phase_ms=4):
    """Two cameras, of which one sends nothing for 1.5 s."""
    first, last = (int(at * hz / 1000) for at in (FROM_MS, UNTIL_MS))
    return cameras(hz, hz, 4, phase_ms, lost=[(lost, index) for index in range(first, last)])


@given(st.sampled_from(['visible', 'thermal']), st.sampled_from(['visible', 'thermal']),
       st.sampled_from([9, 30, 60]), st.integers(-8, 8), st.sampled_from([0, 50, 150, 400]),
       st.sampled_from([0, 300, 1200]), st.sampled_from([200, 300, 500]), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_no_more_than_the_newest_go_on_at_once(
        lost, reference, hz, phase_ms, wait_ms, hold_ms, lost_after_ms, release):
    watched = play(losing(lost, hz, phase_ms), reference=reference, max_dt_ns=20 * MS,
                   wait_ns=wait_ms * MS, hold_ns=hold_ms * MS, lost_after_ns=lost_after_ms * MS,
                   capacity=64, release=release)
    assert max(watched.lots) <= release
    shown = [one.stamp_ns for one in watched.singles + watched.pairs]
    assert len(shown) == len(set(shown))
    left = 'thermal' if lost == 'visible' else 'visible'
    causes = watched.pairer.dropped[left]
    assert len(shown) >= 4 * hz - 2 - causes.get('stale', 0) - causes.get('no_partner', 0) - (
        causes.get('unused', 0))


@pytest.mark.parametrize('lost, waited', [('visible', 10), ('thermal', 5)])
def test_of_those_that_waited_two_go_on_and_the_others_are_stale(lost, waited):
    watched = play(losing(lost), release=2, **CAMERA)
    left = 'thermal' if lost == 'visible' else 'visible'
    assert watched.pairer.dropped[left].pop('stale') == waited - 2
    alone = sorted(one.stamp_ns for one in watched.singles)
    assert {round((after - before) / MS) for before, after in zip(alone, alone[1:])} == {33}


@pytest.mark.parametrize('lost, waited', [('visible', 10), ('thermal', 5)])
def test_unless_told_otherwise_all_go_on(lost, waited):
    """As for a bag, which no worker is too slow for."""
    watched = play(losing(lost), **CAMERA)
    assert max(watched.lots) == waited
    assert not any('stale' in causes for causes in watched.pairer.dropped.values())
