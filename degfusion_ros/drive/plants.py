# SPDX-License-Identifier: Apache-2.0
"""Trees, hedges, lamp posts and signs as flat pictures, and the shadows they cast."""

import cv2
import numpy as np

from degfusion_ros.drive.texture import fbm, inflate, linear, Texture

SUN = (-0.8, -1.0)  # light grows towards the upper left of the picture


def _leaves(size: tuple[int, int], centres: np.ndarray, radii: np.ndarray,
            rng: np.random.Generator) -> np.ndarray:
    """Return the outline of a crown made of clumps, frayed by noise: HxW in [0, 1]."""
    crown = np.zeros(size, np.float32)
    for (x, y), radius in zip(centres, radii, strict=True):
        cv2.circle(crown, (int(x), int(y)), int(radius), 1.0, -1, cv2.LINE_AA)
    soft = cv2.GaussianBlur(crown, (0, 0), 4)
    frayed = soft + 0.17 * fbm(size, (size[0] // 8, size[1] // 8), 3, rng, 0.8) - 0.5
    return np.clip(frayed * 5 + 0.5, 0, 1) * (soft > 0.05)


def _foliage(crown: np.ndarray, centres: np.ndarray, radii: np.ndarray, colour: np.ndarray,
             rng: np.random.Generator) -> np.ndarray:
    """Light a crown: every clump round, its underside dark, leaves as fine noise."""
    size = crown.shape
    light = np.full(size, 0.55, np.float32)
    order = rng.permutation(len(radii))
    yy, xx = np.mgrid[:size[0], :size[1]].astype(np.float32)
    for i in order:
        (x, y), radius = centres[i], radii[i] * 1.1
        dx, dy = (xx - x) / radius, (yy - y) / radius
        inside = np.clip((1 - dx * dx - dy * dy) * 4, 0, 1)
        ball = 0.75 - 0.33 * dx - 0.50 * dy
        light = light * (1 - inside) + ball * inside
    leaves = fbm(size, (size[0] // 5, size[1] // 5), 3, rng, 0.9)
    gaps = fbm(size, (size[0] // 12, size[1] // 12), 3, rng)
    light = light * np.clip(1 + 0.33 * leaves, 0.15, 2) * np.clip(1.05 + 0.3 * gaps, 0.3, 1.3)
    return colour * np.clip(light, 0.06, 1.6)[..., None]


def tree(rng: np.random.Generator) -> Texture:
    """Draw a broad-leaved tree, 288 wide and 384 high."""
    h, w = 384, 288
    trunk = np.zeros((h, w), np.float32)
    lean = rng.normal(0, 8)
    base, fork = (w / 2, h - 1), (w / 2 + lean, h * 0.55)
    _limb(trunk, base, fork, 9, 6)
    for angle in rng.uniform(-0.9, 0.9, 6):
        length = rng.uniform(70, 130)
        _limb(trunk, fork, (fork[0] + length * np.sin(angle), fork[1] - length * np.cos(angle)),
              5, 2)
    count = 22
    angle, reach = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.uniform(0, 1, count))
    centres = np.stack([w / 2 + lean + 98 * reach * np.cos(angle),
                        h * 0.39 + 106 * reach * np.sin(angle)], axis=1)
    radii = rng.uniform(24, 44, count) * (1.15 - 0.4 * reach)
    crown = _leaves((h, w), centres, radii, rng)
    colour = linear(*(np.array([96, 114, 56]) + rng.uniform(-1, 1, 3) * [20, 10, 10]))
    bark = linear(92, 78, 62) * (0.8 * inflate(trunk, 4, SUN)[..., None]
                                 + 0.2 * fbm((h, w), (48, 60), 3, rng)[..., None])
    rgb = np.maximum(bark, 0.01) * (1 - crown[..., None])
    rgb = rgb + _foliage(crown, centres, radii, colour, rng) * crown[..., None]
    heat = 285.0 * (1 - crown) + (280.6 + 0.9 * fbm((h, w), (24, 18), 5, rng)) * crown
    return Texture(rgb, heat, np.maximum(trunk, crown))


def hedge(rng: np.random.Generator) -> Texture:
    """Draw four metres of hedge, 512 wide and 160 high, with a ragged top."""
    h, w = 160, 512
    top = 22 + 7 * fbm((8, w), (1, 16), 6, rng)[0]
    rows = np.arange(h, dtype=np.float32)[:, None]
    alpha = np.clip((rows - top[None]) * 0.7 + 0.5 * fbm((h, w), (32, 100), 2, rng), 0, 1)
    leaves = fbm((h, w), (32, 102), 3, rng, 0.9)
    light = np.clip(1.15 - 0.65 * rows / h, 0.3, 1.2) * np.clip(1 + 0.4 * leaves, 0.15, 2.2)
    light = light * np.clip(1 + 0.25 * fbm((h, w), (8, 26), 3, rng), 0.4, 1.5)
    rgb = linear(72, 98, 44) * light[..., None]
    return Texture(rgb, 280.4 + 0.8 * leaves + 0.6 * (1 - rows / h), alpha)


def lamp_post() -> Texture:
    """Draw a street lamp with its arm to the left, 128 wide and 512 high (7 m)."""
    mask = np.zeros((512, 128), np.float32)
    _limb(mask, (104, 511), (104, 40), 4.5, 2.6)
    _limb(mask, (104, 42), (92, 16), 2.6, 2.4)
    _limb(mask, (92, 16), (34, 10), 2.4, 2.0)
    head = np.zeros_like(mask)
    cv2.ellipse(head, (30, 12), (22, 6), 3, 0, 360, 1.0, -1, cv2.LINE_AA)
    shade = inflate(mask, 2.5, (-1, 0))[..., None]
    rgb = linear(112, 118, 120) * shade * (1 - head[..., None])
    rgb = rgb + linear(196, 200, 198) * head[..., None]
    return Texture(rgb, 284.6 + 4.0 * head, np.maximum(mask, head))


def sign(kind: int) -> Texture:
    """Draw a road sign on its post, 96 wide and 320 high (2.8 m): speed limit or warning."""
    mask = np.zeros((320, 96), np.float32)
    _limb(mask, (48, 319), (48, 50), 3, 3)
    rgb = np.repeat((linear(140, 144, 146) * np.ones((320, 96, 1), np.float32)), 1, axis=0)
    plate = np.zeros((320, 96), np.float32)
    white, red, black = linear(238, 238, 234), linear(190, 24, 30), linear(20, 20, 20)
    if kind == 0:
        cv2.circle(plate, (48, 48), 44, 1.0, -1, cv2.LINE_AA)
        _disc(rgb, (48, 48), 44, red)
        _disc(rgb, (48, 48), 34, white)
        cv2.putText(rgb, '50', (20, 64), cv2.FONT_HERSHEY_DUPLEX, 1.4, black.tolist(), 4,
                    cv2.LINE_AA)
    else:
        for size, colour in ((46, red), (33, white)):
            points = np.array([(48, 50 - size), (48 - size, 50 + 0.7 * size),
                               (48 + size, 50 + 0.7 * size)], np.int32)
            cv2.fillPoly(rgb, [points], colour.tolist(), cv2.LINE_AA)
            cv2.fillPoly(plate, [points], 1.0, cv2.LINE_AA)
        cv2.line(rgb, (48, 40), (48, 62), black.tolist(), 6, cv2.LINE_AA)
        cv2.circle(rgb, (48, 73), 4, black.tolist(), -1, cv2.LINE_AA)
    return Texture(rgb, 284.4 + 1.2 * plate, np.maximum(mask, plate))


def blob_shadow(rng: np.random.Generator, ragged: float = 0.0) -> Texture:
    """Draw a soft shadow to lay on the ground; ragged above 0 as leaves cast it."""
    y, x = np.mgrid[-1:1:96j, -1:1:96j].astype(np.float32)
    edge = 1 - np.maximum(np.abs(x), np.abs(y)) if not ragged else 1 - np.hypot(x, y)
    alpha = np.clip(edge * 3.2, 0, 1)
    if ragged:
        alpha = np.clip(edge * 2.5 + ragged * fbm((96, 96), (8, 8), 4, rng), 0, 1)
    alpha = cv2.GaussianBlur(alpha, (0, 0), 3.5 if not ragged else 1.0)
    rgb = np.full((96, 96, 3), (0.012, 0.014, 0.018), np.float32)
    return Texture(rgb, np.full((96, 96), 286.0, np.float32), alpha * 0.62)


def _limb(mask: np.ndarray, start: tuple, end: tuple, wide: float, narrow: float) -> None:
    """Draw a tapering stroke, sub-pixel exact."""
    a, b = np.array(start, float), np.array(end, float)
    across = np.array([b[1] - a[1], a[0] - b[0]]) / max(np.hypot(*(b - a)), 1e-6)
    points = np.array([a + across * wide, b + across * narrow, b - across * narrow,
                       a - across * wide])
    cv2.fillPoly(mask, [np.round(points * 16).astype(np.int32)], 1.0, cv2.LINE_AA, 4)


def _disc(rgb: np.ndarray, centre: tuple[int, int], radius: int, colour: np.ndarray) -> None:
    cv2.circle(rgb, centre, radius, colour.tolist(), -1, cv2.LINE_AA)
