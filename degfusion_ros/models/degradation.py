# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a pair, as callers are told it."""

from dataclasses import dataclass

import numpy as np

from degfusion_ros.models.guidance import Judgement
from degfusion_ros.models.labels import LABELS

# A label is active from even odds on; all labels below even odds, with one near it, is 'unsure'.
_ACTIVE, _DOUBT = 0.5, 0.35


@dataclass(frozen=True)
class Degradation:
    """
    What is wrong with a pair.

    `visible` and `thermal` map every label to a severity in 0..1; `*_labels` are the active ones,
    most severe first, or ('clean',), or ('unsure',); `vector` is d_deg, float32 (512,).
    """

    visible: dict[str, float]
    thermal: dict[str, float]
    visible_labels: tuple[str, ...]
    thermal_labels: tuple[str, ...]
    unsure: dict[str, bool]
    vector: np.ndarray


def degradation(told: Judgement) -> Degradation:
    """Return the first of a guidance's judgements in words and numbers."""
    severities, active, unsure = {}, {}, {}
    for modality, names in LABELS.items():
        presence = getattr(told, modality)[0].float().sigmoid().tolist()
        severity = getattr(told, f'{modality}_severity')[0].float().tolist()
        severities[modality] = {n: p * s if p < _ACTIVE else s
                                for n, p, s in zip(names, presence, severity)}
        found = sorted((n for n, p in zip(names, presence) if p >= _ACTIVE),
                       key=lambda n: -severities[modality][n])
        unsure[modality] = not found and max(presence) >= _DOUBT
        active[modality] = tuple(found) or (('unsure',) if unsure[modality] else ('clean',))
    return Degradation(severities['visible'], severities['thermal'], active['visible'],
                       active['thermal'], unsure, told.vector[0].float().cpu().numpy())
