# SPDX-License-Identifier: Apache-2.0
"""The sky with its clouds, and the hills and woods on the horizon."""

import cv2
import numpy as np

from degfusion_ros.drive.camera import FAR, FOCAL, View, WIDTH
from degfusion_ros.drive.texture import fbm, linear

PANORAMA = 2400  # columns of the horizon, one per pixel of view, repeating
TOP = 90  # rows above the horizon it may reach


class Sky:
    """A cloud layer in perspective and a panorama, in both spectra."""

    def __init__(self, rng: np.random.Generator) -> None:
        cloud = fbm((1024, 1024), (5, 5), 7, rng, 0.58)
        cover = np.clip((cloud + 0.35) * 0.75, 0, 1)
        shifted = np.roll(cloud, (9, -9), (0, 1))
        light = np.clip(0.86 + 0.30 * (cloud - shifted), 0.5, 1.15)
        self.clouds = np.pad(np.dstack([cover, light]).astype(np.float32),
                             ((1, 1), (1, 1), (0, 0)), mode='wrap')
        self.panorama = [self._ridge(rng, 34, 14, 5, linear(126, 146, 158), 0.05, 280.0),
                         self._ridge(rng, 17, 8, 8, linear(82, 100, 84), 0.18, 280.4),
                         self._ridge(rng, 9, 5, 60, linear(56, 72, 42), 0.35, 280.8)]

    def _ridge(self, rng: np.random.Generator, height: float, swing: float, cells: int,
               colour: np.ndarray, rough: float, kelvin: float) -> tuple[np.ndarray, np.ndarray]:
        outline = height + swing * fbm((8, PANORAMA), (1, cells), 8, rng, 0.5)[0]
        rows = TOP - np.arange(TOP, dtype=np.float32)[:, None]
        alpha = np.clip(outline[None] - rows + 1, 0, 1)
        grain = fbm((TOP, PANORAMA), (12, 300), 3, rng, 0.8)
        crown = np.clip(1 + rough * grain, 0.3, 2) * (0.8 + 0.4 * np.clip(rows / height, 0, 1))
        rgb = colour * crown[..., None]
        layer = np.dstack([rgb * alpha[..., None], alpha]).astype(np.float32)
        return layer, ((kelvin + rough * grain) * alpha).astype(np.float32)

    def paint(self, view: View, t: float, rgb: np.ndarray, temperature: np.ndarray,
              depth: np.ndarray) -> None:
        """Fill the picture down to the horizon."""
        last = int(np.ceil(view.horizon)) + 1
        above = np.maximum(view.horizon - np.arange(last, dtype=np.float32) - 0.5, 0.5)[:, None]
        u = np.arange(WIDTH, dtype=np.float32)[None] + 0.5 - WIDTH / 2 + FOCAL * view.heading
        z = FOCAL * 1.0 / above  # the cloud layer's distance in units of its height
        x = u * z / FOCAL * 110 + 3 * t
        y = np.broadcast_to(z * 75 + 6 * t + 0.4 * view.s, x.shape)
        layer = cv2.remap(self.clouds, (x % 1024).astype(np.float32) + 0.5,
                          (y % 1024).astype(np.float32) + 0.5, cv2.INTER_LINEAR)
        rise = np.clip(above / view.horizon, 0, 1)[..., None]
        haze = np.exp(-rise * 5.0)
        blue = linear(96, 146, 204) * (1 - rise) + linear(52, 102, 176) * rise
        cover = layer[..., :1] * (1 - 0.75 * haze)
        sky = blue * (1 - cover) + layer[..., 1:2] * linear(242, 240, 236) * cover
        rgb[:last] = sky * (1 - haze) + linear(214, 222, 228) * haze
        cold = 266.0 - 9.0 * rise[..., 0] + 7.0 * cover[..., 0] + 9.0 * haze[..., 0]
        temperature[:last] = cold
        depth[:last] = FAR
        self._paint_panorama(view, last, rgb, temperature, depth)

    def _paint_panorama(self, view: View, last: int, rgb: np.ndarray, temperature: np.ndarray,
                        depth: np.ndarray) -> None:
        turn = FOCAL * view.heading
        columns = (np.arange(WIDTH, dtype=np.float32) + turn + 10 * PANORAMA) % (PANORAMA - 1)
        rows = np.arange(last - TOP, last, dtype=np.float32) - view.horizon + TOP
        x, y = np.meshgrid(columns, rows)
        at = slice(last - TOP, last)
        for (layer, heat), distance in zip(self.panorama, (1500, 700, 350), strict=True):
            colour = cv2.remap(layer, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            warm = cv2.remap(heat, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            rest = 1 - colour[..., 3]
            rgb[at] = rgb[at] * rest[..., None] + colour[..., :3]
            temperature[at] = temperature[at] * rest + warm
            np.copyto(depth[at], np.float32(distance), where=colour[..., 3] > 0.5)
