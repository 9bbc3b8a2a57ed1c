# SPDX-License-Identifier: Apache-2.0
"""The road, its marks, pavements and grass: one texture, laid out in perspective."""

import cv2
import numpy as np

from degfusion_ros.drive.camera import EYE, FOCAL, HEIGHT, LANE, View, WIDTH
from degfusion_ros.drive.texture import fbm, linear, value_noise

CELL = 0.03  # metres per texel
SHAPE = (2048, 1280)  # 61.4 m of road, 38.4 m across; repeats along the road
SIDE = SHAPE[1] * CELL / 2
KERB_RIGHT, KERB_LEFT = 5.7, -3.9  # metres from the centre line: a parking lane on the right
PAVEMENT_RIGHT, PAVEMENT_LEFT = 8.3, -6.0


def _cracks(rng: np.random.Generator) -> np.ndarray:
    """Draw wandering cracks and tar seams: HxW in [0, 1], 1 in the crack."""
    image = np.zeros(SHAPE, np.float32)
    for _ in range(38):
        point = rng.uniform((0, 0), SHAPE)
        angle = rng.uniform(0, 2 * np.pi)
        trail = [point]
        for _ in range(int(rng.integers(8, 40))):
            angle += rng.normal(0, 0.5)
            trail.append(trail[-1] + 7 * np.array([np.sin(angle), np.cos(angle)]))
        line = np.array(trail)[:, ::-1].astype(np.int32)
        cv2.polylines(image, [line], False, float(rng.uniform(0.3, 0.9)),
                      int(rng.choice([1, 1, 2])), cv2.LINE_AA)
    return image


def _paint(d: np.ndarray, s: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return how much road paint covers each texel, worn in places."""
    period = SHAPE[0] * CELL / 5  # dashes fit the repeat: 12.3 m
    dash = (s % period < 4.5) & (np.abs(d) < 0.07)
    edges = (np.abs(d - 3.55) < 0.06) | (np.abs(d + 3.6) < 0.06)
    bays = (s % (2 * period) < 0.12) & (d > 3.55) & (d < KERB_RIGHT - 0.2)
    wear = np.clip(0.85 + 0.35 * fbm(SHAPE, (64, 40), 5, rng), 0.15, 1)
    paint = (dash | edges | bays).astype(np.float32)
    return cv2.GaussianBlur(paint, (0, 0), 0.7) * wear


def _blocks(x: np.ndarray, y: np.ndarray, size: float, joint: float) -> np.ndarray:
    """Return 1 in the joints between square slabs."""
    return ((x % size < joint) | (y % size < joint)).astype(np.float32)


def build(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the ground's colour (HxWx3 linear) and temperature (HxW kelvin) seen from above."""
    s = (np.arange(SHAPE[0], dtype=np.float32)[:, None] + 0.5) * CELL
    d = (np.arange(SHAPE[1], dtype=np.float32)[None, :] + 0.5) * CELL - SIDE
    s, d = np.broadcast_arrays(s, d)
    broad, fine = fbm(SHAPE, (8, 5), 5, rng), fbm(SHAPE, (256, 160), 3, rng, 0.8)
    speckle = rng.standard_normal(SHAPE, dtype=np.float32)

    tracks = sum(np.exp(-((d - at) / 0.28) ** 2) for at in (-2.55, -0.95, 0.95, 2.55))
    oil = np.exp(-((np.abs(d) - LANE) / 0.3) ** 2)
    grey = 0.105 * (1 + 0.10 * broad + 0.10 * fine + 0.06 * speckle + 0.10 * tracks - 0.12 * oil)
    patches = value_noise(SHAPE, (10, 12), rng) > 0.72
    cracks = _cracks(rng)
    grey = np.where(patches, grey * 0.72, grey) * (1 - 0.6 * cracks)
    paint = _paint(d, s, rng)
    rgb = grey[..., None] * np.array([1.02, 1.0, 0.97], np.float32)
    rgb = rgb * (1 - paint[..., None]) + 0.62 * paint[..., None]
    heat = 290.4 + 0.6 * broad + 0.4 * fine + 1.6 * tracks - 2.6 * paint + 0.8 * patches
    heat = heat + 0.5 * cracks

    joints = _blocks(d, s, 0.48, 0.05)
    slab = value_noise(SHAPE, (128, 80), rng)
    tone = 0.26 * (1 + 0.10 * slab + 0.06 * broad + 0.08 * speckle) * (1 - 0.45 * joints)
    pavement = ((d > KERB_RIGHT) & (d < PAVEMENT_RIGHT)) | ((d < KERB_LEFT) & (d > PAVEMENT_LEFT))
    rgb = np.where(pavement[..., None], tone[..., None] * np.float32([1.03, 1.0, 0.94]), rgb)
    heat = np.where(pavement, 287.4 + 0.5 * broad + 0.5 * slab - 1.2 * joints, heat)

    kerb = ((d > KERB_RIGHT - 0.18) & (d <= KERB_RIGHT)) | (
        (d < KERB_LEFT + 0.18) & (d >= KERB_LEFT))
    stone = 0.38 * (1 + 0.08 * speckle) * (1 - 0.4 * (s % 0.96 < 0.04))
    rgb = np.where(kerb[..., None], stone[..., None], rgb)
    heat = np.where(kerb, 289.0 + 0.2 * fine, heat)
    gutter = sum(np.exp(-((d - at) / 0.12) ** 2) for at in (KERB_RIGHT - 0.3, KERB_LEFT + 0.3))
    rgb = rgb * (1 - 0.35 * gutter[..., None])

    grass = (d >= PAVEMENT_RIGHT + 0.15 * broad) | (d <= PAVEMENT_LEFT - 0.15 * broad)
    blades = 1 + 0.22 * broad + 0.28 * fine + 0.35 * speckle
    dry = np.clip(0.4 + 0.4 * fbm(SHAPE, (12, 8), 5, rng), 0, 1)[..., None]
    green = linear(84, 108, 46) * (1 - dry) + linear(134, 128, 74) * dry
    rgb = np.where(grass[..., None], green * np.maximum(blades, 0.15)[..., None], rgb)
    heat = np.where(grass, 280.4 + 0.8 * broad + 0.6 * fine + 1.8 * dry[..., 0], heat)
    return rgb.astype(np.float32), heat.astype(np.float32)


class Ground:
    """The ground's texture with copies blurred along the road, for the grazing view."""

    def __init__(self, rng: np.random.Generator) -> None:
        rgb, heat = build(rng)
        texture = np.dstack([rgb, heat])
        self.levels = []
        for level in range(9):  # each half as long; across, the far view needs little smoothing
            rows = texture.shape[0] >> level
            small = cv2.resize(texture, (SHAPE[1], rows), interpolation=cv2.INTER_AREA)
            across = 0.30 * 2 ** (level / 2)  # a texel's footprint at that distance
            if across > 0.5:
                small = cv2.GaussianBlur(small, (0, 0), sigmaX=across, sigmaY=0.01)
            self.levels.append(np.concatenate([small[-1:], small, small[:1]]))
        grain = fbm((512, 512), (100, 100), 3, rng, 0.9)
        self.grain = [np.pad(cv2.GaussianBlur(grain, (0, 0), b) if b else grain, 1, mode='wrap')
                      for b in (0, 1.2, 3)]

    def paint(self, view: View, rgb: np.ndarray, temperature: np.ndarray,
              depth: np.ndarray) -> None:
        """Fill everything below the horizon."""
        first = int(np.ceil(view.horizon)) + 1
        rows = np.arange(first, HEIGHT, dtype=np.float32)
        z = FOCAL * EYE / (rows + 0.5 - view.horizon)
        u = np.arange(WIDTH, dtype=np.float32) + 0.5 - WIDTH / 2
        s = view.s + z
        d = u[None, :] * (z / FOCAL)[:, None] + (LANE - view.bend(s))[:, None].astype(np.float32)
        depth[first:] = z[:, None]
        footprint = z * z / (FOCAL * EYE) / CELL
        level = np.clip(np.round(np.log2(np.maximum(footprint, 1))), 0, 8).astype(int)
        # Past the texture's side its outer strip of grass repeats, mirrored.
        outside = np.abs(d) > SIDE - 0.1
        fold = (np.abs(d) - SIDE + 0.1) % 16.0
        d = np.where(outside, np.sign(d) * (SIDE - 0.1 - np.minimum(fold, 16.0 - fold)), d)
        columns = ((d + SIDE) / CELL - 0.5).astype(np.float32)
        for k in np.unique(level):
            band = np.flatnonzero(level == k)
            texture = self.levels[k]
            along = (s[band] / (CELL * 2.0 ** k)) % (texture.shape[0] - 2) + 0.5
            along = np.repeat(along.astype(np.float32)[:, None], WIDTH, axis=1)
            sample = cv2.remap(texture, columns[band], along, cv2.INTER_LINEAR)
            at = slice(first + band[0], first + band[-1] + 1)
            rgb[at], temperature[at] = sample[..., :3], sample[..., 3]
        self._add_grain(first, z, s, d, rgb)

    def _add_grain(self, first: int, z: np.ndarray, s: np.ndarray, d: np.ndarray,
                   rgb: np.ndarray) -> None:
        """Add the stones of the surface, 3 mm fine, which only the nearest metres show."""
        for grain, (near, far) in zip(self.grain, ((0, 4.5), (4.5, 8), (8, 14)), strict=True):
            band = np.flatnonzero((z >= near) & (z < far))
            if not len(band):
                continue
            x = (d[band] / 0.003 % 512).astype(np.float32) + 0.5
            y = np.repeat((s[band] / 0.003 % 512 + 0.5).astype(np.float32)[:, None], WIDTH, axis=1)
            sample = cv2.remap(grain, x, y, cv2.INTER_LINEAR)
            rgb[first + band[0]:first + band[-1] + 1] *= 1 + 0.10 * sample[..., None]
