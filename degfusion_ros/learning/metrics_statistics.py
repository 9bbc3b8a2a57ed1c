# SPDX-License-Identifier: Apache-2.0
"""
Figures of the fused image alone: EN, SD, SF, AG.

They rise with noise as they do with detail: for tables like the papers', never for choosing.
All take a grey HxW uint8 image and return grey levels of 0..255, EN bits.
"""

import numpy as np
from skimage.measure import shannon_entropy


def entropy(image: np.ndarray) -> float:
    """EN: Shannon entropy of the histogram of 256 levels, 0..8 bits."""
    return float(shannon_entropy(image, base=2))


def deviation(image: np.ndarray) -> float:
    """SD: standard deviation of the grey levels."""
    return float(np.std(image, dtype=np.float64))


def spatial_frequency(image: np.ndarray) -> float:
    """SF (Eskicioglu and Fisher, 1995): root of row plus column mean squared differences."""
    x = image.astype(np.float64)
    return float(np.sqrt(sum((np.diff(x, axis=axis) ** 2).mean() for axis in (0, 1))))


def average_gradient(image: np.ndarray) -> float:
    """AG (Cui et al., 2015): mean of sqrt((dx^2 + dy^2) / 2) of the forward differences."""
    x = image.astype(np.float64)
    dx, dy = np.diff(x, axis=1)[:-1], np.diff(x, axis=0)[:, :-1]
    return float(np.sqrt((dx ** 2 + dy ** 2) / 2).mean())
