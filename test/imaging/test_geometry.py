# SPDX-License-Identifier: Apache-2.0
import cv2
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

from degfusion_ros.imaging.geometry import Plane, Rig
from degfusion_ros.imaging.lens import Lens

GRID = np.stack(np.meshgrid(np.arange(5, 640, 45.0), np.arange(5, 480, 45.0)), -1).reshape(-1, 2)
BENT = Lens((320, 240), np.array([[280, 0, 161], [0, 282, 118], [0, 0, 1.0]]), 'plumb_bob',
            (-0.3, 0.1, 0.0, 0.0, 0.0))


def test_a_plane_is_the_inverse_homography():
    forth = np.array([[1.5, 0.1, 20], [-0.05, 1.4, 10], [1e-4, 0, 1]])
    there = Plane(forth).to_thermal(GRID)
    back = cv2.perspectiveTransform(there[:, None], forth)[:, 0]
    np.testing.assert_allclose(back, GRID, atol=1e-8)
    np.testing.assert_allclose(Plane(-3 * forth).to_thermal(GRID), there)


def test_beyond_the_horizon_there_is_nothing():
    plane = Plane(np.array([[1, 0, 0], [0, 1, 0], [0.01, 0, 1.0]]), (320, 240))
    found = plane.to_thermal(np.array([[50.0, 5], [150, 5]]))  # nothing maps beyond x = 100
    assert np.isfinite(found[0]).all() and np.isnan(found[1]).all()


def test_lenses_are_undone_and_done():
    visible = Lens.guess((640, 480))
    plane = Plane(np.diag([2.0, 2, 1]), None, None, BENT, visible)
    ideal = Plane(np.diag([2.0, 2, 1])).to_thermal(GRID)
    expected = BENT.pixels((ideal - BENT.matrix[:2, 2]) / np.diag(BENT.matrix)[:2])
    np.testing.assert_allclose(plane.to_thermal(GRID), expected, atol=1e-6)


@given(st.tuples(*[st.floats(-0.2, 0.2)] * 3), st.tuples(*[st.floats(-0.3, 0.3)] * 3),
       st.sampled_from([2.0, 10.0, np.inf]))
@settings(max_examples=50, deadline=None)
def test_a_rig_takes_a_pixel_to_where_its_point_is_seen(turn, shift, depth):
    """Point by point: visible pixel, the point at that depth, its thermal projection."""
    rotation, shift = cv2.Rodrigues(np.array(turn))[0], np.array(shift)
    visible, thermal = Lens.guess((640, 480)), BENT
    found = Rig(visible, thermal, rotation, shift, depth).to_thermal(GRID)
    for pixel, place in zip(GRID[::13], found[::13]):
        x, y = visible.directions(pixel[None])[0]
        point = np.array([x, y, 1])
        seen = rotation.T @ (point - shift / depth)
        if np.isnan(place).any():
            assert seen[2] < 0.1 or np.abs(seen[:2] / seen[2]).max() > 0.5
        else:
            np.testing.assert_allclose(place, thermal.pixels(seen[None, :2] / seen[2])[0])


def test_behind_the_thermal_camera_there_is_nothing():
    backwards = cv2.Rodrigues(np.array([0, np.pi, 0]))[0]
    rig = Rig(Lens.guess((640, 480)), Lens.guess((320, 240)), backwards)
    assert np.isnan(rig.to_thermal(GRID)).all()


@pytest.mark.parametrize('depth, shift', [(1.0, 64.0), (10.0, 6.4), (np.inf, 0.0)])
def test_parallax_falls_with_depth(depth, shift):
    lens = Lens.guess((640, 480))
    rig = Rig(lens, lens, np.eye(3), np.array([0.1, 0, 0]), depth)
    np.testing.assert_allclose(rig.to_thermal(GRID), GRID - (shift, 0), atol=1e-6)
