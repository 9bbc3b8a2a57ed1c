# SPDX-License-Identifier: Apache-2.0
"""Colour against the clean visible image, on CIELAB: a cast, wrong colours, colour washed out."""

import cv2
import numpy as np
from skimage.color import rgb2lab

BETTER = {'cast': -1, 'chroma_error': -1, 'saturation': 0}  # -1 lower, 0 neither: 1 is kept
_BOX = 5            # px; averages a fifth of the grain, which is no colour, and spares real colour
_COLOURLESS = 2     # mean chroma below which the eye takes a clean picture for grey


def measure(image: np.ndarray, clean: np.ndarray) -> dict[str, float]:
    """
    Measure the colour of an image against the clean one, both HxWx3 uint8 RGB (sRGB, D65).

    cast: distance of the mean (a*, b*), CIELAB units, 0 or more. chroma_error: mean distance of
    (a*, b*) pixel by pixel, CIELAB units, 0 or more and never below cast. saturation: mean chroma
    C*ab over that of the clean image; 0 grey, 1 kept, above 1 invented, nan where the clean image
    has no colour. Raises ValueError for images of several sizes.
    """
    if image.shape != clean.shape:
        raise ValueError(f'images of several sizes: {image.shape}, clean {clean.shape}')
    found, due = _chromaticity(image), _chromaticity(clean)
    off, there = found - due, _length(due).mean()
    return {'cast': float(_length(off.mean(axis=(0, 1)))),
            'chroma_error': float(_length(off).mean()),
            'saturation': float(_length(found).mean() / there) if there >= _COLOURLESS
            else float('nan')}


def _chromaticity(image: np.ndarray) -> np.ndarray:
    """
    Return (a*, b*) of every second pixel and row of the image smoothed over a small box.

    The boxes overlap, so that no pixel is left out. Smoothed before the conversion, as S-CIELAB
    does: CIELAB is curved, and grain in it has a mean colour of its own. The conversion is
    scikit-image's: OpenCV's of floats is off by up to 0.4.
    """
    smooth = cv2.blur(image.astype(np.float32) / 255, (_BOX, _BOX))[::2, ::2]
    return rgb2lab(smooth)[..., 1:].astype(np.float64)


def _length(vectors: np.ndarray) -> np.ndarray:
    return np.hypot(vectors[..., 0], vectors[..., 1])
