# SPDX-License-Identifier: Apache-2.0
"""The drive's clear picture at any time: visible, thermal counts and depth, pixel by pixel."""

from typing import NamedTuple

import cv2
import numpy as np

from degfusion_ros.drive import people, plants, street, traffic
from degfusion_ros.drive.camera import FAR, HEIGHT, View, WIDTH
from degfusion_ros.drive.canvas import Canvas
from degfusion_ros.drive.cars import CarModel
from degfusion_ros.drive.ground import Ground
from degfusion_ros.drive.sky import Sky
from degfusion_ros.drive.texture import linear, Texture

KELVIN_PER_COUNT = 0.04  # a 14-bit radiometric camera: counts are absolute temperature
SIGHT = 170.0  # metres: what stands farther is a pixel or two behind haze


class Frame(NamedTuple):
    """visible HxWx3 uint8 RGB, thermal HxW uint16 counts, depth HxW float32 metres."""

    visible: np.ndarray
    thermal: np.ndarray
    depth: np.ndarray


class Scene:
    """The street and everyone in it; the same seed gives the same pictures."""

    def __init__(self, seed: int = 7) -> None:
        rng = np.random.default_rng(seed)
        self.seed = seed
        self.ground, self.sky, self.street = Ground(rng), Sky(rng), street.build(rng)
        self.cars = [CarModel.build(colour, van=i == 2) for i, colour in enumerate(
            ((34, 58, 120), (206, 208, 208), (232, 230, 224), (150, 28, 30), (40, 42, 46)))]
        self.shadow, self.leaf_shadow = plants.blob_shadow(rng), plants.blob_shadow(rng, 0.28)
        self.zebra = self._draw_zebra(rng)
        self.figures: dict[tuple, Texture] = {}
        self.pattern = rng.standard_normal((HEIGHT, WIDTH), dtype=np.float32)
        y, x = np.mgrid[-1:1:HEIGHT * 1j, -1:1:WIDTH * 1j].astype(np.float32)
        self.vignette = (1 - 0.20 * (x * x + y * y) / 2)[..., None]
        light = np.linspace(0, 4, 4096, dtype=np.float32)
        film = light * (1 + light / 5.0) / (1 + light) * 1.55
        self.curve = (np.clip(film, 0, 1) ** (1 / 2.2) * 255).astype(np.float32)

    def render(self, t: float) -> Frame:
        """Return the clear frame at t seconds."""
        view = View.at(traffic.ego_position(t), t)
        canvas = Canvas(view, np.zeros((HEIGHT, WIDTH, 3), np.float32),
                        np.zeros((HEIGHT, WIDTH), np.float32),
                        np.full((HEIGHT, WIDTH), FAR, np.float32))
        self.sky.paint(view, t, canvas.rgb, canvas.temperature, canvas.depth)
        self.ground.paint(view, canvas.rgb, canvas.temperature, canvas.depth)
        movers = [m for m in traffic.movers(t) if -6 < m.s - view.s < SIGHT]
        self._paint_ground_marks(canvas, movers)
        for _, paint in sorted(self._things(canvas, movers), key=lambda item: -item[0]):
            paint()
        rng = np.random.default_rng((self.seed, round(t * 1000)))
        return Frame(self._expose(canvas, rng), self._count(canvas.temperature, rng), canvas.depth)

    def _things(self, canvas: Canvas, movers: list[traffic.Mover]) -> list[tuple]:
        """List (distance, paint) of everything in sight."""
        here, things = canvas.view.s, []
        for house in self.street.houses:
            if -house.length < house.s - here < SIGHT:
                things.append((house.s + house.length - here, lambda h=house: h.paint(canvas)))
        for thing in self.street.standing:
            if 0.8 < thing.s - here < SIGHT:
                things.append((thing.s - here, lambda x=thing: canvas.billboard(
                    x.s, x.d, x.height, x.texture, flip=x.flip)))
        for s, d, texture in self.street.hedges:
            if -4 < s - here < 120:
                things.append((s + 4 - here, lambda s=s, d=d, x=texture: _wall(
                    canvas, s, s + 4, d, 1.15, x)))
        for car in self.street.parked:
            if -4 < car.s - here < SIGHT:
                things.append((car.s + 2 - here, lambda c=car: c.model.paint(canvas, c.s, c.d)))
        things += [(m.s - here, lambda m=m: self._paint_mover(canvas, m)) for m in movers]
        return things

    def _paint_mover(self, canvas: Canvas, mover: traffic.Mover) -> None:
        if mover.kind == 'car':
            self.cars[mover.look % len(self.cars)].paint(canvas, mover.s, mover.d, mover.oncoming)
            return
        if mover.s - canvas.view.s < 0.8:
            return
        key = (mover.kind, mover.look, mover.phase)
        if key not in self.figures:
            self.figures[key] = people.cyclist(mover.phase, mover.look) \
                if mover.kind == 'cyclist' else \
                people.walker(mover.phase, mover.look, mover.kind == 'crosser')
        canvas.billboard(mover.s, mover.d, 1.85, self.figures[key], flip=mover.leftwards)

    def _paint_ground_marks(self, canvas: Canvas, movers: list[traffic.Mover]) -> None:
        here = canvas.view.s
        for met in traffic.CROSSINGS:
            s = traffic.ego_position(met)
            if -4 < s - here < SIGHT:
                _floor(canvas, s, s + 3.2, -3.7, 5.5, self.zebra, 3)
        for s, d, height in self.street.tree_shadows:
            if -8 < s - here < 90:
                size = 0.42 * height
                _floor(canvas, s - size, s + size, d + 0.5, d + 0.5 + 2.6 * size,
                       self.leaf_shadow, 3)
        for car in self.street.parked:
            if -5 < car.s - here < 100:
                _floor(canvas, car.s - 0.4, car.s + car.model.length + 0.3, car.d - 1.0,
                       car.d + 1.5, self.shadow, 3)
        for m in movers:
            if m.kind == 'car':
                length = self.cars[m.look % len(self.cars)].length
                _floor(canvas, m.s - 0.4, m.s + length + 0.3, m.d - 1.05, m.d + 1.7, self.shadow, 3)
            else:
                _floor(canvas, m.s - 0.25, m.s + 0.3, m.d - 0.25, m.d + 1.9, self.shadow)

    def _expose(self, canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
        """Add the air's haze, then expose, sharpen and digitise as a camera does."""
        haze = np.exp(canvas.depth * np.float32(-1 / 700.0))[..., None]
        haze = np.maximum(haze, np.where(canvas.depth[..., None] >= FAR, 1.0, 0.0))
        light = canvas.rgb * haze + linear(196, 208, 218) * (1 - haze)
        light *= self.vignette * np.float32(1.05 * 1023.75)
        picture = self.curve[np.clip(light, 0, 4095).astype(np.uint16)]
        soft = cv2.GaussianBlur(picture, (0, 0), 0.9)
        picture += 0.35 * (picture - soft)
        picture += rng.standard_normal(picture.shape, dtype=np.float32) * np.float32(0.6)
        return np.clip(picture + 0.5, 0, 255).astype(np.uint8)

    def _count(self, temperature: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Turn kelvin into counts: diffraction, 50 mK of noise, a faint fixed pattern."""
        kelvin = cv2.GaussianBlur(temperature, (0, 0), 0.55)
        kelvin += rng.standard_normal(kelvin.shape, dtype=np.float32) * np.float32(0.05)
        kelvin += self.pattern * np.float32(0.025)
        return np.clip(kelvin / KELVIN_PER_COUNT + 0.5, 0, 16383).astype(np.uint16)

    def _draw_zebra(self, rng: np.random.Generator) -> Texture:
        wear = np.clip(0.9 + 0.25 * rng.standard_normal((276, 96), dtype=np.float32), 0, 1)
        bars = ((np.arange(276) % 30) < 15).astype(np.float32)[:, None] * wear
        alpha = cv2.GaussianBlur(bars, (0, 0), 0.8) * 0.92
        return Texture(np.full((276, 96, 3), 0.60, np.float32),
                       np.full((276, 96), 287.2, np.float32), alpha)


def _floor(canvas: Canvas, near: float, far: float, left: float, right: float, texture: Texture,
           panels: int = 1) -> None:
    """Lay a texture on the road; its width runs along the road, its top at the left."""
    place = canvas.view.place
    corners = [place(near, left, 0), place(far, left, 0), place(far, right, 0),
               place(near, right, 0)]
    canvas.quad(np.array(corners), texture, panels, solid=False)


def _wall(canvas: Canvas, near: float, far: float, d: float, height: float,
          texture: Texture) -> None:
    """Stand a texture along the road."""
    place = canvas.view.place
    corners = [place(near, d, height), place(far, d, height), place(far, d, 0), place(near, d, 0)]
    canvas.quad(np.array(corners), texture, shade=0.95 if d > 0 else 0.7)
