# SPDX-License-Identifier: Apache-2.0
"""Houses: façades with windows and doors, gables, tiled roofs; windows mirror the cold sky."""

from dataclasses import dataclass

import cv2
import numpy as np

from degfusion_ros.drive.canvas import Canvas
from degfusion_ros.drive.texture import fbm, linear, Texture

SCALE = 40  # texels per metre of wall
FLOOR = 3.0  # metres
WALLS = [(214, 200, 172), (196, 176, 150), (168, 96, 74), (222, 216, 204), (150, 84, 66),
         (186, 192, 190), (206, 182, 130)]


def _wall(h: int, w: int, colour: tuple, brick: bool,
          rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    grain = fbm((h, w), (max(h // 6, 1), max(w // 6, 1)), 3, rng, 0.8)
    stain = fbm((h, w), (3, max(w // 120, 2)), 5, rng)
    tone = 1 + 0.06 * grain + 0.07 * stain
    heat = 283.6 + sum(colour) % 7 * 1.1 + 0.45 * stain + 0.2 * grain
    if brick:
        y, x = np.mgrid[:h, :w]
        row = y // 4
        joint = (y % 4 == 0) | ((x + 5 * (row % 2)) % 10 == 0)
        each = rng.normal(1, 0.12, (h // 4 + 1, w // 10 + 2)).astype(np.float32)
        tone = tone * each[row, (x + 5 * (row % 2)) // 10] * np.where(joint, 1.35, 1.0)
        heat = heat + 0.4
    return linear(*colour) * tone[..., None].clip(0.3, 1.8), heat


def _window(rgb: np.ndarray, heat: np.ndarray, x: int, y: int, w: int, h: int,
            rng: np.random.Generator) -> None:
    """Set a window with frame, sill, panes that mirror the sky, and perhaps a curtain."""
    frame = linear(*(236, 234, 228)) if rng.random() < 0.7 else linear(92, 66, 46)
    rgb[y - 5:y + h + 4, x - 4:x + w + 4] = frame
    rgb[y - 9:y - 5, x - 5:x + w + 5] *= 0.72  # lintel's shadow
    rgb[y + h + 3:y + h + 7, x - 7:x + w + 7] = linear(196, 192, 184)
    rgb[y + h + 7:y + h + 13, x - 6:x + w + 6] *= 0.68
    fall = np.linspace(1.0, 0.35, h, dtype=np.float32)[:, None, None]
    tilt = np.linspace(-0.25, 0.25, w, dtype=np.float32)[None, :, None] * rng.normal(0, 1)
    rgb[y:y + h, x:x + w] = linear(118, 146, 176) * (0.15 + 0.75 * (fall + tilt).clip(0.1, 1.2))
    if rng.random() < 0.45:
        width = int(w * rng.uniform(0.15, 0.3))
        for side in (slice(x, x + width), slice(x + w - width, x + w)):
            rgb[y:y + h, side] = rgb[y:y + h, side] * 0.45 + linear(214, 206, 190) * 0.3
    rgb[y:y + 3, x:x + w] *= 0.4
    rgb[y:y + h, x + w // 2 - 2:x + w // 2 + 2] = frame
    rgb[y + h // 3 - 1:y + h // 3 + 2, x:x + w] = frame
    heat[y - 5:y + h + 4, x - 4:x + w + 4] = 288.4 + rng.normal(0, 0.5)
    heat[y:y + h, x:x + w] = 280.0 + rng.normal(0, 0.8) + 1.5 * (1 - fall[..., 0])
    heat[y:y + h, x + w // 2 - 2:x + w // 2 + 2] = 287.8


def facade(length: float, floors: int, style: int, rng: np.random.Generator) -> Texture:
    """Draw a wall of so many metres and floors, with a door and rows of windows."""
    h, w = int((floors * FLOOR + 0.5) * SCALE), int(length * SCALE)
    rgb, heat = _wall(h, w, WALLS[style % len(WALLS)], style % len(WALLS) in (2, 4), rng)
    plinth = int(0.6 * SCALE)
    rgb[-plinth:] = linear(128, 124, 118) * (rgb[-plinth:] / rgb[-plinth:].mean())
    heat[-plinth:] -= 0.8
    bays = max(int(length // 3.0), 1)
    pitch, width, tall = w / bays, int(1.15 * SCALE), int(1.5 * SCALE)
    door = int(rng.integers(bays))
    for floor in range(floors):
        y = h - int((floor + 1) * FLOOR * SCALE) + int(0.75 * SCALE)
        for bay in range(bays):
            x = int((bay + 0.5) * pitch - width / 2)
            if floor == 0 and bay == door:
                _door(rgb, heat, x, h, width, rng)
            else:
                _window(rgb, heat, x, y, width, tall, rng)
        if floor:
            line = h - int(floor * FLOOR * SCALE)
            rgb[line - 3:line + 3] = rgb[line - 3:line + 3] * 0.5 + 0.3
            rgb[line + 3:line + 7] *= 0.75
    for x in (6, w - 12):  # drain pipes
        rgb[:, x:x + 5] = linear(110, 112, 112) * np.float32([0.7, 1, 1.15, 1, 0.6])[None, :, None]
        heat[:, x:x + 5] = 284.2
    rgb[:int(0.35 * SCALE)] *= np.linspace(0.42, 1, int(0.35 * SCALE))[:, None, None]  # eaves
    return Texture(rgb, heat)


def _door(rgb: np.ndarray, heat: np.ndarray, x: int, h: int, w: int,
          rng: np.random.Generator) -> None:
    top = h - int(2.15 * SCALE)
    rgb[top - 6:h, x - 6:x + w + 6] = linear(218, 214, 206)
    rgb[top:h, x:x + w] = linear(*rng.uniform((40, 30, 24), (110, 90, 90)))
    rgb[top + 6:top + 24, x + 6:x + w - 6] = linear(120, 146, 168) * 0.6
    rgb[top + 34:h - 8, x + 8:x + w - 8] *= 0.75
    heat[top:h, x:x + w] = 287.0


def gable(depth: float, floors: int, rise: float, style: int,
          rng: np.random.Generator) -> Texture:
    """Draw the end wall under a pitched roof: so many metres deep, the ridge `rise` above."""
    eaves = int((floors * FLOOR + 0.5) * SCALE)
    h, w = eaves + int(rise * SCALE), int(depth * SCALE)
    rgb, heat = _wall(h, w, WALLS[style % len(WALLS)], style % len(WALLS) in (2, 4), rng)
    for floor in range(floors):
        y = h - int((floor + 1) * FLOOR * SCALE) + int(0.75 * SCALE)
        _window(rgb, heat, int(w * 0.5 - 0.5 * SCALE), y, SCALE, int(1.4 * SCALE), rng)
    alpha = np.zeros((h, w), np.float32)
    outline = np.array([(0, h), (0, h - eaves), (w // 2, 0), (w, h - eaves), (w, h)], np.int32)
    cv2.fillPoly(alpha, [outline], 1.0, cv2.LINE_AA)
    return Texture(rgb, heat, alpha)


def roof(length: float, slope: float, rng: np.random.Generator) -> Texture:
    """Draw rows of tiles: so many metres along the road and up the slope."""
    h, w = int(slope * SCALE * 0.75), int(length * SCALE * 0.75)
    y, x = np.mgrid[:h, :w]
    colour = [(150, 78, 58), (98, 92, 92), (126, 82, 66)][int(rng.integers(3))]
    tone = 1 + 0.12 * fbm((h, w), (4, 12), 6, rng) - 0.4 * (y % 9 < 2) - 0.15 * ((x % 7) < 1)
    rgb = linear(*colour) * tone[..., None].clip(0.2, 2)
    return Texture(rgb, 279.8 + 0.7 * fbm((h, w), (3, 8), 5, rng) + 0.3 * (y % 9 < 2))


@dataclass(frozen=True)
class House:
    """One house on the right: walls at d, from s to s + length, and its pictures."""

    s: float
    d: float
    length: float
    floors: int
    depth: float
    rise: float
    front: Texture
    end: Texture
    top: Texture

    @classmethod
    def build(cls, s: float, d: float, length: float, floors: int, style: int,
              rng: np.random.Generator) -> 'House':
        """Draw the pictures of a new house; side by the sign of d."""
        depth, rise = 9.0, 3.2
        slope = float(np.hypot(depth / 2, rise))
        return cls(s, d, length, floors, depth, rise, facade(length, floors, style, rng),
                   gable(depth, floors, rise, style, rng), roof(length, slope, rng))

    def paint(self, canvas: Canvas) -> None:
        """Paint roof, end wall and front; nearest last."""
        place = canvas.view.place
        near, far, eaves = self.s, self.s + self.length, self.floors * FLOOR + 0.5
        side = np.sign(self.d)
        ridge, back = self.d + side * self.depth / 2, self.d + side * self.depth
        panels = max(int(self.length / 4), 1)
        roof_top, over = eaves + self.rise, self.d - side * 0.35
        corners = [place(near - 0.3, ridge, roof_top), place(far + 0.3, ridge, roof_top),
                   place(far + 0.3, over, eaves - 0.2), place(near - 0.3, over, eaves - 0.2)]
        canvas.quad(np.array(corners), self.top, panels, shade=0.95)
        end = [place(near, self.d, roof_top), place(near, back, roof_top), place(near, back, 0),
               place(near, self.d, 0)]
        if end[0][2] > 0.8:
            canvas.quad(np.array(end), self.end, shade=0.62)  # faces away from the sun
        front = [place(near, self.d, eaves), place(far, self.d, eaves), place(far, self.d, 0),
                 place(near, self.d, 0)]
        canvas.quad(np.array(front), self.front, panels, shade=0.9)
