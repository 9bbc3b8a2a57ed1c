# SPDX-License-Identifier: Apache-2.0
"""What the guidance network is shown of a frame."""

import cv2
import numpy as np

SIZE = 224
_HALF = SIZE // 2


def guidance_view(image: np.ndarray) -> np.ndarray:
    """
    Lay out a frame for the guidance network as four tiles of 112 px, uint8 224x224x3.

    Resizing a frame wipes out noise and stripes, so only one tile is the resized frame (fog, light,
    rain); one is a native crop, and two are native crops with everything smooth removed and the
    rest amplified four times (noise, stripes, blur). `image` is uint8 HxWx3 RGB or HxW.
    """
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    h, w = image.shape[:2]
    if min(h, w) < _HALF:
        grow = _HALF / min(h, w)
        image = cv2.resize(image, (max(round(w * grow), _HALF), max(round(h * grow), _HALF)))
        h, w = image.shape[:2]
    view = np.empty((SIZE, SIZE, 3), np.uint8)
    y = (h - _HALF) // 2
    view[:_HALF, :_HALF] = cv2.resize(image, (_HALF, _HALF), interpolation=cv2.INTER_AREA)
    view[:_HALF, _HALF:] = _crop(image, y, (w - _HALF) // 2)
    view[_HALF:, :_HALF] = _detail(_crop(image, y, (w - _HALF) // 8))
    view[_HALF:, _HALF:] = _detail(_crop(image, y, (w - _HALF) * 7 // 8))
    return view


def _crop(image: np.ndarray, y: int, x: int) -> np.ndarray:
    return image[y:y + _HALF, x:x + _HALF]


def _detail(crop: np.ndarray) -> np.ndarray:
    # 4 (I - blur(I)) + 128, saturated once at the end
    smooth = cv2.blur(crop, (9, 9))
    return cv2.addWeighted(crop, 4.0, smooth, -4.0, 128.0)
