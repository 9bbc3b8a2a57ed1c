# SPDX-License-Identifier: Apache-2.0
"""The weather: only what the schedule says, physical fog, and no flicker."""

import numpy as np
import pytest

from degfusion_ros.drive.scene import Frame
from degfusion_ros.drive.schedule import Segment
from degfusion_ros.drive.weather import degrade, SteadyRandom


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    depth = np.repeat(np.linspace(120, 3, 512, dtype=np.float32)[:, None], 640, axis=1)
    return Frame(rng.integers(0, 200, (512, 640, 3), dtype=np.uint8),
                 rng.integers(6900, 7600, (512, 640), dtype=np.uint16), depth)


def plan(visible=None, thermal=None):
    return (Segment('one', 0.0, 10.0, visible or {}, thermal or {}),)


def test_a_clear_stretch_leaves_the_frame_alone(frame):
    same = degrade(frame, 5.0, plan())
    assert same.visible is frame.visible and same.thermal is frame.thermal


@pytest.mark.parametrize('label', ['fog', 'rain', 'low_light', 'overexposure', 'noise', 'blur'])
def test_visible_conditions_touch_the_visible_image_alone(frame, label):
    bad = degrade(frame, 5.0, plan(visible={label: 0.7}))
    assert np.abs(bad.visible.astype(int) - frame.visible).mean() > 2
    assert bad.visible.dtype == np.uint8 and bad.thermal is frame.thermal


@pytest.mark.parametrize('label', ['stripe', 'low_contrast', 'noise', 'blur'])
def test_thermal_conditions_touch_the_thermal_image_alone(frame, label):
    bad = degrade(frame, 5.0, plan(thermal={label: 0.7}))
    assert np.abs(bad.thermal.astype(int) - frame.thermal).mean() > 5
    assert bad.thermal.dtype == np.uint16 and bad.visible is frame.visible


def test_fog_grows_with_depth(frame):
    bad = degrade(frame, 5.0, plan(visible={'fog': 0.8}))
    contrast = bad.visible.std(axis=(1, 2)) / frame.visible.std(axis=(1, 2))
    assert contrast[-20:].mean() > 3 * contrast[:20].mean()


@pytest.mark.parametrize('label', ['fog', 'low_light', 'overexposure'])
def test_what_is_no_grain_does_not_flicker(frame, label):
    segment = plan(visible={label: 0.7})
    assert np.array_equal(degrade(frame, 5.0, segment).visible,
                          degrade(frame, 5.1, segment).visible)


def test_stripes_are_a_fixed_pattern(frame):
    segment = plan(thermal={'stripe': 0.7})
    assert np.array_equal(degrade(frame, 5.0, segment).thermal,
                          degrade(frame, 5.1, segment).thermal)


@pytest.mark.parametrize('label', ['rain', 'noise'])
def test_grain_changes_from_frame_to_frame_and_is_repeatable(frame, label):
    segment = plan(visible={label: 0.7})
    first, later = degrade(frame, 5.0, segment).visible, degrade(frame, 5.1, segment).visible
    assert not np.array_equal(first, later)
    assert np.array_equal(first, degrade(frame, 5.0, segment).visible)
    assert abs(float(first.mean()) - float(later.mean())) < 2, 'its strength must not flicker'


def test_steady_random_keeps_single_numbers_and_changes_fields():
    one, other = SteadyRandom(3, 1), SteadyRandom(3, 2)
    assert one.uniform(0, 1) == other.uniform(0, 1)
    assert one.normal(0, 2) == other.normal(0, 2)
    assert one.random() == other.random() and one.integers(5, 90) == other.integers(5, 90)
    assert not np.array_equal(one.standard_normal((4, 4)), other.standard_normal((4, 4)))
    assert not np.array_equal(one.uniform(0, 1, (4, 4)), other.uniform(0, 1, (4, 4)))
