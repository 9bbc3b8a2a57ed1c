# SPDX-License-Identifier: Apache-2.0
"""Where a pixel of the visible camera lies in the thermal one."""

from dataclasses import dataclass, field

import cv2
import numpy as np

from degfusion_ros.imaging.lens import Lens


@dataclass(frozen=True)
class Plane:
    """
    Cameras related by a homography: near each other, or looking at one plane.

    homography: 3x3, thermal pixel -> visible pixel, both undistorted where the camera has a lens.
    thermal_size, visible_size: (width, height) it was measured at; None takes any size as it is.
    thermal_lens, visible_lens: what bends straight lines in either picture, None for nothing.
    """

    homography: np.ndarray
    thermal_size: tuple[int, int] | None = None
    visible_size: tuple[int, int] | None = None
    thermal_lens: Lens | None = None
    visible_lens: Lens | None = None

    def to_thermal(self, points: np.ndarray) -> np.ndarray:
        """Return the thermal pixels of Nx2 visible pixels as Nx2; NaN where there is none."""
        if self.visible_lens is not None:
            points = _times(self.visible_lens.matrix, self.visible_lens.directions(points))
        width, height = self.thermal_size or (1, 1)
        before_the_horizon = np.sign(self.homography[2] @ (width / 2, height / 2, 1)) or 1.0
        found = _times(np.linalg.inv(before_the_horizon * self.homography), points)
        if self.thermal_lens is None:
            return found
        return self.thermal_lens.pixels(_times(np.linalg.inv(self.thermal_lens.matrix), found))


@dataclass(frozen=True)
class Rig:
    """
    Two calibrated cameras on one mount, X_visible = rotation X_thermal + translation.

    rotation: 3x3; translation: 3, metres. depth: metres from the visible camera to the plane the
    pictures shall agree at, infinity for far scenes; nearer and farther things keep a parallax.
    """

    visible_lens: Lens
    thermal_lens: Lens
    rotation: np.ndarray
    translation: np.ndarray = field(default_factory=lambda: np.zeros(3))
    depth: float = np.inf

    @property
    def thermal_size(self) -> tuple[int, int]:
        """The thermal camera's (width, height)."""
        return self.thermal_lens.size

    @property
    def visible_size(self) -> tuple[int, int]:
        """The visible camera's (width, height)."""
        return self.visible_lens.size

    def to_thermal(self, points: np.ndarray) -> np.ndarray:
        """Return the thermal pixels of Nx2 visible pixels as Nx2; NaN where there is none."""
        directions = self.visible_lens.directions(points)
        rays = np.column_stack([directions, np.ones(len(directions))])
        rays = (rays - self.translation / self.depth) @ self.rotation  # R transposed, by rows
        behind = ~(rays[:, 2] > 1e-6)
        with np.errstate(invalid='ignore', divide='ignore'):
            directions = rays[:, :2] / rays[:, 2:]
        directions[behind] = np.nan
        return self.thermal_lens.pixels(directions)


def _times(matrix, points):
    """Return Nx2 points through a 3x3; NaN behind the horizon."""
    found = cv2.convertPointsToHomogeneous(points.astype(np.float64)).reshape(-1, 3) @ matrix.T
    behind = ~(found[:, 2] > 0)
    with np.errstate(invalid='ignore', divide='ignore'):
        result = found[:, :2] / found[:, 2:]
    result[behind] = np.nan
    return result
