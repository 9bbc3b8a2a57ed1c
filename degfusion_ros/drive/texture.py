# SPDX-License-Identifier: Apache-2.0
"""Procedural textures: tileable value noise, and what a surface looks like in both spectra."""

import cv2
import numpy as np


def linear(*rgb: float) -> np.ndarray:
    """Turn an sRGB colour of 0..255 into linear light, float32 (3,)."""
    return (np.asarray(rgb, np.float32) / 255) ** np.float32(2.2)


def value_noise(shape: tuple[int, int], cells: tuple[int, int],
                rng: np.random.Generator) -> np.ndarray:
    """Return tileable smooth noise, HxW float32 in about [-1, 1], of so many cells a side."""
    coarse = rng.uniform(-1, 1, cells).astype(np.float32)
    coarse = np.pad(coarse, 2, mode='wrap')
    sy, sx = shape[0] / cells[0], shape[1] / cells[1]
    matrix = np.array([[sx, 0, -2 * sx], [0, sy, -2 * sy]], np.float32)
    return cv2.warpAffine(coarse, matrix, shape[::-1], flags=cv2.INTER_CUBIC)


def fbm(shape: tuple[int, int], cells: tuple[int, int], octaves: int,
        rng: np.random.Generator, gain: float = 0.55) -> np.ndarray:
    """Return tileable fractal noise, HxW float32, zero mean and unit standard deviation."""
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        grid = (cells[0] << octave, cells[1] << octave)
        if grid[0] > shape[0] or grid[1] > shape[1]:
            break
        total += gain ** octave * value_noise(shape, grid, rng)
    total -= total.mean()
    return total / max(float(total.std()), 1e-6)


def inflate(mask: np.ndarray, radius: float, light: tuple[float, float]) -> np.ndarray:
    """
    Shade a flat outline as if it were round: HxW float32 factor of about 0.55 to 1.25.

    mask: HxW in [0, 1]; radius in pixels; light: direction (x, y) in which brightness grows.
    """
    height = cv2.GaussianBlur(mask, (0, 0), radius)
    slope_x = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3)
    slope_y = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3)
    tilt = -(slope_x * light[0] + slope_y * light[1]) * radius * 0.35
    return np.clip(1 + tilt, 0.55, 1.25)


class Texture:
    """
    A flat surface: linear RGB, temperature in kelvin and coverage, with smaller copies of itself.

    rgb: HxWx3 float32; temperature: HxW float32; alpha: HxW float32 in [0, 1], opaque when None.
    Stored multiplied by alpha, so that scaling mixes no colour from outside the outline.
    """

    def __init__(self, rgb: np.ndarray, temperature: np.ndarray,
                 alpha: np.ndarray | None = None) -> None:
        alpha = np.ones(rgb.shape[:2], np.float32) if alpha is None else alpha
        colour = np.dstack([rgb * alpha[..., None], alpha]).astype(np.float32)
        heat = (temperature * alpha).astype(np.float32)
        self.levels = [(colour, heat)]
        while min(colour.shape[:2]) >= 8:
            size = (colour.shape[1] // 2, colour.shape[0] // 2)
            colour = cv2.resize(colour, size, interpolation=cv2.INTER_AREA)
            heat = cv2.resize(heat, size, interpolation=cv2.INTER_AREA)
            self.levels.append((colour, heat))

    @property
    def aspect(self) -> float:
        """Width over height."""
        height, width = self.levels[0][1].shape
        return width / height
