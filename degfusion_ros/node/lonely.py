# SPDX-License-Identifier: Apache-2.0
"""What stands in for a lost camera: next to nothing for the network, its last picture to judge."""

import cv2
import numpy as np

from degfusion_ros.imaging.registration import resized
from degfusion_ros.stream.presence import other_of

BLUR = 0.04  # of the width: no outline is left

Pictures = dict[str, np.ndarray]  # visible: uint8 HxWx3 RGB, thermal: float32 HxW in 0..1


class StandIn:
    """
    Makes a pair of one picture; used by the worker.

    Nothing old that could be recognised gets into the output. The network restores thermal as well
    beside mid grey as beside the right partner; visible better beside the last thermal picture
    blurred to its warm and cold regions, be that of another scene by now. The steering vector
    comes from both pictures, so the judge sees the last partner that there was. While there has
    been none, the picture itself in grey is judged, for thermal blurred as well, beside mid grey
    for the network. Measured in docs/pairing.md.
    """

    def __init__(self):
        self._last: Pictures = {}
        self._regions: np.ndarray | None = None  # of the last thermal picture, once wanted

    def remember(self, visible: np.ndarray, thermal: np.ndarray) -> None:
        """Keep a pair, aligned and of the output's size."""
        self._last, self._regions = {'visible': visible, 'thermal': thermal}, None

    def size(self, stream: str, picture: np.ndarray, wanted: str) -> tuple[int, int]:
        """
        Return the (height, width) to put out, from output.size.

        The size of the lost camera is that of the last pair, so that the output keeps its size.
        """
        if 'x' in wanted:
            width, height = map(int, wanted.split('x'))
            return height, width
        if wanted == stream or not self._last:
            return picture.shape[:2]
        return self._last['visible'].shape[:2]

    def for_network(self, stream: str, picture: np.ndarray) -> Pictures:
        """Return the picture and what the network sees in place of the other."""
        size = picture.shape[:2]
        if stream == 'thermal':
            return {'visible': np.full((*size, 3), 128, np.uint8), 'thermal': picture}
        if 'thermal' not in self._last:
            return {'visible': picture, 'thermal': np.full(size, 0.5, np.float32)}
        if self._regions is None or self._regions.shape != size:
            self._regions = _regions(resized(self._last['thermal'], size))
        return {'visible': picture, 'thermal': self._regions}

    def for_judge(self, stream: str, picture: np.ndarray) -> Pictures:
        """Return the picture and the last partner."""
        lost = other_of(stream)
        if lost in self._last:
            partner = resized(self._last[lost], picture.shape[:2])
        elif lost == 'thermal':
            grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
            partner = _regions(grey.astype(np.float32) / 255)
        else:
            partner = cv2.cvtColor((picture * 255).astype(np.uint8), cv2.COLOR_GRAY2RGB)
        return {stream: picture, lost: partner}


def _regions(thermal: np.ndarray) -> np.ndarray:
    """Blur by a Gaussian of 4 % of the width, at an eighth of the size: cheap."""
    height, width = thermal.shape
    small = cv2.resize(thermal, (max(1, width // 8), max(1, height // 8)),
                       interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), BLUR * width / 8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
