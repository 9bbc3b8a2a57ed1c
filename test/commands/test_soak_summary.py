# SPDX-License-Identifier: Apache-2.0
from types import SimpleNamespace

import pytest

from degfusion_ros.commands.soak_summary import memory, summarise, table
from degfusion_ros.node.soak_cameras import Due
from degfusion_ros.node.soak_faults import Fault, KINDS, TOLD

CLOSED = {'received.visible': '1000', 'received.thermal': '1000', 'pairs': '1000',
          'fused': '1000', 'in_progress': '0', 'state': 'running'}
GONE = Fault('thermal gone', 100.0, 104.0)


def log(**changed):
    given = {
        'fusable': dict.fromkeys(range(1000), Due('none', 1.0)) | {7: Due('thermal gone', 0.5)},
        'fused': set(range(1000)), 'sent': {'visible': 1000, 'thermal': 1003}, 'values': CLOSED,
        'memory': [(t, 500.0 + min(t, 100)) for t in range(1000)],
        'statuses': [(t, f'alone: thermal {"missing" if 101 <= t <= 104 else "found"}')
                     for t in range(1000)], 'seconds': 1000.0}
    return SimpleNamespace(**(given | changed))


def test_a_good_soak_passes_and_tells_what_was_lost_and_when_it_was_told():
    summary = summarise(log(), [GONE])
    assert summary['passed'] and summary['fused_share'] == 1 and summary['unaccounted'] == {}
    assert summary['not_arrived'] == {'visible': 0, 'thermal': 3}
    assert summary['faults']['thermal gone'] == {'times': 1, 'lost': 0, 'told_after_s': 1.0}
    assert '| thermal gone | 1 | 0 | 1.0 s |' in table(summary)


@pytest.mark.parametrize('changed', [
    {'fused': set(range(11, 1000))}, {'values': CLOSED | {'received.visible': '1001'}},
    {'memory': [(t, 500.0 + 0.01 * t) for t in range(1000)]}, {'fusable': {}}])
def test_lost_pairs_open_books_and_growing_memory_fail(changed):
    assert not summarise(log(**changed), [GONE])['passed']


def test_a_fault_that_was_not_told_is_marked_and_losses_are_booked_on_their_fault():
    summary = summarise(log(statuses=[(1.0, 'thermal missing'), (102.0, 'visible missing')],
                            fused=set(range(8, 1000))), [GONE])
    assert summary['faults']['thermal gone'] == {'times': 1, 'lost': 1, 'told_after_s': -1.0}
    assert summary['faults']['none']['lost'] == 7 and 'not always' in table(summary)
    assert summary['lost'][-1] == {'fault': 'thermal gone', 'after_s': 0.5}
    assert set(TOLD) == set(KINDS) - {'thermal late'}


def test_memory_is_compared_after_the_caches_have_filled():
    grown = memory([(t, 100.0 + min(t, 200)) for t in range(1000)])
    assert grown == {'warm': 300.0, 'end': 300.0, 'growth': 0.0}
    assert memory([]) == {'warm': 0.0, 'end': 0.0, 'growth': 0.0}
