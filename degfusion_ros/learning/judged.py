# SPDX-License-Identifier: Apache-2.0
"""The guidance's own samples: clean frames of many cameras, degraded whole, and real nights."""

from collections.abc import Callable
import os

import cv2
import numpy as np
import torch
from torch.utils.data import IterableDataset

from degfusion_ros.imaging.statistics import pair_statistics
from degfusion_ros.imaging.views import guidance_view
from degfusion_ros.learning import conditions
from degfusion_ros.models.labels import THERMAL_LABELS, VISIBLE_LABELS

Pair = tuple[np.ndarray, np.ndarray]        # uint8 HxWx3 RGB, uint8 HxW
Degrade = Callable[[np.ndarray, dict[str, float], np.random.Generator], np.ndarray]
_NIGHTS = 0.08      # share of samples whose visible frame is a real night
_WEAK = 0.55        # of the range: a thermal frame below it is stretched, as a camera's AGC does


def degrade(image: np.ndarray, severities: dict[str, float],
            rng: np.random.Generator) -> np.ndarray:
    """Degrade an RGB (visible) or HxW (thermal) float32 image by the training's generator."""
    make = conditions.degrade_visible if image.ndim == 3 else conditions.degrade_thermal
    return make(image, severities, rng)


def look(visible: np.ndarray, thermal: np.ndarray) -> dict[str, torch.Tensor]:
    """Return what the guidance sees of a uint8 pair: `views` and `measures`."""
    views = np.stack([guidance_view(visible), guidance_view(thermal)])
    return {'views': torch.from_numpy(views).permute(0, 3, 1, 2).contiguous(),
            'measures': torch.from_numpy(pair_statistics(visible, thermal))}


def worker_rng(seed: int) -> np.random.Generator:
    """Return the random numbers of this loader process, which makes itself small."""
    info = torch.utils.data.get_worker_info()
    if info:        # the trainer needs the cores: one thread, and only what it leaves
        cv2.setNumThreads(0)
        os.nice(10)
    return np.random.default_rng((seed, info.id if info else 0))


def table(visible: dict[str, float], thermal: dict[str, float],
          absent: float = 0.0) -> torch.Tensor:
    """Put severities in the order of the labels, float32 (10,), `absent` where not named."""
    return torch.tensor([visible.get(n, absent) for n in VISIBLE_LABELS]
                        + [thermal.get(n, 0.0) for n in THERMAL_LABELS], dtype=torch.float32)


def usable(visible: np.ndarray, thermal: np.ndarray) -> bool:
    """Tell whether a pair may count as clean: not burnt out, hazy or soft itself."""
    grey = cv2.cvtColor(visible, cv2.COLOR_RGB2GRAY)
    return bool((grey > 250).mean() < 0.12 and grey.std() > 23 and _sharpness(grey) > 0.8
                and _sharpness(thermal) > 0.75)


def _sharpness(grey: np.ndarray) -> float:
    # how sudden the steepest edges are: curvature against slope
    values = grey.astype(np.float32)
    slope = np.percentile(np.abs(np.diff(values, axis=1)), 99.5)
    curve = np.percentile(np.abs(values[:, 2:] - 2 * values[:, 1:-1] + values[:, :-2]), 99.5)
    return float(curve / max(slope, 1))


class JudgedStream(IterableDataset):
    """
    Endless samples `views`, `measures` and `severity` (10,), NaN where nobody knows it.

    `nights` are real dark RGB frames: dark for certain, the rest of their labels unknown. Without
    `vary` the frames are as they were recorded.
    """

    def __init__(self, pairs: list[Pair], seed: int, nights: list[np.ndarray] | None = None,
                 vary: bool = True, low: float = 0.2, make: Degrade = degrade):
        self.pairs, self.seed, self.nights = pairs, seed, nights or []
        self.vary, self.low, self.make = vary, low, make

    def __iter__(self):
        rng = worker_rng(self.seed)
        while True:
            yield self.sample(rng)

    def sample(self, rng: np.random.Generator,
               condition: conditions.Condition | None = None) -> dict[str, torch.Tensor]:
        """Draw a pair and a condition (unless given) and degrade the one by the other."""
        visible, thermal = self.pairs[rng.integers(len(self.pairs))]
        if self.vary:
            visible, thermal = reframe(visible, thermal, rng)
        visible, thermal = visible.astype(np.float32) / 255, thermal.astype(np.float32) / 255
        if np.ptp(np.percentile(thermal, (1, 99))) < _WEAK:
            thermal = stretched(thermal)
        if self.vary:
            visible, thermal = another_camera(visible, rng), another_sensor(thermal, rng)
        condition = condition or conditions.draw(rng, self.low)
        severity = table(condition.visible, condition.thermal)
        if self.nights and rng.random() < _NIGHTS:
            seen, darkness = self._night(rng)
            severity = table({'low_light': darkness, 'overexposure': 0.0}, condition.thermal,
                             float('nan'))
        else:
            seen = conditions.to_bytes(self.make(visible, condition.visible, rng))
        if self.vary and rng.random() < 0.15:
            seen = conditions.compress(seen, rng)
        heat = conditions.to_bytes(self.make(thermal, condition.thermal, rng))
        return {**look(seen, heat), 'severity': severity}

    def _night(self, rng: np.random.Generator) -> tuple[np.ndarray, float]:
        night = self.nights[rng.integers(len(self.nights))]
        if self.vary:
            night = reframe(night, night[..., 0], rng)[0]
            night = cv2.convertScaleAbs(night, alpha=rng.uniform(0.6, 1.3))
        # the generator's own scale: what is left of a day's light
        left = min(float(night.mean()) / 125, 0.7)
        darkness = ((0.75 - left) / 0.65) ** (1 / 0.7)
        return np.ascontiguousarray(night), min(max(darkness, 0.2), 1.0)


def reframe(visible: np.ndarray, thermal: np.ndarray, rng: np.random.Generator) -> Pair:
    """Cut, shrink and mirror a uint8 pair; never enlarge, which would be an unlabelled blur."""
    h, w = thermal.shape
    if rng.random() < 0.6:
        keep = rng.uniform(0.65, 1.0)
        ch, cw = round(h * keep), round(w * keep)
        y, x = rng.integers(h - ch + 1), rng.integers(w - cw + 1)
        visible, thermal = visible[y:y + ch, x:x + cw], thermal[y:y + ch, x:x + cw]
        h, w = ch, cw
    smallest = max(200 / h, 0.5)
    if smallest < 1 and rng.random() < 0.6:
        scale = rng.uniform(smallest, 1.0)
        size = (round(w * scale), round(h * scale))
        visible, thermal = (cv2.resize(x, size, interpolation=cv2.INTER_AREA)
                            for x in (visible, thermal))
    if rng.random() < 0.5:
        visible, thermal = visible[:, ::-1], thermal[:, ::-1]
    return np.ascontiguousarray(visible), np.ascontiguousarray(thermal)


def another_camera(visible: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Vary black level, curve, white balance and colour of a clean float32 RGB frame."""
    if rng.random() < 0.5:
        black = np.percentile(visible, 1) * rng.random()
        visible = (visible - black) / (1 - black)
    visible = np.power(visible.clip(0, 1), rng.uniform(0.75, 1.4) if rng.random() < 0.4 else 1.0)
    if rng.random() < 0.4:
        visible = visible * rng.uniform(0.92, 1.08, 3)
    visible = visible.clip(0, 1).astype(np.float32)
    if rng.random() < 0.3:          # weak colours, often none at all
        grey = cv2.cvtColor(visible, cv2.COLOR_RGB2GRAY)[..., None]
        colour = 0.0 if rng.random() < 0.4 else rng.uniform(0.1, 1.3)
        visible = (grey + (visible - grey) * np.float32(colour)).clip(0, 1)
    return visible


def another_sensor(thermal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Vary gain control, polarity and curve of a clean float32 thermal frame."""
    if rng.random() < 0.2:
        thermal = stretched(thermal)
    if rng.random() < 0.1:
        thermal = 1 - thermal
    curve = rng.uniform(0.65, 1.5) if rng.random() < 0.4 else 1.0
    return np.power(thermal, np.float32(curve))


def stretched(thermal: np.ndarray) -> np.ndarray:
    """Spread a float32 frame over the whole range, as automatic gain control does."""
    low, high = np.percentile(thermal, (0.5, 99.5))
    return ((thermal - low) / max(high - low, 1e-3)).clip(0, 1).astype(np.float32)
