# SPDX-License-Identifier: Apache-2.0
"""Degrade the clear frames of the drive as the schedule says, without flicker."""

import numpy as np

from degfusion_ros.drive.scene import Frame
from degfusion_ros.drive.schedule import SCHEDULE, Segment, segment_at, severities
from degfusion_ros.learning import degradations

SIGHT = 32.0  # metres at which the fog's air light has all but won
# The thermal camera's fixed window: counts of 273 K and 306 K at 0.04 K a count.
WINDOW = (6825, 7650)
SEEDS = {'fog': 2, 'low_light': 3, 'noise': 5, 'rain': 4, 'overexposure': 11, 'stripe': 6,
         'low_contrast': 7, 'thermal_noise': 8}


class SteadyRandom:
    """
    Random numbers for a film: single numbers stay from frame to frame, fields change.

    Single numbers choose the condition (the rain's slant, the noise's kind); fields are its grain.
    """

    def __init__(self, seed: int, frame: int) -> None:
        self.steady = np.random.default_rng(seed)
        self.fleeting = np.random.default_rng((seed, frame))

    def _source(self, size: object) -> np.random.Generator:
        return self.steady if size is None else self.fleeting

    def uniform(self, low: float = 0.0, high: float = 1.0, size: object = None) -> object:
        """Draw as numpy.random.Generator.uniform does."""
        return self._source(size).uniform(low, high, size)

    def normal(self, loc: float = 0.0, scale: float = 1.0, size: object = None) -> object:
        """Draw as numpy.random.Generator.normal does."""
        return self._source(size).normal(loc, scale, size)

    def random(self, size: object = None, dtype: type = np.float64) -> object:
        """Draw as numpy.random.Generator.random does."""
        return self._source(size).random(size, dtype)

    def standard_normal(self, size: object = None, dtype: type = np.float64) -> object:
        """Draw as numpy.random.Generator.standard_normal does."""
        return self._source(size).standard_normal(size, dtype)

    def integers(self, low: int, high: int | None = None, size: object = None) -> object:
        """Draw as numpy.random.Generator.integers does."""
        return self._source(size).integers(low, high, size)


def degrade(frame: Frame, t: float, schedule: tuple[Segment, ...] = SCHEDULE) -> Frame:
    """Return the frame as the cameras see it at t; in a clear stretch the frame itself."""
    visible, thermal = severities(t, schedule)
    number = round(t * 1000)
    segment = segment_at(t, schedule)
    picture, counts = frame.visible, frame.thermal
    if segment.visible:
        rgb = picture.astype(np.float32) / 255
        for label in ('fog', 'rain', 'blur', 'low_light', 'overexposure', 'noise'):
            if visible.get(label, 0) > 0:
                rgb = _visible(label, rgb, visible[label], frame.depth, number)
        picture = (rgb * 255 + 0.5).astype(np.uint8)
    if segment.thermal:
        low, high = WINDOW
        unit = (counts.astype(np.float32) - low) / (high - low)
        for label in ('blur', 'low_contrast', 'stripe', 'noise'):
            if thermal.get(label, 0) > 0:
                unit = _thermal(label, unit.clip(0, 1), thermal[label], number)
        counts = (low + unit * (high - low) + 0.5).astype(np.uint16)
    return Frame(picture, counts, frame.depth)


def _visible(label: str, rgb: np.ndarray, severity: float, depth: np.ndarray,
             number: int) -> np.ndarray:
    seed = SEEDS.get(label, 1)
    if label == 'fog':
        steady = np.random.default_rng(seed)
        return degradations.fog(rgb, severity, np.minimum(depth, SIGHT), steady)
    if label in ('rain', 'noise'):
        return getattr(degradations, label)(rgb, severity, SteadyRandom(seed, number))
    return getattr(degradations, label)(rgb, severity, np.random.default_rng(seed))


def _thermal(label: str, unit: np.ndarray, severity: float, number: int) -> np.ndarray:
    if label == 'noise':
        grain = SteadyRandom(SEEDS['thermal_noise'], number)
        return degradations.noise(unit, severity, grain)
    return getattr(degradations, label)(unit, severity, np.random.default_rng(SEEDS.get(label, 1)))
