# SPDX-License-Identifier: Apache-2.0
"""
The camera on the car and the bent road it follows.

Road coordinates: s metres along the road, d metres to the right of its centre line, h metres up.
Camera coordinates: x right, y down, z forward, as in ROS optical frames.
"""

from dataclasses import dataclass

import numpy as np

WIDTH, HEIGHT = 640, 512
FOCAL = 560.0  # pixels: a lens of 60 degrees
EYE = 1.5  # metres above the road
LANE = 1.75  # metres right of the centre line: the ego lane's middle
NEAR = 0.7  # metres: what is nearer is cut off
FAR = 2000.0  # metres: the depth given to the sky


def centre_line(s: np.ndarray | float) -> np.ndarray | float:
    """Return the sideways position of the road's centre, metres, for gentle bends."""
    return 7.0 * np.sin(s / 62.0) + 3.0 * np.sin(s / 27.0 + 1.0)


@dataclass(frozen=True)
class View:
    """Where the camera is: s metres along the road, the horizon's image row, its heading."""

    s: float
    horizon: float
    heading: float

    @classmethod
    def at(cls, s: float, t: float) -> 'View':
        """Place the camera in its lane at s; t (seconds) moves the springs of the car."""
        pitch = 1.3 * np.sin(2.1 * t) + 0.8 * np.sin(5.3 * t + 1) + 0.35 * np.sin(13.7 * t)
        slope = (centre_line(s + 0.5) - centre_line(s - 0.5)) / 1.0
        return cls(float(s), 214.0 + float(pitch), float(slope))

    def bend(self, s: np.ndarray | float) -> np.ndarray | float:
        """Return how far the road at s lies right of straight ahead, metres."""
        return centre_line(s) - centre_line(self.s) - self.heading * (s - self.s)

    def place(self, s: float, d: float, h: float) -> tuple[float, float, float]:
        """Turn road coordinates into camera coordinates (x, y, z), metres."""
        return d - LANE + float(self.bend(s)), EYE - h, s - self.s

    def project(self, points: np.ndarray) -> np.ndarray:
        """Turn camera coordinates (N, 3) into pixels (N, 2)."""
        z = points[:, 2]
        return np.stack([WIDTH / 2 + FOCAL * points[:, 0] / z,
                         self.horizon + FOCAL * points[:, 1] / z], axis=1)
