# SPDX-License-Identifier: Apache-2.0
"""A camera's lens as sensor_msgs/CameraInfo has it: pixels to directions of view and back."""

from dataclasses import dataclass

import cv2
import numpy as np

# CameraInfo.distortion_model -> how many coefficients it may have
MODELS = {'plumb_bob': (0, 4, 5), 'rational_polynomial': (8,), 'equidistant': (4,)}
TOLERANCE = 0.5  # pixels: a point that does not come back this near has no direction
_STOP = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 50, 1e-7)


@dataclass(frozen=True)
class Lens:
    """
    A calibrated camera.

    size: (width, height) it was calibrated at. matrix: 3x3 K in pixels. model: a name of MODELS.
    distortion: its coefficients in CameraInfo's order.
    """

    size: tuple[int, int]
    matrix: np.ndarray
    model: str = 'plumb_bob'
    distortion: tuple[float, ...] = ()

    @classmethod
    def guess(cls, size: tuple[int, int]) -> 'Lens':
        """Return a lens without distortion that sees about 53 degrees across."""
        width, height = size
        matrix = np.array([[width, 0, (width - 1) / 2], [0, width, (height - 1) / 2], [0, 0, 1.0]])
        return cls(size, matrix)

    def directions(self, points: np.ndarray) -> np.ndarray:
        """Return (x/z, y/z) of Nx2 pixels as Nx2; NaN where the lens has no such pixel."""
        found = self._undistorted(points)
        return _only(found, points, self._projected(found), TOLERANCE)

    def pixels(self, directions: np.ndarray) -> np.ndarray:
        """Return the Nx2 pixels of Nx2 directions (x/z, y/z); NaN where the lens sees none."""
        found = self._projected(directions)
        # Beyond its range a polynomial folds back into the picture: those do not come back.
        return _only(found, directions, self._undistorted(found), TOLERANCE / self.matrix[0, 0])

    def _undistorted(self, points):
        points = _columns(points)
        if self.model == 'equidistant':
            found = cv2.fisheye.undistortPoints(points, self.matrix, self._coefficients(),
                                                criteria=_STOP)
        else:
            found = cv2.undistortPointsIter(points, self.matrix, self._coefficients(), None, None,
                                            _STOP)
        return found.reshape(-1, 2)

    def _projected(self, directions):
        if self.model == 'equidistant':
            rays = cv2.convertPointsToHomogeneous(_columns(directions)).astype(np.float64)
            none = np.zeros(3)
            found, _ = cv2.fisheye.projectPoints(rays, none, none, self.matrix,
                                                 self._coefficients())
            return found.reshape(-1, 2)
        # cv2.projectPoints does the same, ten times as long: it works out derivatives, too
        k1, k2, p1, p2, k3, k4, k5, k6 = np.pad(self._coefficients(), (0, 8))[:8]
        x, y = directions.T
        r2 = x * x + y * y
        radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
        bent = np.stack([x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
                         y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y], axis=1)
        return bent @ self.matrix[:2, :2].T + self.matrix[:2, 2]

    def _coefficients(self):
        return np.array(self.distortion or (0.0,) * 4, np.float64)


def _columns(points):
    return np.nan_to_num(points, nan=-1e6).reshape(-1, 1, 2).astype(np.float64)


def _only(found, given, returned, tolerance):
    """Return `found` with NaN where what it came from is not what it leads back to."""
    lost = ~(np.abs(returned - given).max(axis=1) < tolerance)  # NaN is lost, too
    return np.where(lost[:, None], np.nan, found)
