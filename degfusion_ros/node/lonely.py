# SPDX-License-Identifier: Apache-2.0
"""What stands in for a lost camera: a grey picture for the network, the last one for the judge."""

import cv2
import numpy as np

from degfusion_ros.imaging.registration import resized
from degfusion_ros.stream.presence import other_of

Pictures = dict[str, np.ndarray]  # visible: uint8 HxWx3 RGB, thermal: float32 HxW in 0..1


class StandIn:
    """
    Makes a pair of one picture; used by the worker.

    The network restores a picture as well beside mid grey as beside the right partner, so nothing
    old ever gets into the output. The steering vector is another matter: it comes from both
    pictures, and grey is no picture. So the judge sees the last partner that there was, or the
    picture itself in grey while there has been none.
    """

    def __init__(self):
        self._last: Pictures = {}

    def remember(self, visible: np.ndarray, thermal: np.ndarray) -> None:
        """Keep a pair, aligned and of the output's size."""
        self._last = {'visible': visible, 'thermal': thermal}

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
        """Return the picture and mid grey."""
        size = picture.shape[:2]
        grey = {'visible': np.full((*size, 3), 128, np.uint8),
                'thermal': np.full(size, 0.5, np.float32)}
        return grey | {stream: picture}

    def for_judge(self, stream: str, picture: np.ndarray) -> Pictures:
        """Return the picture and the last partner."""
        lost = other_of(stream)
        if lost in self._last:
            partner = resized(self._last[lost], picture.shape[:2])
        elif lost == 'thermal':
            partner = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
        else:
            partner = cv2.cvtColor((picture * 255).astype(np.uint8), cv2.COLOR_GRAY2RGB)
        return {stream: picture, lost: partner}
