# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest
from scenes import board

from degfusion_ros.imaging.targets import find_target, same_order, target_points

SIZE = (320, 256)


@pytest.mark.parametrize('kind, pattern', [('checkerboard', (7, 5)), ('circles', (6, 5))])
@pytest.mark.parametrize('hot', [False, True])
def test_boards_are_found_whichever_colour_is_hot(kind, pattern, hot):
    points = find_target(board(SIZE, pattern, 20, (170, 120), kind, hot), kind, pattern)
    across, down = pattern
    grid = np.stack(np.meshgrid(np.arange(across), np.arange(down)), -1).reshape(-1, 2) * 20.0
    grid += (170, 120) - grid.mean(axis=0) - 0.5  # pixel centres are at whole numbers
    np.testing.assert_allclose(same_order(grid, points), grid, atol=0.3)


@pytest.mark.parametrize('kind', ['checkerboard', 'circles', 'asymmetric-circles', 'lamp'])
def test_where_no_target_is_none_is_found(kind):
    assert find_target(np.full((256, 320), 90, np.uint8), kind, (7, 5)) is None


def test_a_lamp_is_found_and_two_are_not():
    picture = np.full((256, 320), 60, np.uint8)
    cv2.circle(picture, (100 * 16 + 8, 90 * 16), 4 * 16, 250, -1, cv2.LINE_AA, 4)
    np.testing.assert_allclose(find_target(picture, 'lamp', (1, 1)), [[100.5, 90]], atol=0.1)
    cv2.circle(picture, (200, 90), 4, 250, -1)
    assert find_target(picture, 'lamp', (1, 1)) is None
    window = np.full((256, 320), 60, np.uint8)
    window[50:150, 50:200] = 250
    assert find_target(window, 'lamp', (1, 1)) is None


def test_points_read_from_the_other_end_are_turned():
    points = np.array([[0.0, 0], [1, 0], [0, 1], [1, 1]])
    np.testing.assert_array_equal(same_order(points, points[::-1] + 0.1), points + 0.1)
    np.testing.assert_array_equal(same_order(points, points + 0.1), points + 0.1)


def test_places_of_the_points_in_metres():
    np.testing.assert_allclose(target_points('checkerboard', (3, 2), 0.1)[:, :2], [
        [0, 0], [0.1, 0], [0.2, 0], [0, 0.1], [0.1, 0.1], [0.2, 0.1]])
    np.testing.assert_allclose(target_points('asymmetric-circles', (2, 2), 0.1)[:, :2], [
        [0, 0], [0.2, 0], [0.1, 0.1], [0.3, 0.1]])
