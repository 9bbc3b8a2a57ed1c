# SPDX-License-Identifier: Apache-2.0
"""Random composites of degradations, applied in the order in which nature applies them."""

from dataclasses import dataclass, field

import cv2
import numpy as np

from degfusion_ros.learning import degradations as d

# scene, optics, exposure, sensor
VISIBLE_ORDER = ('fog', 'rain', 'blur', 'low_light', 'overexposure', 'noise')
THERMAL_ORDER = ('blur', 'low_contrast', 'stripe', 'noise')
# How often each appears when one is drawn. Blur is the least treatable at run time.
_VISIBLE_WEIGHTS = {'fog': 1.3, 'rain': 2.8, 'blur': 0.7, 'low_light': 1.2, 'overexposure': 1.1,
                    'noise': 1.0}
_THERMAL_WEIGHTS = {'blur': 0.6, 'low_contrast': 0.8, 'stripe': 1.3, 'noise': 1.0}
# Below these a label would name what nobody sees.
_FAINTEST = {'low_contrast': 0.3, 'blur': 0.3}
_LAMPS = 0.3        # share of nights in which lamps and headlights leave pools of light
# One cause may harm both cameras: what shakes the vehicle blurs them, a hot, badly fed board makes
# them noisy. Drawn each by itself, both faults in both images would hardly ever meet.
_COMMON, _CAUSES = 0.16, (('blur',), ('noise',), ('blur', 'noise'), ('blur', 'noise'))
_COUNTS = {'visible': (0.16, 0.52, 0.26, 0.06), 'thermal': (0.34, 0.34, 0.22, 0.10)}


@dataclass(frozen=True)
class Condition:
    """Severities in (0, 1] by label, per modality; absent labels are not applied."""

    visible: dict[str, float] = field(default_factory=dict)
    thermal: dict[str, float] = field(default_factory=dict)


def _draw(weights: dict[str, float], counts: tuple[float, ...], low: float,
          rng: np.random.Generator) -> dict[str, float]:
    names = list(weights)
    p = np.array([weights[n] for n in names])
    chosen = rng.choice(names, size=rng.choice(len(counts), p=counts), replace=False,
                        p=p / p.sum())
    if {'low_light', 'overexposure'} <= set(chosen):
        out = rng.choice(['low_light', 'overexposure'])     # never both at once
        chosen = [c for c in chosen if c != out]
    return {str(c): _severity(c, low, rng) for c in chosen}


def draw(rng: np.random.Generator, low: float = 0.2) -> Condition:
    """Draw a random composite condition; every severity is at least `low`."""
    drawn = Condition(_draw(_VISIBLE_WEIGHTS, _COUNTS['visible'], low, rng),
                      _draw(_THERMAL_WEIGHTS, _COUNTS['thermal'], low, rng))
    if rng.random() >= _COMMON:
        return drawn
    cause = _CAUSES[rng.integers(len(_CAUSES))]
    kept = drawn if rng.random() < 0.3 else Condition()
    return Condition(*({**own, **{name: _severity(name, low, rng) for name in cause}}
                       for own in (kept.visible, kept.thermal)))


def _severity(label: str, low: float, rng: np.random.Generator) -> float:
    return float(rng.uniform(max(low, _FAINTEST.get(label, 0)), 1.0))


def with_faint_noise(condition: Condition, rng: np.random.Generator) -> Condition:
    """
    Return the condition, its dark or weak frames grainy more often than not.

    What darkness and low contrast hide comes out with their restoration. Half of this noise is
    fainter than any label: sigma from 1 of 255.
    """
    def grainy(severities: dict[str, float], hidden: str) -> dict[str, float]:
        if hidden not in severities or 'noise' in severities or rng.random() < 0.4:
            return severities
        return {**severities, 'noise': float(0.02 * 20 ** rng.random())}
    return Condition(grainy(condition.visible, 'low_light'),
                     grainy(condition.thermal, 'low_contrast'))


def degrade_visible(rgb: np.ndarray, severities: dict[str, float], rng: np.random.Generator,
                    depth: np.ndarray | None = None) -> np.ndarray:
    """Apply `severities` to an HxWx3 float32 image in [0, 1]; a missing depth is guessed."""
    for label in VISIBLE_ORDER:
        severity = severities.get(label, 0.0)
        if severity <= 0:
            continue
        if label == 'fog':
            rgb = d.fog(rgb, severity, d.scene_depth(rgb, rng) if depth is None else depth, rng)
            continue
        lit = label == 'low_light' and severity > 0.3 and rng.random() < _LAMPS
        lamps = d.lamplight(rgb, rng) if lit else None
        rgb = getattr(d, label)(rgb, severity, rng)
        if lit:
            rgb = (rgb + lamps).clip(0, 1)
    return rgb


def degrade_thermal(thermal: np.ndarray, severities: dict[str, float],
                    rng: np.random.Generator) -> np.ndarray:
    """Apply `severities` to an HxW float32 image in [0, 1]."""
    for label in THERMAL_ORDER:
        severity = severities.get(label, 0.0)
        if severity > 0:
            thermal = getattr(d, label)(thermal, severity, rng)
    return thermal


def to_bytes(image: np.ndarray) -> np.ndarray:
    """Round a float image in [0, 1] to uint8, as the sensor's converter does."""
    return (image * 255 + 0.5).astype(np.uint8)


def compress(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pass a uint8 image through JPEG, as compressed topics do."""
    quality = int(rng.integers(60, 96))
    _, data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
