# SPDX-License-Identifier: Apache-2.0
"""
A second generator of degradations that no training ever sees, to judge the guidance by.

Rain and blur are kornia's; the others are written a second time on other models than
`degradations` (haze by octaves of noise, exposure in linear light, drifting stripes). Severities
mean the same amounts: noise sigma, blur width, beta of the fog, share of light, column spread.
Images are float32 in [0, 1], HxWx3 RGB or HxW, and come back in the same form.
"""

from collections.abc import Callable

import cv2
from kornia.augmentation import RandomRain
from kornia.filters import gaussian_blur2d, motion_blur
import numpy as np
import torch

from degfusion_ros.learning.conditions import THERMAL_ORDER, VISIBLE_ORDER


def degrade(image: np.ndarray, severities: dict[str, float],
            rng: np.random.Generator) -> np.ndarray:
    """Apply labels of one modality (RGB: visible, HxW: thermal) in nature's order."""
    for label in VISIBLE_ORDER if image.ndim == 3 else THERMAL_ORDER:
        if severities.get(label, 0) > 0:
            image = _MAKERS[label](image, severities[label], rng).clip(0, 1).astype(np.float32)
    return image


def _octaves(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    # clouds in [0, 1]: noise of ever finer cells and ever smaller weight
    cloud = np.zeros(shape, np.float32)
    for octave in range(5):
        cells = rng.random((3 * 2 ** octave, 4 * 2 ** octave), dtype=np.float32)
        cloud += cv2.resize(cells, shape[::-1], interpolation=cv2.INTER_LINEAR) * 0.55 ** octave
    return (cloud - cloud.min()) / (cloud.max() - cloud.min())


def _fog(rgb: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    rows = np.linspace(1, 0, rgb.shape[0], dtype=np.float32)[:, None]
    distance = rows ** rng.uniform(0.5, 1.5) * 0.75 + 0.25 * _octaves(rgb.shape[:2], rng)
    haze = 1 - np.exp(-(0.3 + 2.7 * severity) * distance)[..., None]
    return rgb * (1 - haze) + rng.uniform(0.65, 0.92) * haze


def _rain(rgb: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    h, w = rgb.shape[:2]
    drops = int((600 + 3000 * severity) * h * w / (480 * 640))
    long, slant = int(rng.integers(10, 22)), int(rng.integers(-5, 6))
    make = RandomRain((drops, drops + 1), (long, long + 1), (slant, slant + 1), p=1.0)
    with torch.random.fork_rng():
        torch.manual_seed(int(rng.integers(2 ** 31)))
        wet = _array(make(_tensor(rgb)))
    return rgb + (wet - rgb) * (0.3 + 0.5 * severity)


def _blur(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    k = max(image.shape[0] / 480, 0.4)
    if rng.random() < 0.5:
        sigma = (0.7 + 2.5 * severity) * k
        size = 2 * int(3 * sigma) + 3
        return _array(gaussian_blur2d(_tensor(image), (size, size), (sigma, sigma)))
    length = 2 * round((1 + 4 * severity) * 1.6 * k) + 1
    return _array(motion_blur(_tensor(image), max(length, 3), float(rng.uniform(0, 180)),
                              float(rng.uniform(-0.3, 0.3)), mode='bilinear'))


def _low_light(rgb: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    gain = (0.75 - 0.65 * severity ** 0.7) * rng.uniform(0.85, 1.05)
    linear = rgb ** 2.2 * gain ** 2.2
    lens = 1 - 0.25 * severity * rng.random() * _from_centre(rgb.shape[:2])
    return (linear * lens[..., None]) ** (1 / 2.2)


def _overexposure(rgb: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    gain = 1 + (0.15 + 1.25 * severity) * rng.uniform(0.75, 1.1)
    linear = (rgb * gain) ** 2.2
    flare = cv2.GaussianBlur(np.maximum(linear - 1, 0), (0, 0), rgb.shape[1] / 40)
    return (linear + 0.3 * severity * flare) ** (1 / 2.2)


def _noise(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    sigma = severity * 45 / 255
    if rng.random() < 0.5:          # counted photons
        photons = 0.5 / sigma ** 2
        return rng.poisson(image * photons) / photons
    return image + sigma * rng.laplace(0, np.sqrt(0.5), image.shape)


def _stripe(thermal: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    w = thermal.shape[1]
    period = rng.uniform(2.5, 12)
    column = (rng.uniform(-1.7, 1.7, w) * 0.8
              + np.sin(2 * np.pi * (np.arange(w) / period + rng.random())) * rng.random())
    column -= column.mean()
    return thermal + (2 + 22 * severity) / 255 * (column / column.std()).astype(np.float32)


def _low_contrast(thermal: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    kept = 1 - 0.75 * severity
    low = rng.uniform(0.05, 0.95) * (1 - kept)
    return low + kept * thermal ** rng.uniform(0.85, 1.2)


def _from_centre(shape: tuple[int, int]) -> np.ndarray:
    y, x = (np.linspace(-1, 1, n, dtype=np.float32) for n in shape)
    return (y[:, None] ** 2 + x ** 2) / 2


def _tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.atleast_3d(image)).permute(2, 0, 1)[None]


def _array(image: torch.Tensor) -> np.ndarray:
    array = image[0].permute(1, 2, 0).numpy()
    return array if array.shape[2] == 3 else array[..., 0]


_MAKERS: dict[str, Callable[[np.ndarray, float, np.random.Generator], np.ndarray]] = {
    'fog': _fog, 'rain': _rain, 'blur': _blur, 'low_light': _low_light,
    'overexposure': _overexposure, 'noise': _noise, 'stripe': _stripe,
    'low_contrast': _low_contrast}
