# SPDX-License-Identifier: Apache-2.0
"""`hot`: how much of the contrast of warm targets the fused image keeps."""

import cv2
import numpy as np

_SHARE = 98         # percentile: the hottest 2 % are the targets
_GAP, _RING = 5, 25     # px: what lies between a target and its surroundings, and these


def hot(thermal: np.ndarray, fused: np.ndarray) -> float:
    """
    Contrast of the hottest 2 % to their surroundings, fused over thermal (grey HxW uint8).

    1 keeps it, 0.5 is what an average of the sources keeps over flat ground, negative turns it
    round. nan where the targets have no surroundings or stand out by less than a grey level.
    """
    smooth = cv2.GaussianBlur(thermal.astype(np.float32), (0, 0), 1.5)
    target = (smooth >= np.percentile(smooth, _SHARE)).astype(np.uint8)
    near, far = (cv2.dilate(target, np.ones((n, n), np.uint8)) for n in (_GAP, _RING))
    target, around = target > 0, far > near
    if not around.any():
        return float('nan')
    there, kept = (x[target].mean(dtype=np.float64) - x[around].mean(dtype=np.float64)
                   for x in (thermal, fused))
    return float(kept / there) if there >= 1 else float('nan')
