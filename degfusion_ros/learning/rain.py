# SPDX-License-Identifier: Apache-2.0
"""
Rain on a visible image, after how published rain is made and how drops show themselves.

Rain sets are made in two ways: noise stretched by a motion blur (Rain100, Rain800 and their many
followers), or lines drawn one by one (the augmentation libraries). Ranges span what their recipes
print: 10 to 60 px long, 1 to 4 px wide, a slant of up to 45 degrees, 500 to 2,500 drops in a frame
of 640x480 or 0.2 to 2 % of its pixels as seeds, greys of 200 to 255.
"""

import cv2
import numpy as np

from degfusion_ros.learning.draws import of_moment
from degfusion_ros.learning.veiled_rain import veiled_rain

PUBLISHED = 0.5         # share of frames in rain of published recipes
_SLANT = np.pi / 4      # recipes draw up to this; steep wind is rare


def stretched_noise(shape: tuple[int, int], covered: float, length: float, angle: float,
                    width: float, rng: np.random.Generator) -> np.ndarray:
    """
    Return streaks of seeds stretched along `angle` (radians from upright), HxW in [0, 1].

    All are `length` px long and of one profile, `width` px from edge to edge, and fade at their
    ends; about the share `covered` of the frame lies under them.
    """
    seeds = rng.random(shape, dtype=np.float32)
    bright = rng.uniform(0.3, 1, shape).astype(np.float32)
    share = covered / (length * max(width, 1.0))
    half = int(np.ceil(length / 2)) + 2
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    dx, dy = np.sin(angle) * length / 2, np.cos(angle) * length / 2
    ends = np.round(16 * (half + np.array([[-dx, -dy], [dx, dy]]))).astype(int).tolist()
    cv2.line(kernel, *ends, 1.0, 1, cv2.LINE_8, 4)
    kernel = cv2.GaussianBlur(kernel, (0, 0), max(width, 0.8) / 2.4)
    return cv2.filter2D(np.where(seeds < share, bright, 0), -1, kernel / kernel.max(),
                        borderType=cv2.BORDER_REFLECT).clip(0, 1)


def drawn_lines(shape: tuple[int, int], covered: float, length: float, angle: float,
                width: float, rng: np.random.Generator) -> np.ndarray:
    """
    Return streaks drawn one by one, each of its own length and brightness, HxW in [0, 1].

    Nearer drops are longer and cover what is behind them; sharp or smoothed at the edges.
    """
    count = max(int(covered * shape[0] * shape[1] / (length * max(round(width), 1))), 1)
    drops = of_moment(rng)      # in a sequence, each frame has drops of its own
    near = np.sort(drops.random(count))
    reach = length * (0.5 + near)
    along = angle + drops.normal(0, 0.02, count)
    # some begin above the frame or beside it: rain fills the frame to its borders
    dx, dy = reach * np.sin(along), reach * np.cos(along)
    x = drops.uniform(-np.abs(dx).max(), shape[1] + np.abs(dx).max(), count)
    y = drops.uniform(-dy.max(), shape[0], count)
    grey = 255 * (0.35 + 0.65 * drops.random(count))
    ends = np.round(16 * np.stack([x, y, x + dx, y + dy], 1)).astype(int).tolist()
    kind = cv2.LINE_AA if rng.random() < 0.5 else cv2.LINE_8
    layer = np.zeros(shape, np.uint8)
    for (x0, y0, x1, y1), g in zip(ends, grey):
        cv2.line(layer, (x0, y0), (x1, y1), float(g), max(round(width), 1), kind, 4)
    layer = layer.astype(np.float32) / 255
    soft = rng.uniform(0, 0.8)          # the lens
    return cv2.GaussianBlur(layer, (0, 0), soft) if soft > 0.3 else layer


def rain(rgb: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Add rain of one of two makers: see `published_rain`, drawn as often, and `veiled_rain`."""
    return (published_rain if rng.random() < PUBLISHED else veiled_rain)(rgb, severity, rng)


def published_rain(rgb: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """
    Add up to three distances of streaks and, in half of the frames, the veil of drops too far off.

    `severity` in [0, 1] is how much of the frame streaks cover, 2 to 25 %, and how much they hide.
    A drop shows light from all around it (Garg and Nayar, 2007), so its grey is about the scene's
    own mean, more often brighter, or that of the recipes; a longer exposure makes streaks longer
    and more transparent. Far drops hide the scene as fog does (Li et al., 2019).
    """
    scale = max(rgb.shape[0] / 480, 0.4)
    angle = float(np.clip(rng.normal(0, 0.35), -_SLANT, _SLANT))
    make = drawn_lines if rng.random() < 0.5 else stretched_noise
    exposure = rng.random()
    layers = int(rng.integers(1, 4))
    covered = (0.02 + 0.23 * severity) * rng.uniform(0.6, 1.4) / layers
    wet = rgb
    around = float(rgb.mean()) * rng.uniform(0.9, 1.8)
    light = min(around, 1.0) if rng.random() < 0.5 else rng.uniform(0.7, 1)
    if rng.random() < 0.5:
        veil = rng.uniform(0, 0.25) * min(2 * severity, 1)
        wet = wet * (1 - veil) + veil * min(float(rgb.mean()) * rng.uniform(0.8, 1.6), 1)
    hidden = (0.3 + 0.6 * severity) * rng.uniform(0.7, 1.2) * min(severity / 0.05, 1)
    hidden *= 1.2 - 0.5 * exposure
    add = rng.random() < 0.3            # light is added to the scene, or hides it
    for distance in range(layers, 0, -1):
        length = max(10 * 6 ** exposure * scale * rng.uniform(0.8, 1.25) / distance ** 0.5, 3)
        width = 4 ** rng.random() * scale / distance ** 0.5
        layer = make(rgb.shape[:2], covered, length, angle + rng.normal(0, 0.03), width, rng)
        layer = np.minimum(layer * np.float32(hidden / distance ** 0.3), 0.95)[..., None]
        wet = wet + layer * (light * (1 - wet) if add else light - wet)
    return wet.clip(0, 1).astype(np.float32)
