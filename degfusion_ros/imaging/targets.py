# SPDX-License-Identifier: Apache-2.0
"""Find a calibration target in a visible or a thermal picture."""

import cv2
import numpy as np

KINDS = ('checkerboard', 'circles', 'asymmetric-circles', 'lamp')
_GRIDS = {'circles': cv2.CALIB_CB_SYMMETRIC_GRID,
          'asymmetric-circles': cv2.CALIB_CB_ASYMMETRIC_GRID}
LAMP_LEVEL = 0.6  # of the way from the picture's median to its brightest


def find_target(picture: np.ndarray, kind: str, pattern: tuple[int, int]) -> np.ndarray | None:
    """
    Return the target's Nx2 points in pixels, row by row, or None where it is not to be seen.

    picture: uint8 HxW. kind: of KINDS; a lamp is one hot, bright spot. pattern: inner corners, or
    circles, across and down. A heated target may be bright where the painted one is dark.
    """
    if kind == 'lamp':
        return _lamp(picture)
    even = cv2.createCLAHE(3.0, (4, 4)).apply(picture)  # weak contrast, found less exactly
    views = picture, even
    if kind != 'checkerboard':  # the blobs looked for are dark
        views = picture, 255 - picture, even, 255 - even
    for view in views:
        if kind == 'checkerboard':
            found, points = cv2.findChessboardCornersSB(
                view, pattern, flags=cv2.CALIB_CB_NORMALIZE_IMAGE | cv2.CALIB_CB_ACCURACY)
        else:
            found, points = cv2.findCirclesGrid(view, pattern, flags=_GRIDS[kind],
                                                blobDetector=_blobs(picture.shape[1]))
        if found:
            return points.reshape(-1, 2).astype(np.float64)
    return None


def target_points(kind: str, pattern: tuple[int, int], square_m: float) -> np.ndarray:
    """Return the Nx3 places of a target's points in metres, in the order they are found in."""
    across, down = pattern
    rows, columns = np.mgrid[:down, :across].reshape(2, -1)
    if kind == 'asymmetric-circles':  # every other row is moved by half a step
        columns = 2 * columns + rows % 2
    return np.stack([columns, rows, np.zeros(rows.size)], axis=1) * square_m


def same_order(visible: np.ndarray, thermal: np.ndarray) -> np.ndarray:
    """
    Return the thermal points in the visible ones' order.

    A board may be read from either end, and a heated one has its colours exchanged; cameras on
    one mount see it the same way up.
    """
    forth, back = thermal, thermal[::-1]
    way = visible[-1] - visible[0]
    return forth if (forth[-1] - forth[0]) @ way >= (back[-1] - back[0]) @ way else back


def _blobs(width):
    parameters = cv2.SimpleBlobDetector_Params()
    parameters.minArea, parameters.maxArea = 12.0, (width / 8) ** 2
    parameters.minDistBetweenBlobs = 4.0
    parameters.filterByConvexity = parameters.filterByInertia = False
    return cv2.SimpleBlobDetector_create(parameters)


def _lamp(picture) -> np.ndarray | None:
    """Return the middle of the one brightest spot, None where there are several or none."""
    smooth = cv2.GaussianBlur(picture, (0, 0), 1.0)
    middle, top = float(np.median(smooth)), float(smooth.max())
    level = middle + LAMP_LEVEL * (top - middle)
    count, _, boxes, _ = cv2.connectedComponentsWithStats((smooth > level).astype(np.uint8))
    if top - middle < 40 or count != 2 or boxes[1, cv2.CC_STAT_AREA] > picture.size / 100:
        return None
    x, y, width, height = boxes[1, :4]
    around = np.s_[max(0, y - 2):y + height + 2, max(0, x - 2):x + width + 2]
    moments = cv2.moments(np.maximum(smooth[around].astype(np.float32) - level, 0))
    return np.array([[moments['m10'] / moments['m00'] + around[1].start,
                      moments['m01'] / moments['m00'] + around[0].start]])
