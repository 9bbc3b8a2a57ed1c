# SPDX-License-Identifier: Apache-2.0
"""
Named conditions for benchmark sets: the recipe of DeMMI-RF (TG-ECNet) and our further ones.

A condition is one effect or several joined by `+`, each with a fixed severity if `@` gives one:
`haze`, `haze@0.5`, `defocus+stripe+noise50`. `mixed` is a random composite as training draws it.
Of DeMMI-RF only the noise's sigma is published; the ranges of the others are ours.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from degfusion_ros.learning import conditions, degradations
from degfusion_ros.learning.draws import Draws, seed_of


class ConditionError(ValueError):
    """A condition that is not known or contradicts itself; the message says how to write one."""


@dataclass(frozen=True)
class Effect:
    """What is done to which modality, its label, and the severities it is drawn from."""

    modality: str
    label: str
    apply: Callable[[np.ndarray, float, Draws], np.ndarray]
    low: float
    high: float

    @property
    def fixed(self) -> bool:
        """Whether its strength is in its name."""
        return self.low == self.high


@dataclass(frozen=True)
class Degraded:
    """A degraded pair (uint8 RGB, uint8), its severities and all parameters, per modality."""

    visible: np.ndarray
    thermal: np.ndarray
    severities: dict[str, dict[str, float]]
    parameters: dict[str, dict]


def _gaussian(sigma: float, image: np.ndarray, severity: float, draws: Draws) -> np.ndarray:
    draws.note('sigma', sigma)
    grain = draws.standard_normal(image.shape, dtype=np.float32)
    return (image + np.float32(sigma / 255) * grain).clip(0, 1)


def _defocus(image: np.ndarray, severity: float, draws: Draws) -> np.ndarray:
    """Spread every point over a disc; severity 1 is a radius of 5 px in 480 rows."""
    radius = (1 + 4 * severity) * max(image.shape[0] / 480, 0.4)
    draws.note('radius', radius)
    reach = int(np.ceil(radius))
    yy, xx = np.mgrid[-reach:reach + 1, -reach:reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(xx, yy), 0, 1).astype(np.float32)
    return cv2.filter2D(image, -1, disc / disc.sum())


def _haze(rgb: np.ndarray, severity: float, draws: Draws) -> np.ndarray:
    return degradations.fog(rgb, severity, degradations.scene_depth(rgb, draws), draws)


def _sigma(sigma: float) -> Effect:
    severity = min(sigma / 45, 1.0)     # on the scale of the labels, where 45 of 255 is 1
    return Effect('visible', 'noise', partial(_gaussian, sigma), severity, severity)


DEMMI = {
    'noise15': _sigma(15),
    'noise25': _sigma(25),
    'noise50': _sigma(50),
    'haze': Effect('visible', 'fog', _haze, 0.26, 0.63),      # beta 1 to 2
    'defocus': Effect('visible', 'blur', _defocus, 0.3, 1.0),
    'stripe': Effect('thermal', 'stripe', degradations.stripe, 0.2, 0.8),
}
FURTHER = {
    'fog': Effect('visible', 'fog', _haze, 0.6, 1.0),
    'low_light': Effect('visible', 'low_light', degradations.low_light, 0.3, 1.0),
    'overexposure': Effect('visible', 'overexposure', degradations.overexposure, 0.3, 1.0),
    'rain': Effect('visible', 'rain', degradations.rain, 0.3, 1.0),
    'sensor_noise': Effect('visible', 'noise', degradations.noise, 0.3, 1.0),
    'blur': Effect('visible', 'blur', degradations.blur, 0.3, 1.0),
    'thermal_noise': Effect('thermal', 'noise', degradations.noise, 0.3, 1.0),
    'thermal_blur': Effect('thermal', 'blur', degradations.blur, 0.3, 1.0),
    'low_contrast': Effect('thermal', 'low_contrast', degradations.low_contrast, 0.4, 1.0),
}
EFFECTS = {**DEMMI, **FURTHER}
MIXED = 'mixed'
# The 17 combinations of DeMMI-RF's composite test set.
COMPOSITES = (
    'haze+noise15', 'haze+noise25', 'haze+noise50',
    'defocus+noise15', 'defocus+noise25', 'defocus+noise50',
    'stripe+noise15', 'stripe+noise25', 'stripe+noise50',
    'haze+defocus', 'haze+stripe', 'defocus+stripe', 'haze+stripe+defocus',
    'haze+stripe+noise50', 'haze+defocus+noise50', 'defocus+stripe+noise50',
    'haze+defocus+stripe+noise50')
_ORDER = {'visible': conditions.VISIBLE_ORDER, 'thermal': conditions.THERMAL_ORDER}
# mixed is made of what training knows, not of the recipe's own noise, defocus and haze
_TRAINED = {(effect.modality, effect.label): name
            for name, effect in {**FURTHER, 'stripe': DEMMI['stripe']}.items()}


def parse(condition: str) -> list[tuple[str, float | None]]:
    """Return the (effect, fixed severity or None) of a condition; raises ConditionError."""
    if condition == MIXED:
        return []
    parts: list[tuple[str, float | None]] = []
    for word in condition.split('+'):
        name, at, level = word.partition('@')
        if name not in EFFECTS:
            raise ConditionError(f'condition {condition}: {name or "nothing"} is no effect; known '
                                 f'are {", ".join(EFFECTS)}, joined by +, or {MIXED}')
        effect = EFFECTS[name]
        if any((EFFECTS[n].modality, EFFECTS[n].label) == (effect.modality, effect.label)
               for n, _ in parts):
            raise ConditionError(f'condition {condition}: two kinds of {effect.modality} '
                                 f'{effect.label}; keep one')
        parts.append((name, _severity(condition, effect, level) if at else None))
    return parts


def _severity(condition: str, effect: Effect, level: str) -> float:
    if effect.fixed:
        raise ConditionError(f'condition {condition}: its noise has its sigma in its name; '
                             'leave @ out')
    try:
        value = float(level)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise ConditionError(f'condition {condition}: severity {level} must be above 0 and at '
                             'most 1')
    return value


def at_levels(condition: str, levels: Sequence[float]) -> list[str]:
    """Return the condition once for each level, at that severity wherever it leaves one free."""
    parse(condition)
    named = ['+'.join(_at(word, level) for word in condition.split('+')) for level in levels]
    return list(dict.fromkeys(named))


def _at(word: str, level: float) -> str:
    if '@' in word or word == MIXED or EFFECTS[word].fixed:
        return word
    return f'{word}@{level:g}'


def degrade(condition: str, visible: np.ndarray, thermal: np.ndarray, seed: int, name: str,
            scene: str) -> Degraded:
    """
    Degrade a clean pair (uint8 HxWx3 RGB, uint8 HxW); the same arguments give the same bytes.

    `name` seeds what changes from frame to frame, `scene` what a sequence keeps: the severities
    and every other parameter.
    """
    images = {'visible': visible.astype(np.float32) / 255,
              'thermal': thermal.astype(np.float32) / 255}
    severities: dict = {'visible': {}, 'thermal': {}}
    parameters: dict = {'visible': {}, 'thermal': {}}
    steps = {(EFFECTS[n].modality, EFFECTS[n].label): (n, severity)
             for n, severity in _steps(condition, seed, scene)}
    for modality, order in _ORDER.items():
        for label in order:
            if (modality, label) not in steps:
                continue
            effect, severity = steps[modality, label]
            draws = Draws(seed_of(seed, 'scene', scene, condition, effect),
                          seed_of(seed, 'frame', name, condition, effect), thermal.shape)
            images[modality] = EFFECTS[effect].apply(images[modality], severity, draws)
            severities[modality][label] = severity
            parameters[modality][label] = {'effect': effect, 'draws': draws.log}
    return Degraded(conditions.to_bytes(images['visible']), conditions.to_bytes(images['thermal']),
                    severities, parameters)


def _steps(condition: str, seed: int, scene: str) -> list[tuple[str, float]]:
    """Return the effects of a condition, each with its severity, drawn where it is free."""
    rng = np.random.default_rng(seed_of(seed, 'severity', scene, condition))
    if condition == MIXED:
        told = conditions.draw(rng)
        return [(_TRAINED[modality, label], round(severity, 4))
                for modality, found in (('visible', told.visible), ('thermal', told.thermal))
                for label, severity in found.items()]
    return [(name, round(float(rng.uniform(EFFECTS[name].low, EFFECTS[name].high)), 4)
             if fixed is None else fixed) for name, fixed in parse(condition)]
