# SPDX-License-Identifier: Apache-2.0
"""The homography, and the thermal lens, that fit points found in both pictures."""

import cv2
import numpy as np

from degfusion_ros.imaging.geometry import Plane
from degfusion_ros.imaging.lens import Lens

ROUNDS = 30
# What is likely before a point is seen: h31, h32 over half a picture, k1, k2. Points decide where
# there are enough; elsewhere a fit to noise would bend the picture's empty parts away.
LIKELY = np.array([0.012, 0.012, 0.15, 0.03])
OUTLIER = 2.0  # times the noise: farther off, a point counts by its distance, not its square


def fit_plane(visible: np.ndarray, thermal: np.ndarray, visible_size: tuple[int, int],
              thermal_size: tuple[int, int], lens: bool = True,
              visible_lens: Lens | None = None, thermal_lens: Lens | None = None,
              noise: float = 0.2) -> Plane:
    """
    Return the Plane that takes Nx2 visible pixels to the Nx2 thermal ones, least error first.

    lens: also find k1 and k2 of the thermal lens, relative to the visible one, unless a
    calibrated thermal_lens is given. noise: how exact the points are, visible pixels. Needs 4
    points, 8 and more with a lens.
    """
    found = thermal_lens or Lens.guess(thermal_size)
    ideal = visible if visible_lens is None else _pinhole(
        visible_lens, visible_lens.directions(visible))
    target = thermal if thermal_lens is None else _pinhole(
        thermal_lens, thermal_lens.directions(thermal))
    usable = np.isfinite(ideal).all(axis=1) & np.isfinite(target).all(axis=1)
    ideal, target = ideal[usable], target[usable]
    # both in units of about 1, where the fit is well conditioned
    before, after = _units(visible_size), _units(thermal_size)
    focal = found.matrix[0, 0]
    unit = 1 / after[0, 0]
    bend = lens and thermal_lens is None
    x, y = _through(before, ideal), _through(after, target)

    def model(parameters):
        points = _through(np.append(parameters[:8], 1).reshape(3, 3), x)
        if bend:
            r2 = ((points * unit / focal) ** 2).sum(axis=1, keepdims=True)
            points = points * (1 + parameters[8] * r2 + parameters[9] * r2 ** 2)
        return points

    wide, narrow = np.linalg.svd(y - y.mean(axis=0), compute_uv=False)
    if narrow < 0.02 * wide:
        raise ValueError('the points lie on a line')
    start = cv2.findHomography(x, y, cv2.RANSAC, 6 / unit)[0]
    if start is None or abs(start[2, 2]) < 1e-9:
        start = cv2.findHomography(x, y)[0]
    if start is None:
        raise ValueError('the points fit no homography')
    step = np.sqrt(abs(np.linalg.det(start[:2, :2])))  # thermal units in a visible one
    solved = np.append((start / start[2, 2]).ravel()[:8], [0.0, 0.0] if bend else [])
    for lenient in (30, 1):  # points far off at first, where a lens bends, are no outliers yet
        solved = _least_squares(model, y, solved, lenient * noise * step * before[0, 0])
    there = np.append(solved[:8], 1).reshape(3, 3)  # visible to thermal, in units
    homography = np.linalg.inv(np.linalg.inv(after) @ there @ before)
    if bend:
        thermal_lens = Lens(thermal_size, found.matrix, 'plumb_bob',
                            (*solved[8:].tolist(), 0.0, 0.0))
    return Plane(homography / homography[2, 2], thermal_size, visible_size, thermal_lens,
                 visible_lens)


def fit_affine(visible: np.ndarray, thermal: np.ndarray, visible_size: tuple[int, int],
               thermal_size: tuple[int, int]) -> Plane:
    """Return the affine Plane that takes Nx2 thermal pixels to the visible ones, 3 and more."""
    unit = visible_size[0] / 200
    matrix, _ = cv2.estimateAffine2D(thermal, visible, method=cv2.RANSAC,
                                     ransacReprojThreshold=3 * unit)
    if matrix is None:
        raise ValueError('the points lie on a line')
    return Plane(np.vstack([matrix, [0, 0, 1]]), thermal_size, visible_size)


def residuals(plane: Plane, visible: np.ndarray, thermal: np.ndarray) -> np.ndarray:
    """Return how far off each of N pairs of points is, in visible pixels; NaN where unseen."""
    width, height = plane.visible_size
    middle = np.array([[0, 0], [1, 0]]) + (width / 2, height / 2)
    step = np.linalg.norm(np.subtract(*plane.to_thermal(middle)))  # thermal pixels in a visible
    return np.linalg.norm(plane.to_thermal(visible) - thermal, axis=1) / step


def _least_squares(model, wanted, parameters, noise):
    """Levenberg's damped least squares with a numeric Jacobian; far-off points weigh less."""
    likely = LIKELY[:len(parameters) - 6]

    def off(values):
        return (model(values) - wanted) / noise

    def cost(values):
        length = np.linalg.norm(off(values), axis=1)
        far = np.maximum(length - OUTLIER, 0)
        return (length ** 2 - far ** 2).sum() + ((values[6:] / likely) ** 2).sum()

    now, damping = cost(parameters), 1e-3
    for _ in range(ROUNDS):
        length = np.linalg.norm(off(parameters), axis=1, keepdims=True)
        weight = np.sqrt(np.minimum(1, OUTLIER / np.maximum(length, 1e-9)))

        def rows(values, weight=weight):
            return np.append((off(values) * weight).ravel(), values[6:] / likely)

        here = rows(parameters)
        slopes = np.stack([(rows(parameters + nudge) - here) / 1e-6
                           for nudge in np.eye(len(parameters)) * 1e-6], axis=1)
        normal = slopes.T @ slopes
        step = np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-12),
                               -slopes.T @ here)
        tried = cost(parameters + step)
        if not tried < now:
            damping *= 10
            continue
        done = now - tried < 1e-9 * now
        parameters, now, damping = parameters + step, tried, damping / 10
        if done:
            break
    return parameters


def _units(size):
    """Return the 3x3 from pixels to -1..1 about the middle."""
    width, height = size
    return np.array([[2 / width, 0, (1 - width) / width],
                     [0, 2 / width, (1 - height) / width], [0, 0, 1]])


def _through(matrix, points):
    return cv2.perspectiveTransform(points[:, None].astype(np.float64), matrix)[:, 0]


def _pinhole(lens, directions):
    return directions @ lens.matrix[:2, :2].T + lens.matrix[:2, 2]
