# SPDX-License-Identifier: Apache-2.0
"""
What a visible and a thermal picture of one scene share: where edges run, not how bright they are.

An edge is kept as its direction with the angle doubled, so that dark-to-bright and bright-to-dark
are the same, and with a weight that saturates, so that one strong edge does not outweigh all.
"""

from typing import NamedTuple

import cv2
import numpy as np

SMOOTHING = 1.5  # pixels, against noise
NEIGHBOURHOOD = 33  # pixels; an edge is strong or weak against what is around it
TIP = 4  # pixels around a peak that belong to it


class Peak(NamedTuple):
    """Where two pictures agree best: shift in pixels, agreement -1..1, lead over the next best."""

    dx: float
    dy: float
    score: float
    lead: float


def edges(picture: np.ndarray) -> np.ndarray:
    """Return the edge field of a HxW picture of any type as float32 HxWx2, length below 1."""
    smooth = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), SMOOTHING)
    x, y = (cv2.Scharr(smooth, cv2.CV_32F, *axis, scale=1 / 32) for axis in ((1, 0), (0, 1)))
    power = x * x + y * y
    strength = np.sqrt(power)
    around = cv2.blur(strength, (NEIGHBOURHOOD, NEIGHBOURHOOD))
    weight = strength / (strength + 1.5 * around + 0.5 * strength.mean() + 1e-6)
    weight /= power + 1e-9
    return np.dstack([(x * x - y * y) * weight, 2 * x * y * weight])


def power(field: np.ndarray) -> np.ndarray:
    """Return the squared length of an edge field, HxW."""
    return field[..., 0] ** 2 + field[..., 1] ** 2


def sums(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the sum of a HxW image over every window of (height, width) that fits into it."""
    (height, width), (down, across) = image.shape, size
    found = cv2.boxFilter(image, cv2.CV_32F, (across, down), anchor=(0, 0), normalize=False,
                          borderType=cv2.BORDER_CONSTANT)
    return found[:height - down + 1, :width - across + 1]


class Agreement:
    """
    How well thermal edges fit visible ones at every shift, summed over frames.

    A block of visible edges of size (height, width) is compared with thermal edges `reach` pixels
    larger on every side.
    """

    def __init__(self, reach: int):
        self.reach = reach
        self.clear()

    def clear(self) -> None:
        """Forget all frames."""
        self._common = self._thermal = self._visible = 0.0

    def add(self, visible: np.ndarray, thermal: np.ndarray, keep: float = 1.0) -> None:
        """Add one frame's edges (HxWx2, thermal larger by `reach`); weigh older ones by `keep`."""
        common = cv2.matchTemplate(thermal, visible, cv2.TM_CCORR)
        self._common = keep * self._common + common
        self._thermal = keep * self._thermal + sums(power(thermal), visible.shape[:2])
        self._visible = keep * self._visible + float(power(visible).sum())

    def surface(self) -> np.ndarray:
        """Return the agreement -1..1 by shift, (2 reach + 1) squared; the middle is no shift."""
        floor = 0.02 * self._visible + 1e-6  # an empty patch agrees with nothing
        return self._common / np.sqrt(np.maximum(self._thermal, floor) * (self._visible + 1e-6))

    def peak(self) -> Peak:
        """Return the best shift: thermal edges lie (dx, dy) beyond where the visible ones do."""
        surface = self.surface()
        row, column = np.unravel_index(surface.argmax(), surface.shape)
        top = surface[row, column]
        rest = surface.copy()
        rest[max(0, row - TIP):row + TIP + 1, max(0, column - TIP):column + TIP + 1] = -1
        return Peak(column - self.reach + _summit(surface[row], column),
                    row - self.reach + _summit(surface[:, column], row),
                    float(top), float(top - rest.max()))


def _summit(line, at) -> float:
    """Return how far from `at` the parabola through a peak has its top, -0.5..0.5."""
    if not 0 < at < len(line) - 1:
        return 0.0
    left, middle, right = line[at - 1:at + 2].astype(float)
    bend = left - 2 * middle + right
    return float(np.clip((left - right) / (2 * bend), -0.5, 0.5)) if bend < 0 else 0.0
