# SPDX-License-Identifier: Apache-2.0
"""Cars and vans: a side outline drawn out to the width, with warm engine, tyres and exhaust."""

from dataclasses import dataclass

import cv2
import numpy as np

from degfusion_ros.drive.canvas import Canvas
from degfusion_ros.drive.texture import linear, Texture

# The outline from the rear's lower edge over the roof to the front's: metres from the rear, up,
# and half the width there. Between two points lies one strip, named in STRIPS.
CAR = [(0.0, 0.26, 0.84), (-0.03, 0.60, 0.88), (0.10, 0.96, 0.84), (0.52, 1.41, 0.64),
       (1.0, 1.48, 0.62), (2.35, 1.45, 0.62), (3.15, 0.99, 0.78), (4.15, 0.80, 0.82),
       (4.36, 0.58, 0.85), (4.38, 0.24, 0.82)]
VAN = [(0.0, 0.34, 0.92), (-0.03, 0.70, 0.95), (0.02, 1.20, 0.94), (0.10, 1.92, 0.84),
       (0.3, 2.05, 0.80), (3.6, 2.03, 0.80), (4.35, 1.22, 0.88), (4.95, 1.02, 0.90),
       (5.12, 0.70, 0.93), (5.14, 0.32, 0.90)]
STRIPS = ('bumper', 'tail', 'rear_window', 'roof', 'roof', 'windscreen', 'bonnet', 'front',
          'grille')
SCALE = 130  # texels per metre
SHADES = {'bumper': 0.62, 'tail': 0.62, 'rear_window': 0.7, 'roof': 1.1, 'windscreen': 0.85,
          'bonnet': 1.0, 'front': 0.66, 'grille': 0.6}
LEFT_SIDE, RIGHT_SIDE = 0.95, 0.5  # the sun stands on the left
GLASS, RUBBER, DARK = linear(52, 66, 78), linear(26, 26, 28), linear(22, 22, 24)


def _glass(h: int, w: int, border: int, body: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A pane that mirrors sky above and street below, framed by the body."""
    y = np.linspace(0, 1, h, dtype=np.float32)[:, None, None]
    x = np.linspace(-1, 1, w, dtype=np.float32)[None, :, None]
    rgb = GLASS * (1.9 - 1.5 * y) + 0.10 * np.exp(-((x - 0.7 * y + 0.1) / 0.16) ** 2)
    rgb = np.broadcast_to(rgb, (h, w, 3)).copy()
    heat = np.full((h, w), 282.6, np.float32)
    frame = np.ones((h, w), bool)
    frame[border:h - border, border:w - border] = False
    rgb[frame], heat[frame] = body * 0.8, 284.5
    return rgb, heat


def _strip(name: str, length: float, width: float, body: np.ndarray,
           driven: bool) -> Texture:
    h, w = max(int(length * SCALE), 12), int(width * SCALE)
    shine = np.linspace(1.25, 0.8, h, dtype=np.float32)[:, None, None]
    rgb = np.broadcast_to(body * shine, (h, w, 3)).copy()
    heat = np.full((h, w), 284.6, np.float32)
    x = np.linspace(-1, 1, w, dtype=np.float32)[None]
    if name in ('rear_window', 'windscreen'):
        rgb, heat = _glass(h, w, 7, body)
        if name == 'rear_window' and driven:
            heat += 1.2
    elif name == 'tail':
        for side in (slice(4, w // 6), slice(w - w // 6, w - 4)):
            rgb[4:h * 3 // 4, side] = linear(178, 16, 18) * 1.1
            rgb[h // 3:h // 2, side] = linear(255, 80, 60)
        rgb[h // 2 - 8:h // 2 + 10, w // 2 - 34:w // 2 + 34] = linear(236, 236, 226)
        for mark in range(6):
            at = w // 2 - 28 + 10 * mark
            rgb[h // 2 - 4:h // 2 + 6, at:at + 5] = linear(30, 30, 34)
        rgb[-3:] *= 0.5
    elif name == 'bumper':
        rgb[h // 2:] = DARK * 1.5
        if driven:
            heat[h // 2:] += 2.0
            cv2.circle(heat, (w // 5, h - 7), 7, 326.0, -1)
            cv2.circle(rgb, (w // 5, h - 7), 6, (linear(90, 90, 92)).tolist(), -1, cv2.LINE_AA)
    elif name == 'bonnet' and driven:
        heat += 6.0 * np.exp(-(x / 0.6) ** 2) * np.linspace(0.5, 1, h)[:, None]
    elif name in ('front', 'grille'):
        if name == 'front':
            for side in (slice(6, w // 5), slice(w - w // 5, w - 6)):
                rgb[3:h - 4, side] = linear(232, 236, 240)
                rgb[h // 3:h // 2 + 2, side] = 1.6 if driven else 0.5
                heat[3:h - 4, side] = 292.0 if driven else 284.0
        middle = slice(w // 4, w - w // 4)
        rgb[h // 4:, middle] = DARK * (1 + (np.arange(h - h // 4) % 6 < 2))[:, None, None]
        if driven:
            heat[h // 4:, middle] = 299.0
            heat += 2.0
        if name == 'grille':
            rgb[h // 2 - 9:h // 2 + 9, w // 2 - 34:w // 2 + 34] = linear(236, 236, 226)
    return Texture(rgb, heat)


def _sides(outline: list, body: np.ndarray, driven: bool, van: bool) -> tuple[Texture, Texture]:
    """Draw the side as two pictures, rear at the left: up to the belt line, and above it."""
    length, belt = outline[-1][0], outline[2][1]
    pixel = lambda x, h, top: (round(x * SCALE * 16), round((top - h) * SCALE * 16))  # noqa: E731
    w = int(length * SCALE)
    lower_h = int(belt * SCALE)
    shape = np.zeros((lower_h, w), np.float32)
    low = [p for p in outline if p[1] <= belt + 0.05]
    points = np.array([pixel(p[0], min(p[1], belt), belt) for p in low], np.int32)
    cv2.fillPoly(shape, [points], 1.0, cv2.LINE_AA, 4)
    shine = np.interp(np.arange(lower_h) / SCALE, (0, 0.12, 0.2, 0.6), (1.3, 1.0, 1.15, 0.7))
    rgb = body * shine.astype(np.float32)[:, None, None] * np.ones((1, w, 1), np.float32)
    heat = np.full((lower_h, w), 284.8, np.float32)
    for x in (0.28, 0.53, 0.72):  # door gaps
        rgb[:-int(0.32 * SCALE), int(x * w):int(x * w) + 2] *= 0.35
    rgb[-int(0.38 * SCALE):-int(0.26 * SCALE)] *= 0.6  # sill
    if driven:
        heat[:, int(0.78 * w):] += 1.5
    for x in (0.19 * length, 0.81 * length):
        _wheel(rgb, heat, shape, pixel(x, 0.32, belt), driven)
    upper_h = int((max(p[1] for p in outline) - belt) * SCALE) + 1
    top = belt + upper_h / SCALE
    alpha = np.zeros((upper_h, w), np.float32)
    points = np.array([pixel(p[0], p[1], top) for p in outline[2:7]], np.int32)
    cv2.fillPoly(alpha, [points], 1.0, cv2.LINE_AA, 4)
    pane = cv2.erode(alpha, np.ones((11, 15), np.uint8))
    for x in (0.29, 0.53):
        pane[:, int(x * w):int(x * w) + 10] = 0
    if van:
        pane[:, :int(0.55 * w)] = 0
    fall = np.linspace(2.0, 0.7, upper_h, dtype=np.float32)[:, None, None]
    upper = body * 0.9 * (1 - pane[..., None]) + GLASS * fall * pane[..., None]
    warm = 284.8 - 2.0 * pane
    return Texture(rgb, heat, shape), Texture(upper, warm, alpha)


def _wheel(rgb: np.ndarray, heat: np.ndarray, alpha: np.ndarray, at: tuple[int, int],
           driven: bool) -> None:
    for radius, colour, kelvin in ((0.37, DARK * 0.5, 285.5), (0.32, RUBBER, 293.5),
                                   (0.20, linear(150, 152, 156), 290.0),
                                   (0.07, linear(70, 72, 76), 300.0)):
        pixels = round(radius * SCALE * 16)
        cv2.circle(rgb, at, pixels, colour.tolist(), -1, cv2.LINE_AA, 4)
        cv2.circle(heat, at, pixels, kelvin if driven else 285.0, -1, cv2.LINE_AA, 4)
        if radius < 0.35:
            cv2.circle(alpha, at, pixels, 1.0, -1, cv2.LINE_AA, 4)


@dataclass(frozen=True)
class CarModel:
    """The pictures of one kind and colour of car."""

    outline: list
    strips: list[Texture]
    lower: Texture
    upper: Texture
    under: Texture

    @property
    def length(self) -> float:
        """Metres from bumper to bumper."""
        return self.outline[-1][0]

    @classmethod
    def build(cls, colour: tuple[int, int, int], van: bool = False,
              driven: bool = True) -> 'CarModel':
        """Draw a car; driven cars are warm, parked ones at the air's temperature."""
        outline, body = (VAN if van else CAR), linear(*colour)
        strips = []
        for name, a, b in zip(STRIPS, outline[:-1], outline[1:], strict=True):
            reach = float(np.hypot(b[0] - a[0], b[1] - a[1]))
            strips.append(_strip(name, reach, 2 * max(a[2], b[2]), body, driven))
        h, w = int(outline[0][1] * SCALE) + 4, int(1.7 * SCALE)
        rgb, alpha = np.zeros((h, w, 3), np.float32) + RUBBER * 0.8, np.ones((h, w), np.float32)
        alpha[-int(0.16 * SCALE):, int(0.2 * SCALE):-int(0.2 * SCALE)] = 0.0
        rgb[:, int(0.2 * SCALE):-int(0.2 * SCALE)] = 0.006
        heat = np.full((h, w), 294.5 if driven else 285.2, np.float32)
        lower, upper = _sides(outline, body, driven, van)
        return cls(outline, strips, lower, upper, Texture(rgb, heat, alpha))

    def paint(self, canvas: Canvas, s: float, d: float, oncoming: bool = False,
              brakes: bool = False) -> None:
        """Paint the car whose rear (front, if oncoming) end nearest the camera is at s, d."""
        turn = -1.0 if oncoming else 1.0
        origin = s + (self.length if oncoming else 0.0)

        def point(x: float, across: float, h: float) -> tuple[float, float, float]:
            return canvas.view.place(origin + turn * x, d + turn * across, h)

        end = 0.45 if not oncoming else self.length - 0.75
        h = self.outline[0][1]
        under = [point(end, -0.82 * turn, h), point(end, 0.82 * turn, h),
                 point(end, 0.82 * turn, 0.0), point(end, -0.82 * turn, 0.0)]
        canvas.quad(np.array(under), self.under)
        self._paint_sides(canvas, point, d, turn)
        pairs = list(zip(STRIPS, self.strips, self.outline[:-1], self.outline[1:], strict=True))
        for name, texture, a, b in pairs if oncoming else reversed(pairs):
            upper, lower = (b, a) if b[1] >= a[1] else (a, b)
            corners = np.array([
                point(upper[0], -upper[2] * turn, upper[1]),
                point(upper[0], upper[2] * turn, upper[1]),
                point(lower[0], lower[2] * turn, lower[1]),
                point(lower[0], -lower[2] * turn, lower[1])])
            along = np.subtract(point(b[0], 0, b[1]), point(a[0], 0, a[1]))
            outward = np.cross(np.subtract(point(0, 1, 0), point(0, 0, 0)), along)
            if corners[:, 2].min() > 0.8 and outward @ corners.mean(axis=0) < 0:
                lit = 1.5 if brakes and name == 'tail' else 1.0
                canvas.quad(corners, texture, shade=SHADES[name] * lit)

    def _paint_sides(self, canvas: Canvas, point: object, d: float, turn: float) -> None:
        belt, top = self.outline[2][1], max(p[1] for p in self.outline)
        shows_left = point(self.length / 2, 0, 1)[0] > 0  # camera coordinates: it is on our right
        side = -1.0 if shows_left else 1.0
        across = side * turn
        wide, roof = self.outline[1][2], self.outline[4][2]
        shade = LEFT_SIDE if side < 0 else RIGHT_SIDE
        for texture, low, high, at_low, at_high in (
                (self.lower, 0.0, belt, wide, self.outline[2][2] + 0.02),
                (self.upper, belt, top, self.outline[2][2], roof)):
            corners = np.array([point(0, across * at_high, high),
                                point(self.length, across * at_high, high),
                                point(self.length, across * at_low, low),
                                point(0, across * at_low, low)])
            canvas.quad(corners, texture, 3, shade=shade)
