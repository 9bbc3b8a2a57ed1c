# SPDX-License-Identifier: Apache-2.0
"""The simulated cameras are what they are called, and our pairing keeps its word on them."""

from collections import Counter

import pytest

from degfusion_ros.stream import replay
from degfusion_ros.stream.scenarios import Camera, MS, play, Scenario, SCENARIOS, START_NS, VISIBLE

by_name = pytest.mark.parametrize('scenario', SCENARIOS, ids=lambda scenario: scenario.name)


@by_name
def test_pairs_are_the_nearest_possible_and_every_frame_is_accounted_for(scenario):
    events = play(scenario, 12)
    made, told = replay.through_pairer(scenario, events)
    found = replay.measure(scenario, events, made)
    assert told['accounted']
    if not found['gap']:
        late = any(camera.spread or camera.swapped
                   for camera in (scenario.visible, scenario.thermal))
        learning = 0.4 if late else 0.0  # how late frames come is learnt on the way
        assert found['delta_ms']['mean'] - found['nearest_ms'] <= 0.1 + learning
    assert found['recovery'] is None or max(found['recovery']) <= 1
    hold = (replay.DEFAULTS | scenario.options)['hold_ns']
    if hold and not scenario.loop_s:
        shown = found['pairs'] + found['single']
        assert shown >= found['visible'] * (0.97 if scenario.visible.swapped else 0.98)


def test_a_scenario_is_the_same_each_time_and_another_with_another_seed():
    scenario = next(s for s in SCENARIOS if 'jitter' in s.name)
    assert play(scenario, 3) == play(scenario, 3) != play(scenario, 3, seed=1)


def test_a_camera_is_late_behind_and_gone_as_it_says():
    scenario = Scenario('x', VISIBLE, Camera(10, phase=3, delay=40, behind=500, gap=(1, 2)))
    frames = [event for event in play(scenario, 3) if event.stream == 'thermal']
    assert len(frames) == 20
    assert {round((e.arrival_ns - e.stamp_ns + START_NS) / MS, 3) for e in frames} == {540}
    assert not [e for e in frames if 1040 * MS < e.arrival_ns < 2040 * MS]


def test_shares_of_bad_frames_are_about_what_they_say():
    camera = Camera(100, repeated=0.1, zero=0.1)
    frames = [e.stamp_ns for e in play(Scenario('x', camera, VISIBLE), 20)
              if e.stream == 'visible']
    counts = Counter(frames)
    assert 150 < counts.pop(0) < 280
    assert 130 < sum(count == 2 for count in counts.values()) < 270


def test_clocks_of_a_drifting_camera_are_found():
    scenario = next(s for s in SCENARIOS if 'drifts' in s.name)
    assert abs(replay.clocks(play(scenario, 30))['drift_ppm'] - 300) < 1
    assert replay.clocks(play(scenario, 0.5)) == {
        'offset_ms': None, 'drift_ppm': None, 'error_ppm': None}


def test_a_wrong_pair_would_show():
    scenario = SCENARIOS[1]
    events = play(scenario, 4)
    visible = [e for e in events if e.stream == 'visible']
    thermal = [e for e in events if e.stream == 'thermal']
    made = [replay.Made(a, b, b.arrival_ns) for a, b in zip(visible, thermal[1:])]
    found = replay.measure(scenario, events, made)
    assert found['delta_ms']['mean'] > 35 and abs(found['nearest_ms'] - 4) < 0.1
