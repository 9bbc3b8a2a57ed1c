# SPDX-License-Identifier: Apache-2.0
"""
Single degradations of visible and thermal images.

Images are float32 in [0, 1], HxWx3 RGB or HxW, and come back in the same form. `severity` is in
[0, 1] and is the training label; 0 leaves the image alone. Pixel sizes are meant for frames of
about 640x480 and grow with the frame.
"""

import cv2
import numpy as np

from degfusion_ros.learning.rain import rain
from degfusion_ros.learning.veiled_rain import lerp

__all__ = ['blur', 'fog', 'guided_filter', 'lamplight', 'low_contrast', 'low_light', 'noise',
           'overexposure', 'rain', 'scene_depth', 'stripe']


def _scale(image: np.ndarray) -> float:
    return max(image.shape[0] / 480.0, 0.4)


def _smooth_field(shape: tuple[int, int], cells: int, rng: np.random.Generator) -> np.ndarray:
    """Return a smooth random field of `shape`, zero mean, roughly in [-1, 1]."""
    coarse = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)
    return cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)


def scene_depth(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """
    Guess a relative depth (0 near, 1 far; HxW float32) for a frame without a range sensor.

    A ground plane below a random horizon, roughened by a smooth field, then snapped to the
    picture's own edges by a guided filter, so that the fog stops at outlines as real fog does.
    """
    h, w = rgb.shape[:2]
    horizon = rng.uniform(0.3, 0.6)
    rows = np.linspace(0, 1, h, dtype=np.float32)[:, None]
    below = np.maximum(rows - horizon, 0) / (1 - horizon)
    # camera height and lens decide how soon the ground is near: log-uniform
    ground = 1.0 / (1.0 + 3.0 * 13.0 ** rng.random() * below)
    depth = np.repeat(np.clip(ground + 0.15 * np.maximum(horizon - rows, 0), 0, 1), w, axis=1)
    depth = depth + rng.uniform(0, 0.35) * _smooth_field((h, w), int(rng.integers(3, 7)), rng)
    guide = rgb.mean(axis=2) if rgb.ndim == 3 else rgb
    depth = depth + rng.uniform(0, 0.4) * (cv2.blur(guide, (9, 9)) - 0.5)   # bright is often sky
    return np.clip(guided_filter(guide, depth, radius=max(h // 24, 4)), 0.02, 1)


def guided_filter(guide: np.ndarray, image: np.ndarray, radius: int,
                  epsilon: float = 1e-3) -> np.ndarray:
    """Smooth `image` along the edges of `guide` (both HxW float32; He et al., 2013)."""
    size = (2 * radius + 1, 2 * radius + 1)
    mean_g, mean_i = cv2.blur(guide, size), cv2.blur(image, size)
    variance = cv2.blur(guide * guide, size) - mean_g * mean_g
    covariance = cv2.blur(guide * image, size) - mean_g * mean_i
    slope = covariance / (variance + epsilon)
    offset = mean_i - slope * mean_g
    return cv2.blur(slope, size) * guide + cv2.blur(offset, size)


def fog(rgb: np.ndarray, severity: float, depth: np.ndarray,
        rng: np.random.Generator) -> np.ndarray:
    """
    Add fog by the scattering model I = J t + A (1 - t), t = exp(-beta d).

    `depth` is HxW, any unit; it is scaled so that its far end is 1. beta runs from 0.3 to 3.
    """
    distance = depth.astype(np.float32) / max(float(np.percentile(depth, 99)), 1e-6)
    beta = lerp(0.3, 3.0, severity) * min(severity / 0.05, 1.0)
    banks = _smooth_field(depth.shape, int(rng.integers(3, 9)), rng)
    patches = 1.0 + 0.5 * rng.uniform(0, 1) * banks
    transmission = np.exp(-beta * np.clip(distance, 0, 1) * patches.clip(0, None))[..., None]
    air_light = rng.uniform(0.6, 0.97) + rng.uniform(-0.025, 0.025, 3)
    return (rgb * transmission + air_light.astype(np.float32) * (1 - transmission)).clip(0, 1)


def low_light(rgb: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Darken by a gain and a gamma, with a colour cast; severity 1 keeps 7 % of mid-grey."""
    if severity <= 0:
        return rgb
    keep = lerp(0.75, 0.07, severity ** 0.7) * rng.uniform(0.85, 1.15)
    gamma = 1 - rng.uniform(0.0, 0.8) * np.log2(keep)       # the gain does the rest
    gain = keep * 2 ** (gamma - 1)
    # a camera's amplified black level and lamps tint a night more than its exposure does
    cast = 1 + severity * rng.uniform(-1, 1, 3) * rng.choice([0.08, 0.16])
    return (gain * np.power(rgb, np.float32(gamma)) * cast).astype(np.float32).clip(0, 1)


def lamplight(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return what up to six lamps add to a dark frame: the scene near them, and their glow."""
    h, w = rgb.shape[:2]
    yy, xx = np.ogrid[:h, :w]
    pools, glow = np.zeros((h, w), np.float32), np.zeros((h, w), np.float32)
    for _ in range(int(rng.integers(1, 7))):
        y, x = rng.uniform(0.05, 0.9) * h, rng.uniform(0, 1) * w
        squared = ((yy - y) ** 2 + (xx - x) ** 2).astype(np.float32)
        reach = w * 0.03 * 8 ** rng.random()
        pools += rng.uniform(0.1, 0.6) / (1 + squared / reach ** 2)
        core = rng.uniform(1, 5) * _scale(rgb)
        glow += rng.uniform(0.3, 1.5) * np.exp(-squared / core ** 2)
    tint = np.float32([1, rng.uniform(0.8, 1), rng.uniform(0.55, 1)])
    return (pools[..., None] * rgb + glow[..., None]) * tint


def overexposure(rgb: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Raise the exposure until highlights clip and bloom; sometimes with a glaring light."""
    if severity <= 0:
        return rgb
    h, w = rgb.shape[:2]
    gain = 1 + lerp(0.15, 1.4, severity) * rng.uniform(0.7, 1.2)
    lift = severity * rng.uniform(0.0, 0.2)
    bright = rgb * gain + lift
    if rng.random() < 0.45:
        y, x = rng.uniform(0.1, 0.8) * h, rng.uniform(0.05, 0.95) * w
        radius = rng.uniform(0.05, 0.28) * w
        yy, xx = np.ogrid[:h, :w]
        squared = ((yy - y) ** 2 + (xx - x) ** 2).astype(np.float32) / radius ** 2
        glare = (np.exp(-squared) + 0.35 / (1 + squared * 2)) * lerp(0.3, 0.9, severity)
        bright = bright + glare[..., None] * rng.uniform(0.9, 1, 3).astype(np.float32)
    over = np.maximum(bright - 0.9, 0)
    small = cv2.resize(over, (max(w // 4, 1), max(h // 4, 1)), interpolation=cv2.INTER_AREA)
    bloom = cv2.GaussianBlur(small, (0, 0), rng.uniform(2, 8) * _scale(rgb))
    bloom = cv2.resize(bloom, (w, h), interpolation=cv2.INTER_LINEAR)
    return (bright + bloom * severity * rng.uniform(0, 0.8)).astype(np.float32).clip(0, 1)


def noise(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Add read and shot noise, sometimes grainy; severity 1 is sigma 45 of 255."""
    sigma = severity * 45 / 255
    shot = rng.uniform(0, 1) if rng.random() < 0.6 else 0.0
    level = np.sqrt((1 - shot) + shot * 1.5 * image).astype(np.float32) * np.float32(sigma)
    grain = rng.standard_normal(image.shape, dtype=np.float32)
    if rng.random() < 0.25:        # demosaicing and codecs correlate neighbouring pixels
        soft = cv2.GaussianBlur(grain, (0, 0), rng.uniform(0.4, 0.8))
        grain = soft / max(float(soft.std()), 1e-6)
    if image.ndim == 3 and rng.random() < 0.3:       # mostly luminance noise
        mean = grain.mean(axis=2, keepdims=True)
        grain = (0.35 * grain + 1.6 * mean) / np.float32(1.1615)     # as strong as it was
    return (image + level * grain).clip(0, 1)


def blur(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Blur by defocus (disc), motion (line) or a Gaussian; severity 1 is about 5 px wide."""
    k = _scale(image) * min(severity / 0.05, 1.0)
    kind = rng.random()
    if kind < 0.4:
        return cv2.GaussianBlur(image, (0, 0), max(lerp(0.7, 3.2, severity) * k, 1e-2))
    radius = lerp(1.0, 5.0, severity) * k
    if kind < 0.7:
        reach = int(np.ceil(radius))
        yy, xx = np.mgrid[-reach:reach + 1, -reach:reach + 1]
        kernel = np.clip(radius + 0.5 - np.hypot(xx, yy), 0, 1).astype(np.float32)
    else:
        reach, angle = int(np.ceil(radius * 1.6)), rng.uniform(0, np.pi)
        kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
        dx, dy = np.cos(angle) * radius * 1.6, np.sin(angle) * radius * 1.6
        cv2.line(kernel, (round(reach - dx), round(reach - dy)),
                 (round(reach + dx), round(reach + dy)), 1.0, 1, cv2.LINE_AA)
    # large kernels go through a Fourier transform, which leaves values just below 0
    return cv2.filter2D(image, -1, kernel / max(float(kernel.sum()), 1e-6)).clip(0, 1)


def stripe(thermal: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Add column (rarely row) offset and gain errors, and slow shading, of a thermal sensor."""
    if severity <= 0:
        return thermal
    h, w = thermal.shape
    rows = rng.random() < 0.12
    n = h if rows else w
    offset = rng.standard_normal(n).astype(np.float32)
    if rng.random() < 0.4:          # read-out channels come in groups of columns
        period = int(rng.integers(2, 17))
        offset = 0.7 * offset + 0.7 * np.tile(rng.standard_normal(period), n // period + 1)[:n]
    if rng.random() < 0.3:          # only some columns are bad
        offset *= rng.random(n) < rng.uniform(0.2, 0.7)
        offset *= 1.5
    offset = offset * lerp(2.0, 24.0, severity) / 255
    gain = 1 + rng.standard_normal(n) * 0.05 * severity * (rng.random() < 0.5)
    offset, gain = (v.astype(np.float32) for v in (offset, gain))
    if rows:
        offset, gain = offset[:, None], gain[:, None]
    shading = 0.05 * severity * rng.random() * _smooth_field((h, w), 3, rng)
    return (thermal * gain + offset + shading).clip(0, 1)


def low_contrast(thermal: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Squeeze the contrast about a level; severity 1 keeps about a quarter."""
    gain = 1 - severity * rng.uniform(0.7, 0.8)
    level = float(thermal.mean()) * (1 - severity) + severity * rng.uniform(0.25, 0.65)
    return ((thermal - float(thermal.mean())) * gain + level).clip(0, 1).astype(np.float32)
