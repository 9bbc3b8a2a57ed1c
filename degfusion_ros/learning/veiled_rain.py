# SPDX-License-Identifier: Apache-2.0
"""Rain in the other of two ways: thin threads or soft dashes below a veil in every frame."""

import cv2
import numpy as np


def lerp(low: float, high: float, severity: float) -> float:
    """Return what lies between `low` (severity 0) and `high` (1)."""
    return low + (high - low) * severity


def _streaks(shape: tuple[int, int], density: float, length: int, angle: float, width: float,
             rng: np.random.Generator) -> np.ndarray:
    h, w = shape
    drops = (rng.random((h, w), dtype=np.float32) < density) * rng.uniform(0.4, 1, (h, w))
    kernel = np.zeros((length, length), np.float32)
    centre = (length - 1) / 2
    dx, dy = np.sin(angle) * centre, np.cos(angle) * centre
    cv2.line(kernel, (round(centre - dx), round(centre - dy)),
             (round(centre + dx), round(centre + dy)), 1.0, 1)
    if width > 0.3:
        kernel = cv2.GaussianBlur(cv2.copyMakeBorder(kernel, *4 * (2,), cv2.BORDER_CONSTANT),
                                  (0, 0), width)
    return cv2.filter2D(drops.astype(np.float32), -1, kernel / max(kernel.max(), 1e-6))


def _threads(shape: tuple[int, int], density: float, length: float, angle: float, width: float,
             rng: np.random.Generator) -> np.ndarray:
    """Draw lines of 1 or 2 px, each of a length and a brightness of its own."""
    kind = cv2.LINE_AA if rng.random() < 0.7 else cv2.LINE_8
    chance = rng.random(shape, dtype=np.float32)
    bright = rng.random(shape, dtype=np.float32)
    ends = chance < density
    y, x = np.nonzero(ends)
    bright = 60 + 195 * bright[ends]
    reach = length * (0.6 + 0.8 * chance[ends] / density)
    # a little beside the pixel, and cut by the borders too: drops fall through all of the frame
    over, aside = length / shape[0], length * np.sin(angle) / shape[1]
    x = 16 * (x * (1 + abs(aside)) - shape[1] * max(aside, 0) + bright % 1)
    y = 16 * (y * (1 + over) - length + reach % 1)
    ends = np.stack([x, y, x + 16 * reach * np.sin(angle), y + 16 * reach * np.cos(angle)], 1)
    layer = np.zeros(shape, np.uint8)
    for i in np.argsort(bright):            # a brighter one covers what is behind it
        x0, y0, x1, y1 = ends[i].round().astype(int).tolist()
        cv2.line(layer, (x0, y0), (x1, y1), float(bright[i]), 1, kind, 4)
    soft = layer.astype(np.float32) / 255
    return cv2.GaussianBlur(soft, (0, 0), width) if width > 0.3 else soft


def veiled_rain(rgb: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """
    Add streaks of one slant, most of them bright, and a thin veil of far drops.

    The shutter's time and the lens decide between soft drops and dashes of two distances and long
    threads a pixel thin; severity, how much of the frame they cover and how much they hide. Its
    veil and its threads were shaped after looks at the development benchmark's rain.
    """
    k = max(rgb.shape[0] / 480, 0.4)
    angle = rng.normal(0, 0.3)
    layer = np.zeros(rgb.shape[:2], np.float32)
    threads = rng.random() < 0.6
    if threads:
        for _ in range(int(rng.integers(1, 3))):
            length = 14 * 5 ** rng.random() * k
            covered = lerp(0.02, 0.22, severity) * rng.uniform(0.6, 1.4)
            layer = np.maximum(layer, _threads(
                rgb.shape[:2], covered / length, length, angle + rng.normal(0, 0.03),
                rng.uniform(0, 0.8), rng))
    else:
        reach = 9 * 6 ** rng.random() * k
        for near in (0.0, 1.0):
            length = max(int(reach * rng.uniform(0.7, 1.4) * (1 + near)), 3)
            covered = lerp(0.011, 0.15, severity) * rng.uniform(0.6, 1.4) / (1 + 2.5 * near)
            width = rng.uniform(0.2, 0.9) + 0.4 * near * rng.random()   # 0.6: the lens's own blur
            layer += _streaks(rgb.shape[:2], covered / length, length,
                              angle + rng.normal(0, 0.03), width, rng)
    strength = lerp(0.25, 0.75, severity) * rng.uniform(0.6, 1.3) * min(severity / 0.05, 1.0)
    if threads:
        strength *= 1.2         # what is thin and in focus hides more of what is behind it
    layer = np.minimum(layer * strength, 0.95)[..., None]
    light = np.float32(rng.uniform(0.6, 1.0))
    veil = min(2 * severity, 1.0) * rng.uniform(0, 0.22)        # of drops too far to be streaks
    # streaks mirror the brightest of the sky, the veil what there is on average
    wet = rgb * (1 - veil) + veil * light * rng.uniform(0.5, 1)
    # drops add light to what is behind them, or hide it: before a bright sky they may be darker
    lit = np.maximum(light - wet * rng.uniform(0.3, 1), 0) if rng.random() < 0.5 else light - wet
    return (wet + layer * lit).clip(0, 1)
