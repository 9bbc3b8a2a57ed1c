# SPDX-License-Identifier: Apache-2.0
"""Walking people and cyclists: jointed figures, warm where skin is bare."""

import cv2
import numpy as np

from degfusion_ros.drive.plants import SUN
from degfusion_ros.drive.texture import fbm, inflate, linear, Texture

PHASES = 8
SCALE = 170  # texels per metre
SKIN, CLOTH = 305.0, 297.5  # kelvin
SKINS = [(224, 178, 148), (164, 114, 82), (112, 76, 56), (236, 192, 164)]
TOPS = [(176, 38, 34), (38, 62, 118), (208, 202, 190), (52, 56, 58), (212, 166, 46), (42, 92, 74)]
TROUSERS = [(42, 46, 62), (58, 54, 50), (96, 98, 106), (30, 32, 36)]


class _Figure:
    """A figure being drawn in metres: x to the right, y up from the ground."""

    def __init__(self, width: float, height: float, rng: np.random.Generator) -> None:
        shape = (int(height * SCALE), int(width * SCALE))
        self.width, self.height, self.rng = width, height, rng
        self.rgb = np.zeros((*shape, 3), np.float32)
        self.heat = np.full(shape, 285.0, np.float32)
        self.alpha = np.zeros(shape, np.float32)

    def pixel(self, point: tuple[float, float]) -> tuple[int, int]:
        """Turn metres into sixteenths of a texel."""
        return (round((point[0] + self.width / 2) * SCALE * 16),
                round((self.height - point[1]) * SCALE * 16))

    def limb(self, a: tuple[float, float], b: tuple[float, float], wide: float, narrow: float,
             colour: np.ndarray, kelvin: float, shade: float = 1.0) -> None:
        """Draw a round limb that tapers from radius `wide` at a to `narrow` at b."""
        mask = np.zeros(self.alpha.shape, np.float32)
        (ax, ay), (bx, by) = a, b
        norm = max(float(np.hypot(bx - ax, by - ay)), 1e-6)
        nx, ny = (by - ay) / norm, (ax - bx) / norm
        sides = [(ax + nx * wide, ay + ny * wide), (bx + nx * narrow, by + ny * narrow),
                 (bx - nx * narrow, by - ny * narrow), (ax - nx * wide, ay - ny * wide)]
        points = np.array([self.pixel(p) for p in sides], np.int32)
        cv2.fillPoly(mask, [points], 1.0, cv2.LINE_AA, 4)
        for centre, radius in ((a, wide), (b, narrow)):
            cv2.circle(mask, self.pixel(centre), round(radius * SCALE * 16), 1.0, -1,
                       cv2.LINE_AA, 4)
        self.apply(mask, max(wide, narrow), colour, kelvin, shade)

    def apply(self, mask: np.ndarray, radius: float, colour: np.ndarray, kelvin: float,
              shade: float = 1.0) -> None:
        """Lay a rounded, slightly creased shape over the figure."""
        if not hasattr(self, 'creases'):
            h, w = self.alpha.shape
            self.creases = fbm((h, w), (h // 16, w // 12), 4, self.rng, 0.7)
        light = inflate(mask, radius * SCALE * 0.55, SUN) * (1 + 0.07 * self.creases) * shade
        warm = kelvin + 0.7 * self.creases * (kelvin < SKIN - 2)
        rim = np.clip(inflate(mask, radius * SCALE * 0.5, (0, 0)), 0, 1)
        self.rgb += (colour * (light * rim)[..., None] - self.rgb) * mask[..., None]
        self.heat += (warm - self.heat) * mask
        self.alpha = np.maximum(self.alpha, mask)

    def texture(self) -> Texture:
        """Return the finished picture; heat is spread a little, as clothes do."""
        return Texture(self.rgb, self.heat, self.alpha)


def _leg(figure: _Figure, hip: tuple, swing: float, lift: float, trousers: np.ndarray,
         shade: float, length: float = 0.43) -> None:
    knee = (hip[0] + length * np.sin(swing), hip[1] - length * np.cos(swing))
    below = swing - lift
    foot = (knee[0] + length * np.sin(below), knee[1] - length * np.cos(below))
    figure.limb(hip, knee, 0.085, 0.062, trousers, CLOTH - 1.0, shade)
    figure.limb(knee, foot, 0.062, 0.045, trousers, CLOTH - 2.0, shade)
    toe = (foot[0] + 0.13, foot[1] - 0.02)
    figure.limb((foot[0] - 0.03, foot[1] - 0.01), toe, 0.045, 0.032, linear(30, 28, 28), 291.0,
                shade)


def _head(figure: _Figure, x: float, y: float, skin: np.ndarray, hair: np.ndarray, face: float,
          helmet: np.ndarray | None = None) -> None:
    """Draw neck and head; face 1 looks at the camera, 0 away, 0.5 to the right."""
    figure.limb((x, y - 0.17), (x, y), 0.052, 0.055, skin, SKIN)
    figure.limb((x, y - 0.03), (x, y + 0.04), 0.088, 0.1, skin, SKIN + 0.8)
    shift = -0.035 if face == 0.5 else 0.0
    cover = helmet if helmet is not None else hair
    warm = 292.5 if helmet is not None else 299.5
    if face == 0:
        figure.limb((x, y - 0.01), (x, y + 0.045), 0.088, 0.102, cover, warm)
    else:
        figure.limb((x + shift - 0.02, y + 0.075), (x + shift + 0.02, y + 0.08), 0.085, 0.085,
                    cover, warm)


def walker(phase: int, look: int, side: bool) -> Texture:
    """
    Draw a person 1.75 m tall within 1.1 x 1.85 m, in one of PHASES steps of the stride.

    look: any number, choosing clothes. side: walking to the right; else away from the camera
    (even looks) or towards it (odd looks).
    """
    rng = np.random.default_rng(look)
    skin, top = linear(*SKINS[look % 4]), linear(*TOPS[look % 6])
    trousers, hair = linear(*TROUSERS[look % 4]), linear(58, 40, 28)
    figure = _Figure(1.1, 1.85, rng)
    step = 2 * np.pi * phase / PHASES
    swing = 0.48 * np.sin(step) if side else 0.10
    bob = 0.02 * np.cos(2 * step)
    hip, shoulder = 0.93 + bob, 1.44 + bob
    legs = ((swing, 0.5 * max(np.cos(step), 0), -1), (-swing, 0.5 * max(-np.cos(step), 0), 1))
    for swing_leg, lift, hand in legs:
        if side:
            _leg(figure, (0.0, hip), swing_leg, lift, trousers, 0.72 if hand < 0 else 1.0)
        else:  # seen along the stride, a lifted leg is a shorter one
            _leg(figure, (0.09 * hand, hip), 0.03 * hand, 0.0, trousers, 1.0,
                 0.43 - 0.10 * lift)
    for hand, back in ((-1, True), (1, False)):
        arm = -hand * swing * 0.9 if side else 0.12 * hand
        at = (0.0, shoulder - 0.04) if side else (0.20 * hand, shoulder - 0.05)
        elbow = (at[0] + 0.29 * np.sin(arm), at[1] - 0.29 * np.cos(arm))
        bend = arm + (0.35 if side else 0.0)
        wrist = (elbow[0] + 0.25 * np.sin(bend), elbow[1] - 0.25 * np.cos(bend))
        if side and not back:
            _torso(figure, hip, shoulder, side, top)
        figure.limb(at, elbow, 0.06, 0.05, top, CLOTH, 0.75 if side and back else 1.0)
        figure.limb(elbow, wrist, 0.05, 0.036, top, CLOTH - 0.5, 0.75 if side and back else 1.0)
        figure.limb(wrist, (wrist[0], wrist[1] - 0.06), 0.04, 0.035, skin, SKIN - 1.5)
    if not side:
        _torso(figure, hip, shoulder, side, top)
    _head(figure, 0.02 if side else 0.0, 1.62 + bob, skin, hair, 0.5 if side else look % 2)
    return figure.texture()


def _torso(figure: _Figure, hip: float, shoulder: float, side: bool, top: np.ndarray) -> None:
    if side:
        figure.limb((0, hip - 0.02), (0, shoulder - 0.06), 0.115, 0.13, top, CLOTH + 1.0)
        return
    mask = np.zeros(figure.alpha.shape, np.float32)
    outline = [(-0.15, hip - 0.06), (-0.155, hip + 0.15), (-0.215, shoulder - 0.04),
               (-0.10, shoulder + 0.03), (0.10, shoulder + 0.03), (0.215, shoulder - 0.04),
               (0.155, hip + 0.15), (0.15, hip - 0.06)]
    points = np.array([figure.pixel(p) for p in outline], np.int32)
    cv2.fillPoly(mask, [points], 1.0, cv2.LINE_AA, 4)
    figure.apply(cv2.GaussianBlur(mask, (0, 0), 0.8), 0.12, top, CLOTH + 1.0)


def cyclist(phase: int, look: int) -> Texture:
    """Draw a cyclist from behind (even looks) or in front, 0.8 x 1.85 m, legs turning."""
    rng = np.random.default_rng(look + 100)
    figure = _Figure(0.8, 1.85, rng)
    steel, rubber = linear(70, 74, 82), linear(24, 24, 24)
    figure.limb((0, 0.04), (0, 0.66), 0.026, 0.026, rubber, 289.5)  # the wheel, edge on
    figure.limb((0, 0.66), (0, 0.95), 0.022, 0.022, steel, 285.0)
    figure.limb((-0.29, 1.02), (0.29, 1.02), 0.016, 0.016, steel, 285.0)
    step = 2 * np.pi * phase / PHASES
    trousers, top = linear(*TROUSERS[look % 4]), linear(*TOPS[(look + 4) % 6])
    for side in (-1, 1):
        pedal = 0.33 + 0.17 * np.sin(step + (side > 0) * np.pi)
        knee = (0.13 * side, 0.62 + (pedal - 0.33) * 0.7)
        figure.limb((0.09 * side, 0.98), knee, 0.085, 0.065, trousers, CLOTH + 1.0)
        figure.limb(knee, (0.11 * side, pedal), 0.062, 0.042, linear(*SKINS[look % 4]), SKIN - 2)
        figure.limb((0.11 * side, pedal), (0.11 * side, pedal - 0.05), 0.05, 0.045,
                    linear(36, 36, 36), 290.0)
    _torso(figure, 0.96, 1.46, False, top)
    for side in (-1, 1):
        figure.limb((0.2 * side, 1.40), (0.29 * side, 1.18), 0.058, 0.05, top, CLOTH)
        figure.limb((0.29 * side, 1.18), (0.26 * side, 1.03), 0.048, 0.038, top, CLOTH - 0.5)
    _head(figure, 0.0, 1.63, linear(*SKINS[look % 4]), linear(40, 30, 24), look % 2,
          linear(226, 226, 222))
    if look % 2 == 0:
        figure.limb((-0.012, 0.76), (0.012, 0.76), 0.03, 0.03, linear(255, 30, 20) * 1.4, 287.0)
    return figure.texture()
