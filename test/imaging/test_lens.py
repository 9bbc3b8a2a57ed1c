# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest

from degfusion_ros.imaging.lens import Lens

MATRIX = np.array([[400, 0, 322], [0, 405, 236], [0, 0, 1.0]])
LENSES = [
    Lens.guess((640, 480)), Lens((640, 480), MATRIX, 'plumb_bob', (-0.3, 0.1, 0.001, 0.002, 0.0)),
    Lens((640, 480), MATRIX, 'plumb_bob', (0.2, 0.0, 0.0, 0.0)),
    Lens((640, 480), MATRIX, 'rational_polynomial', (0.5, 0.1, 0, 0, 0.01, 0.8, 0.2, 0.01)),
    Lens((640, 480), MATRIX, 'equidistant', (0.02, -0.01, 0.002, 0.0))]
GRID = np.stack(np.meshgrid(np.arange(0, 640, 40.0), np.arange(0, 480, 40.0)), -1).reshape(-1, 2)


@pytest.mark.parametrize('lens', LENSES, ids=lambda lens: f'{lens.model}{len(lens.distortion)}')
def test_every_pixel_has_a_direction_and_comes_back(lens):
    np.testing.assert_allclose(lens.pixels(lens.directions(GRID)), GRID, atol=0.02)


@pytest.mark.parametrize('lens', LENSES[1:4], ids=lambda lens: f'{lens.model}{lens.distortion}')
def test_pixels_are_those_of_opencv(lens):
    directions = np.random.default_rng(0).uniform(-0.5, 0.5, (100, 2))
    rays = np.column_stack([directions, np.ones(100)])
    expected, _ = cv2.projectPoints(rays, np.zeros(3), np.zeros(3), lens.matrix,
                                    np.array(lens.distortion))
    np.testing.assert_allclose(lens.pixels(directions), expected[:, 0], atol=1e-6)


def test_a_pinhole_is_the_matrix():
    lens = Lens((640, 480), MATRIX)
    np.testing.assert_allclose(lens.pixels(np.array([[0.5, -0.25]])), [[522, 134.75]])
    np.testing.assert_allclose(lens.directions(np.array([[522, 134.75]])), [[0.5, -0.25]])


def test_a_fisheye_is_the_angle():
    lens = Lens((640, 480), MATRIX, 'equidistant', (0.0, 0.0, 0.0, 0.0))
    x, _ = lens.pixels(np.array([[np.tan(1.0), 0.0]]))[0]
    assert x == pytest.approx(322 + 400 * 1.0)


def test_directions_that_fold_back_into_the_picture_have_no_pixel():
    lens = Lens((640, 480), MATRIX, 'plumb_bob', (-0.3, 0.0, 0.0, 0.0))
    # r (1 - 0.3 r2) rises up to r = 1.05 and falls after it, down to 0 at 1.83
    near, far = lens.pixels(np.array([[0.9, 0.0], [1.8, 0.0]]))
    assert np.isfinite(near).all() and np.isnan(far).all()


@pytest.mark.parametrize('lens', LENSES, ids=lambda lens: f'{lens.model}{len(lens.distortion)}')
def test_nothing_stays_nothing(lens):
    nothing = np.array([[np.nan, 1.0], [320.0, 240.0]])
    found = lens.directions(nothing)
    assert np.isnan(found[0]).all() and np.isfinite(found[1]).all()
    assert np.isnan(lens.pixels(nothing)[0]).all()
