# SPDX-License-Identifier: Apache-2.0
"""What the guidance is worth: scenes it never saw, a generator it never saw, and real nights."""

import json
import math
import os
from pathlib import Path

import numpy as np
import torch

from degfusion_ros.learning import unseen
from degfusion_ros.learning.conditions import Condition
from degfusion_ros.learning.guidance_scores import confusion, judge, scores, top1
from degfusion_ros.learning.judged import degrade, JudgedStream, look, Pair
from degfusion_ros.models.guidance import Guidance
from degfusion_ros.models.labels import LABELS, THERMAL_LABELS, VISIBLE_LABELS

GENERATORS = {'own': degrade, 'unseen': unseen.degrade}


def report(guidance: Guidance, pairs: list[Pair], nights: list[np.ndarray], count: int,
           low: float, seed: int = 1) -> dict:
    """
    Judge `count` composites and `count` single conditions of held-back `pairs` by each generator.

    Severities are at least `low`. Also tells how often the real `nights` read low_light. The
    result is ready for JSON; confusion matrices have rows true, columns said, clean last. A figure
    of no sample is None.
    """
    found = {'count': count, 'scenes': len(pairs), 'least_severity': low}
    for name, make in GENERATORS.items():
        stream = JudgedStream(pairs, seed, vary=False, low=low, make=make)
        rng = np.random.default_rng(seed)
        drawn = _stacked([stream.sample(rng) for _ in range(count)])
        found[f'{name}_composites'] = scores(*judge(guidance, drawn), drawn['severity'])
        drawn = _stacked([stream.sample(rng, _single(i, low, rng)) for i in range(count)])
        told = judge(guidance, drawn)
        counts = {m: confusion(told[0], drawn['severity'], m) for m in LABELS}
        found[f'{name}_single'] = {
            **{f'top1_{m}': top1(c) for m, c in counts.items()},
            'severity_error': scores(*told, drawn['severity'])['severity_error'],
            **{f'confusion_{m}': c.tolist() for m, c in counts.items()}}
    if nights:
        dull = np.zeros(nights[0].shape[:2], np.uint8)
        seen = _stacked([look(night, np.resize(dull, night.shape[:2])) for night in nights])
        dark = judge(guidance, seen)[0][:, VISIBLE_LABELS.index('low_light')] > 0.5
        found['nights'] = {'count': len(nights), 'low_light': dark.float().mean().item()}
    return _ready(found)


def write(found: dict, path: Path) -> None:
    """Write `path` (.json) and beside it the same as tables (.md), each whole or not at all."""
    told = json.dumps(found, indent=1, allow_nan=False)
    for file, text in ((path, told), (path.with_suffix('.md'), page(found))):
        part = file.with_name(file.name + '.part')
        part.write_text(text + '\n', encoding='utf-8')
        os.replace(part, file)


def page(found: dict) -> str:
    """Return the report as Markdown tables."""
    lines = [f'# Guidance: {found["count"]} samples a set, {found["scenes"]} held-back scenes, '
             f'severities from {found["least_severity"]}', '',
             '| generator | composites macro-F1 | exact | severity error '
             '| single top-1 visible | thermal | severity error |', '|---' * 7 + '|']
    for name in GENERATORS:
        many, one = found[f'{name}_composites'], found[f'{name}_single']
        values = [many['macro_f1'], many['exact'], many['severity_error'], one['top1_visible'],
                  one['top1_thermal'], one['severity_error']]
        lines.append(f'| {name} | ' + ' | '.join(map(_figure, values)) + ' |')
    labels = [f'f1_{m}_{n}' for m in LABELS for n in LABELS[m]]
    lines += ['', '| F1 in composites | ' + ' | '.join(GENERATORS) + ' |', '|---|---|---|']
    for label in labels:
        values = (found[f'{g}_composites'].get(label) for g in GENERATORS)
        lines.append(f'| {label[3:]} | ' + ' | '.join(map(_figure, values)) + ' |')
    if 'nights' in found:
        lines += ['', f'{found["nights"]["count"]} real nights read low_light: '
                  f'{found["nights"]["low_light"]:.2f}']
    for name in GENERATORS:
        for modality in LABELS:
            lines += ['', f'Single conditions, {name} generator, {modality} (rows true)', '']
            lines += _matrix(found[f'{name}_single'][f'confusion_{modality}'],
                             (*LABELS[modality], 'clean'))
    return '\n'.join(lines)


def _figure(value: float | None) -> str:
    return '' if value is None else f'{value:.3f}'


def _ready(found: dict) -> dict:
    return {key: _ready(value) if isinstance(value, dict)
            else None if isinstance(value, float) and math.isnan(value) else value
            for key, value in found.items()}


def _matrix(counts: list[list[int]], names: tuple[str, ...]) -> list[str]:
    return ['| | ' + ' | '.join(names) + ' |', '|---' * (len(names) + 1) + '|',
            *(f'| {name} | ' + ' | '.join(map(str, row)) + ' |'
              for name, row in zip(names, counts))]


def _single(index: int, low: float, rng: np.random.Generator) -> Condition:
    # every label of either modality in turn, then clean
    parts = []
    for labels in (VISIBLE_LABELS, THERMAL_LABELS):
        chosen = (*labels, None)[index % (len(labels) + 1)]
        parts.append({chosen: float(rng.uniform(low, 1))} if chosen else {})
    return Condition(*parts)


def _stacked(samples: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    return {k: torch.stack([s[k] for s in samples]) for k in samples[0]}
