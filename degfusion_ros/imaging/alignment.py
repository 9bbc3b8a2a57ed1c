# SPDX-License-Identifier: Apache-2.0
"""Watch whether the thermal picture lies on the visible one while the robot drives."""

from typing import NamedTuple

import cv2
import numpy as np

from degfusion_ros.imaging.structure import Agreement, edges

WIDTH = 320  # pixels the pictures are compared at
LEAST_WIDTH = 160  # of the pictures: smaller ones show too little
REACH, BLOCK_REACH = 40, 14  # pixels of those: the farthest shift told, of all and of a block
ACROSS, DOWN = 4, 3  # blocks
KEEP = 0.8  # of what earlier frames said: several look together
LEAD, BLOCK_LEAD = 0.03, 0.045  # the best shift leads the next by this, or is a guess
ENOUGH_BLOCKS, MAJORITY = 6, 0.7  # blocks that must tell the same, of those that tell anything
TOLERANCE = 2.5  # pixels that they may differ by


class Misalignment(NamedTuple):
    """
    How far the thermal picture lies off the visible one, in pixels of the pictures given.

    px: over the picture, rotation and scale included; dx, dy: of the whole picture.
    """

    px: float
    dx: float
    dy: float


class Alignment:
    """Compares pair after pair; several together tell what one alone cannot. Not thread-safe."""

    def __init__(self):
        self._size: tuple[int, int] | None = None

    def update(self, visible: np.ndarray, thermal: np.ndarray) -> Misalignment | None:
        """
        Take in a registered pair of one size; None while there is too little to tell by.

        visible: uint8 HxWx3 RGB. thermal: HxW of any type.
        """
        height, width = visible.shape[:2]
        size = WIDTH, round(WIDTH * height / width)
        if width < LEAST_WIDTH or size[1] < 3 * DOWN * BLOCK_REACH:
            return None
        if size != self._size:
            self._begin(size)
        there, here = (
            edges(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
            for picture in (cv2.cvtColor(visible, cv2.COLOR_RGB2GRAY), thermal))
        for (rows, columns, reach), agreement in self._areas.items():
            inner = there[rows[0] + reach:rows[1] - reach, columns[0] + reach:columns[1] - reach]
            agreement.add(inner, here[rows[0]:rows[1], columns[0]:columns[1]], KEEP)
        return self._told(width / WIDTH)

    def _begin(self, size) -> None:
        self._size = size
        width, height = size
        reach = min(REACH, height // 4)
        self._areas = {((0, height), (0, width), reach): Agreement(reach)}  # the whole first
        for row in range(DOWN):
            for column in range(ACROSS):
                spans = ((n * length // count, (n + 1) * length // count)
                         for n, length, count in ((row, height, DOWN), (column, width, ACROSS)))
                self._areas[(*spans, BLOCK_REACH)] = Agreement(BLOCK_REACH)

    def _told(self, grow) -> Misalignment | None:
        (_, whole), *blocks = ((area, agreement.peak())
                               for area, agreement in self._areas.items())
        field = self._similarity([block for block in blocks if block[1].lead >= BLOCK_LEAD])
        if field is not None:
            dx, dy = field.mean(axis=0)
            px = np.sqrt((field ** 2).sum(axis=1).mean())
        elif whole.lead >= LEAD:
            dx, dy, px = whole.dx, whole.dy, np.hypot(whole.dx, whole.dy)
        else:
            return None
        return Misalignment(float(grow * px), float(grow * dx), float(grow * dy))

    def _similarity(self, blocks) -> np.ndarray | None:
        """Return the shift all over the picture if most blocks tell of one turn and scale."""
        if len(blocks) < ENOUGH_BLOCKS:
            return None
        there = np.array([((c[0] + c[1]) / 2, (r[0] + r[1]) / 2) for (r, c, _), _ in blocks])
        moves = np.array([(peak.dx, peak.dy) for _, peak in blocks])
        matrix, agree = cv2.estimateAffinePartial2D(
            there, there + moves, method=cv2.RANSAC, ransacReprojThreshold=TOLERANCE)
        if matrix is None or agree.sum() < max(ENOUGH_BLOCKS, MAJORITY * len(blocks)):
            return None
        width, height = self._size
        grid = np.stack(np.meshgrid((0, width / 2, width), (0, height / 2, height)), -1)
        grid = grid.reshape(-1, 2)
        return grid @ matrix[:, :2].T + matrix[:, 2] - grid
