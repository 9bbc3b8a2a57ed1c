# SPDX-License-Identifier: Apache-2.0
"""The schedule covers the drive without gaps and asks only for labels there are."""

from degfusion_ros.drive.schedule import duration, RAMP, SCHEDULE, segment_at, severities
from degfusion_ros.models.labels import THERMAL_LABELS, VISIBLE_LABELS


def test_segments_follow_each_other_and_last():
    assert SCHEDULE[0].t0 == 0
    for before, after in zip(SCHEDULE, SCHEDULE[1:]):
        assert before.t1 == after.t0
    assert all(s.t1 - s.t0 >= 4 for s in SCHEDULE)
    assert 40 <= duration() <= 60


def test_labels_are_those_of_the_models():
    for segment in SCHEDULE:
        assert set(segment.visible) <= set(VISIBLE_LABELS)
        assert set(segment.thermal) <= set(THERMAL_LABELS)
        assert all(0 < v <= 1 for v in {**segment.visible, **segment.thermal}.values())


def test_every_condition_of_the_drive_comes_along():
    visible = {label for s in SCHEDULE for label in s.visible}
    thermal = {label for s in SCHEDULE for label in s.thermal}
    assert visible >= {'fog', 'low_light', 'noise', 'rain', 'overexposure'}
    assert thermal >= {'stripe', 'low_contrast'}
    assert not SCHEDULE[0].visible and not SCHEDULE[-1].thermal


def test_severities_ramp_in_and_out():
    fog = next(s for s in SCHEDULE if 'fog' in s.visible)
    full = fog.visible['fog']
    assert severities(fog.t0)[0]['fog'] == 0
    assert abs(severities(fog.t0 + RAMP / 2)[0]['fog'] - full / 2) < 1e-9
    assert severities((fog.t0 + fog.t1) / 2) == ({'fog': full}, {})
    assert abs(severities(fog.t1 - RAMP / 4)[0]['fog'] - full / 4) < 1e-9
    assert severities(0.5) == ({}, {})


def test_times_outside_belong_to_the_ends():
    assert segment_at(-1).name == 'clear'
    assert segment_at(1e6) is SCHEDULE[-1]
    assert severities(1e6) == ({}, {})
