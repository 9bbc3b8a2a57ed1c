# SPDX-License-Identifier: Apache-2.0
"""The scene: repeatable, right in shape and units, warm people, depth up to the horizon."""

import numpy as np
import pytest

from degfusion_ros.drive import traffic
from degfusion_ros.drive.camera import EYE, FAR, FOCAL, View
from degfusion_ros.drive.scene import KELVIN_PER_COUNT, Scene


@pytest.fixture(scope='module')
def scene():
    return Scene()


def test_shapes_types_and_ranges(scene):
    frame = scene.render(3.0)
    assert frame.visible.shape == (512, 640, 3) and frame.visible.dtype == np.uint8
    assert frame.thermal.shape == (512, 640) and frame.thermal.dtype == np.uint16
    assert frame.depth.shape == (512, 640) and frame.depth.dtype == np.float32
    assert frame.thermal.max() < 2 ** 14
    kelvin = frame.thermal * KELVIN_PER_COUNT
    assert 240 < kelvin.min() < 275 and 300 < kelvin.max() < 340
    assert frame.visible.min() < 30 and frame.visible.max() > 230
    assert np.isfinite(frame.depth).all() and frame.depth.min() > 0.3


def test_same_seed_same_pictures_another_seed_others(scene):
    again = Scene().render(7.3)
    for one, other in zip(scene.render(7.3), again):
        assert np.array_equal(one, other)
    assert not np.array_equal(again.visible, Scene(seed=8).render(7.3).visible)


def test_the_order_of_rendering_does_not_matter(scene):
    before = scene.render(12.0).visible
    scene.render(2.0)
    assert np.array_equal(before, scene.render(12.0).visible)


def test_the_scene_moves(scene):
    one, other = scene.render(5.0).visible, scene.render(5.1).visible
    assert np.abs(one.astype(int) - other).mean() > 3


def test_depth_of_the_road_is_that_of_a_flat_ground(scene):
    t = 1.0
    frame, view = scene.render(t), View.at(traffic.ego_position(t), t)
    rows = np.arange(360, 512)
    expected = FOCAL * EYE / (rows + 0.5 - view.horizon)
    assert np.allclose(frame.depth[360:, 300], expected, rtol=1e-3)
    assert (np.diff(frame.depth[360:, 300]) < 0).all(), 'farther rows must be farther away'
    assert frame.depth[5, 200] == FAR


def people(scene, t):
    """Return (pixel rectangle, mover) of whoever walks 6 to 25 m ahead, within the picture."""
    view = View.at(traffic.ego_position(t), t)
    for mover in traffic.movers(t):
        if mover.kind not in ('walker', 'crosser') or not 6 < mover.s - view.s < 25:
            continue
        x, y, z = view.place(mover.s, mover.d, 0)
        (left, top), (right, bottom) = view.project(
            np.array([(x - 0.2, y - 1.7, z), (x + 0.2, y - 0.2, z)]))
        if left > 5 and right < 635:
            yield (slice(int(top), int(bottom)), slice(int(left), int(right) + 1)), mover, z


def test_people_are_far_warmer_than_the_street(scene):
    """Over the drive; parked cars may hide some, so the share counts."""
    seen = []
    for t in (4.0, 8.0, 16.0, 18.0, 24.0, 33.0, 38.0):
        frame = scene.render(t)
        street = np.median(frame.thermal[380:]) * KELVIN_PER_COUNT
        for where, _, z in people(scene, t):
            if abs(np.median(frame.depth[where]) - z) < 1.5:
                seen.append(np.percentile(frame.thermal[where], 90) * KELVIN_PER_COUNT - street)
    assert len(seen) >= 5
    assert min(seen) > 5


def test_visible_and_thermal_show_the_same_outlines(scene):
    """Where the depth jumps by far, both pictures have an edge, at the same pixels."""
    frame = scene.render(2.0)
    jump = np.abs(np.diff(frame.depth, axis=1)) > 50
    away = np.roll(jump, 12, axis=1)
    for image in (frame.visible.mean(axis=2), frame.thermal.astype(float)):
        step = np.abs(np.diff(image, axis=1))
        assert step[jump].mean() > 2 * step[away & ~jump].mean()


def test_nobody_is_run_over():
    """The ego car keeps clear of everyone on the crossings and of the cyclists."""
    for t in np.arange(0, 44.5, 0.1):
        here = traffic.ego_position(t)
        for mover in traffic.movers(t):
            if mover.kind != 'car' and -1 < mover.s - here < 3:
                assert abs(mover.d - 1.75) > 1.2, (t, mover)
