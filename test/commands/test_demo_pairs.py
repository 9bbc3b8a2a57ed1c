# SPDX-License-Identifier: Apache-2.0
"""Which pairs a bag holds, and what became of them."""

from flown import flight, MS, STEP
import pytest

from degfusion_ros.commands.demo_pairs import DEFAULT, dropped, planned_pairs, Sync, sync_of
from degfusion_ros.node.parameters import DEFAULTS


def planned(visible, thermal, sync=DEFAULT):
    return planned_pairs({'visible': dict.fromkeys(visible, 0),
                          'thermal': dict.fromkeys(thermal, 0)}, sync)


@pytest.mark.parametrize('fused, node, causes', [
    (7, {'dropped.visible.wrong_step': 3}, {'wrong_step': 3}),
    (7, {'received.visible': 8, 'dropped.pairs.all_nan': 1},
     {'lost_in_transport': 2, 'all_nan': 1}),
    # Two thermal frames lost on the way leave two visible frames alone.
    (8, {'received.thermal': 8, 'dropped.visible.no_partner': 2}, {'lost_in_transport': 2}),
    (8, {'dropped.thermal.wrong_step': 2, 'dropped.visible.no_partner': 2},
     {'thermal_wrong_step': 2}),
    (8, {'dropped.visible.no_partner': 2, 'dropped.thermal.unused': 2}, {'no_partner': 2}),
    (8, {'fused': 10}, {'lost_on_the_way_back': 2}),
    (8, {'in_progress': 1, 'waiting.visible': 1}, {'still_waiting': 2}),
    (6, {'dropped.pairs.busy': 1}, {'busy': 1, 'unaccounted': 3})])
def test_causes(fused, node, causes):
    made = flight(fused=fused, node=node)
    assert dropped(made, planned_pairs(made.sent, DEFAULT), DEFAULT) == causes


def test_planned_pairs_are_mutually_nearest():
    assert planned([0, STEP], [4 * MS, STEP - 3 * MS]) == {0: 4 * MS, STEP: STEP - 3 * MS}
    # A slow thermal stream: the visible frame nearest to each thermal one.
    visible = [i * 33 * MS for i in range(30)]
    assert planned(visible, [40 * MS, 160 * MS]) == {33 * MS: 40 * MS, 165 * MS: 160 * MS}
    assert planned([0], [51 * MS]) == {} and planned([], [1]) == {}


def test_the_nodes_defaults_are_the_demos():
    assert sync_of(DEFAULTS) == DEFAULT


def test_parameters_tell_what_makes_a_pair():
    sync = sync_of(DEFAULTS | {'sync.reference': 'thermal', 'sync.max_dt_s': 0.1,
                               'sync.offset_visible_s': -0.5})
    assert sync == Sync('thermal', 100 * MS, {'visible': -500 * MS, 'thermal': 0})
    assert planned([560 * MS], [0], sync) == {0: 560 * MS}
    assert planned([560 * MS], [0]) == {}
    assert sync_of(DEFAULTS | {'sync.policy': 'exact'}).max_dt_ns == 0
