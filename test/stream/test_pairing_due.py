# SPDX-License-Identifier: Apache-2.0
"""When a pairing wants to be woken: as soon as it is settled, and never for nothing."""

from statistics import median

import pytest

from degfusion_ros.stream.pairing import Pair, Pairer
from degfusion_ros.stream.replay import DEFAULTS
from degfusion_ros.stream.scenarios import Camera, MS, play, Scenario


def woken(pairer, events, wake):
    """Return the pairs, and how long each was made after its later frame (ms)."""
    made = []
    for event in events:
        while (at := getattr(pairer, wake)()) is not None and at <= event.arrival_ns:
            made += [(pair, at) for pair in pairer.poll(at)]
        now = event.arrival_ns
        made += [(pair, now) for pair in pairer.add(event.stream, event.stamp_ns, event, now)]
    made = [(pair, at) for pair, at in made if isinstance(pair, Pair)]
    return [pair for pair, _ in made], [
        (at - max(pair.reference.arrival_ns, pair.other.arrival_ns)) / MS for pair, at in made]


@pytest.mark.parametrize('hz', [10, 15, 30])
def test_frames_out_of_order_delay_pairs_by_what_they_are_late(hz):
    """At 10 Hz, 5 % of them swapped, 20 ms late: pairs were 96 ms old, waiting for a frame."""
    cameras = (Camera(hz, phase=phase, swapped=0.05) for phase in (0, 4))
    events = play(Scenario('swapped', *cameras), 40)
    pairs, ages = woken(Pairer(**DEFAULTS), events, 'next_due_ns')
    late, old = woken(Pairer(**DEFAULTS), events, 'next_deadline_ns')
    assert median(ages) <= 1.3 * 200 / hz < median(old) and len(pairs) >= len(late)
    assert [pair.delta_ns for pair in pairs] == [pair.delta_ns for pair in late]


def test_nothing_is_due_while_nothing_waits_and_at_last_the_deadline_is():
    pairer = Pairer(wait_ns=50 * MS)
    assert pairer.next_due_ns() is None
    pairer.add('thermal', 1000 * MS, None, 0)
    assert pairer.next_due_ns() is None
    pairer.add('visible', 1500 * MS, None, 7 * MS)
    assert pairer.next_due_ns() == pairer.next_deadline_ns() == 57 * MS
