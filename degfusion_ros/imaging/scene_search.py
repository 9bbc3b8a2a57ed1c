# SPDX-License-Identifier: Apache-2.0
"""The first guess of a registration without a target: every scale, rotation and shift tried."""

import cv2
import numpy as np

from degfusion_ros.imaging.geometry import Plane
from degfusion_ros.imaging.structure import edges, power, sums

WIDTH = 128  # pixels of the visible picture while searching
FRAMES = 6  # looked at: enough to tell, few enough to be quick
ANGLES = np.arange(-8.0, 8.1, 2.0)  # degrees that the cameras may be turned against each other
SCALE_STEP = 1.1
MARGIN = 0.35  # of the picture's width: the largest shift

Pairs = list[tuple[np.ndarray, np.ndarray]]


def search_scene(pairs: Pairs, scales: tuple[float, float]) -> Plane:
    """
    Return the scale, rotation and shift at which the edges of all pairs agree best, as a Plane.

    pairs: (visible, thermal) as uint8 HxW, all of one size per camera. scales: the least and the
    largest width of the thermal picture within the visible one, 1 for as wide.
    """
    pairs = pairs[::max(1, len(pairs) // FRAMES)][:FRAMES]
    visible_size, thermal_size = (picture.shape[::-1] for picture in pairs[0])
    small = WIDTH, round(WIDTH * visible_size[1] / visible_size[0])
    fields = [edges(cv2.resize(visible, small, interpolation=cv2.INTER_AREA))
              for visible, _ in pairs]
    # a thermal picture shrunk with care first: warping it far down would alias
    shrink = min(1.0, WIDTH * scales[1] / thermal_size[0])
    shrunk = tuple(max(8, round(side * shrink)) for side in thermal_size)
    thermals = [cv2.resize(thermal, shrunk, interpolation=cv2.INTER_AREA) for _, thermal in pairs]
    steps = 1 + max(1, round(np.log(scales[1] / scales[0]) / np.log(SCALE_STEP)))
    tried = []
    for scale in np.geomspace(*scales, steps):
        for angle in ANGLES:
            turn = _similarity(shrunk, small, scale * WIDTH / shrunk[0], angle)
            tried.append((*_best_shift(fields, thermals, turn, small), turn))
    _, dx, dy, turn = max(tried, key=lambda item: item[0])
    shift = np.array([[1, 0, -dx], [0, 1, -dy], [0, 0, 1.0]])
    return Plane(_resize(small, visible_size) @ shift @ turn @ _resize(thermal_size, shrunk),
                 thermal_size, visible_size)


def _best_shift(fields, thermals, turn, small) -> tuple[float, int, int]:
    """Return the best agreement and its shift, by the edges where the pictures overlap."""
    reach = round(MARGIN * WIDTH)
    wide = small[0] + 2 * reach, small[1] + 2 * reach
    move = np.array([[1, 0, reach], [0, 1, reach], [0, 0, 1.0]]) @ turn
    mask = cv2.warpPerspective(np.ones(thermals[0].shape, np.float32), move, wide)
    mask = cv2.erode(mask, np.ones((5, 5)))
    common = thermal_power = 0.0
    for field, thermal in zip(fields, thermals):
        warped = cv2.warpPerspective(thermal, move, wide, borderMode=cv2.BORDER_REPLICATE)
        warped = edges(warped) * mask[..., None]
        common = common + cv2.matchTemplate(warped, field, cv2.TM_CCORR)
        thermal_power = thermal_power + power(warped)
    thermal_power = sums(thermal_power, small[::-1])
    visible = sum(power(field) for field in fields)
    visible_power = cv2.matchTemplate(mask, visible, cv2.TM_CCORR)
    agreement = common / np.sqrt(np.maximum(thermal_power * visible_power, 1e-3))
    # Little overlap agrees easily: it counts by the visible structure it covers.
    agreement *= np.sqrt(np.maximum(visible_power, 0) / max(float(visible.sum()), 1e-6))
    row, column = np.unravel_index(agreement.argmax(), agreement.shape)
    return float(agreement[row, column]), column - reach, row - reach


def _similarity(size, small, scale, angle):
    """Return the 3x3 that turns and scales a picture of `size` into the middle of `small`."""
    matrix = np.eye(3)
    matrix[:2] = cv2.getRotationMatrix2D(((size[0] - 1) / 2, (size[1] - 1) / 2), angle, scale)
    matrix[:2, 2] += [(small[0] - size[0]) / 2, (small[1] - size[1]) / 2]
    return matrix


def _resize(before, after):
    # Pixel centres are at whole numbers, so a scale moves them by half the difference.
    x, y = after[0] / before[0], after[1] / before[1]
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])
