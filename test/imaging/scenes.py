# SPDX-License-Identifier: Apache-2.0
"""Scenes seen by two cameras: shared outlines, other brightness, a known warp between them."""

import cv2
import numpy as np

from degfusion_ros.imaging.geometry import Plane
from degfusion_ros.imaging.lens import Lens


def scene(rng, size):
    """Return a visible and a thermal uint8 picture of one scene, pixel on pixel."""
    width, height = size
    visible = np.full((height, width), rng.integers(60, 200), np.uint8)
    thermal = np.full((height, width), rng.integers(60, 200), np.uint8)
    for _ in range(45):
        centre, reach = rng.random(2) * size, rng.uniform(0.03, 0.16) * width
        corners = (centre + rng.normal(0, reach, (rng.integers(3, 6), 2))).astype(np.int32)
        for picture in (visible, thermal):  # either may hardly show it
            cv2.fillPoly(picture, [corners], int(rng.integers(20, 236)), cv2.LINE_AA)
    visible = cv2.add(visible, rng.normal(0, 12, visible.shape), dtype=cv2.CV_8U)  # fine texture
    thermal = cv2.GaussianBlur(thermal, (0, 0), 1.5)
    return visible, cv2.add(thermal, rng.normal(0, 3, thermal.shape), dtype=cv2.CV_8U)


def warp(visible_size, thermal_size, angle=3.0, scale=1.3, shift=(30, -12), k1=-0.15):
    """
    Return the true way from thermal pixels to visible ones, as a Plane with the roles changed.

    The thermal camera is turned by `angle` degrees, magnifies by `scale`, is off by `shift`
    visible pixels and bends lines by k1.
    """
    fit = np.diag([thermal_size[0] / visible_size[0]] * 2 + [1.0])
    turn = np.eye(3)
    turn[:2] = cv2.getRotationMatrix2D(
        ((visible_size[0] - 1) / 2, (visible_size[1] - 1) / 2), angle, scale)
    turn[:2, 2] += shift
    lens = Lens(thermal_size, Lens.guess(thermal_size).matrix, 'plumb_bob', (k1, 0.0, 0.0, 0.0))
    return Plane(fit @ turn, visible_size, thermal_size, None, lens)


def seen_through(picture, back):
    """Return what the thermal camera of a warp makes of a picture on the visible pixel grid."""
    width, height = back.visible_size
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).reshape(-1, 2)
    maps = back.to_thermal(grid.astype(float)).reshape(height, width, 2).astype(np.float32)
    return cv2.remap(picture, maps, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def errors(plane, back):
    """Return how far a calibration is off, in visible pixels, over what both cameras see."""
    (width, height), wide = back.visible_size, np.array(back.thermal_size)
    thermal = np.stack(np.meshgrid(
        np.linspace(0, width - 1, 21), np.linspace(0, height - 1, 17)), -1).reshape(-1, 2)
    visible = back.to_thermal(thermal)
    both = ((visible >= 0) & (visible <= wide - 1)).all(axis=1)
    middle = plane.to_thermal(np.array([[0, 0], [1, 0]]) + wide / 2)
    step = np.linalg.norm(middle[1] - middle[0])
    return np.linalg.norm(plane.to_thermal(visible[both]) - thermal[both], axis=1) / step


def board(size, pattern, square, place, kind='checkerboard', hot=False):
    """
    Return a uint8 picture of a board on gray, its middle at `place`, supersampled.

    hot: with black and white exchanged, and unsharp, as a heated board is in thermal.
    """
    grow, (across, down) = 4, pattern
    big = np.full((size[1] * grow, size[0] * grow), 110, np.uint8)
    side = square * grow
    left = place[0] * grow - side * (across + 1) / 2
    top = place[1] * grow - side * (down + 1) / 2
    whole = [round(v) for v in (left - side / 2, top - side / 2, left + side * (across + 1.5),
                                top + side * (down + 1.5))]
    cv2.rectangle(big, whole[:2], whole[2:], 230, -1)
    for row in range(down + 1):
        for column in range(across + 1):
            x, y = left + column * side, top + row * side
            if kind == 'checkerboard' and (row + column) % 2 == 0:
                cv2.rectangle(big, (round(x), round(y)), (round(x + side) - 1, round(y + side) - 1),
                              25, -1)
            elif kind == 'circles' and row < down and column < across:
                cv2.circle(big, (round(x + side), round(y + side)), round(side * 0.3), 25, -1)
    picture = cv2.resize(big, size, interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(255 - picture, (0, 0), 0.8) if hot else picture
