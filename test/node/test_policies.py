# SPDX-License-Identifier: Apache-2.0
"""message_filters' own code, where a ROS 2 install has it, on simulated cameras."""

import pytest
from test_synchronised import Filters

from degfusion_ros.node import compatibility, policies
from degfusion_ros.stream import replay
from degfusion_ros.stream.scenarios import Camera, MS, play, Scenario, SCENARIOS, VISIBLE

installed = pytest.mark.skipif(
    bool(policies.available()), reason='message_filters comes with a ROS 2 install')


def named(name):
    return next(scenario for scenario in SCENARIOS if scenario.name == name)


@installed
@pytest.mark.parametrize('name, policy, share', [
    ('one trigger for both', 'exact', 1.0), ('30 Hz and 30 Hz', 'exact', 0.0),
    ('30 Hz and 30 Hz', 'approximate', 1.0), ('9 Hz thermal, no hold', 'approximate', 0.3)])
def test_its_policies_pair_what_they_can(name, policy, share):
    scenario = named(name)
    events = play(scenario, 10)
    made, told = policies.through(policy, scenario, events)
    found = replay.measure(scenario, events, made)
    assert found['fused_share'] == pytest.approx(share, abs=0.01)
    assert told['unmatched']['visible'] == found['visible'] - found['pairs']


@installed
def test_what_it_gets_wrong_is_what_ours_gets_right():
    scenario = named('60 Hz thermal, 30 ms late')
    events = play(scenario, 10)
    theirs = replay.measure(
        scenario, events, policies.through('approximate', scenario, events)[0])
    ours = replay.measure(scenario, events, replay.through_pairer(scenario, events)[0])
    assert theirs['delta_ms']['mean'] > 25 > 5 > ours['delta_ms']['mean']


def test_it_has_the_offsets_as_ours_has(monkeypatch):
    monkeypatch.setattr(compatibility, 'message_filters', lambda: (Filters, ''))
    scenario = Scenario('one trigger, thermal clock behind', VISIBLE, Camera(30, behind=570),
                        {'offsets_ns': {'visible': 0, 'thermal': 570 * MS}})
    events = play(scenario, 4)
    for made, _ in (policies.through('exact', scenario, events),
                    replay.through_pairer(scenario, events)):
        found = replay.measure(scenario, events, made)
        assert (found['fused_share'], found['delta_ms']['max']) == (1.0, 0.0)
