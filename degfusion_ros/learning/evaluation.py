# SPDX-License-Identifier: Apache-2.0
"""Evaluate results: every picture's figures, averaged per condition and over conditions."""

from collections import defaultdict
from collections.abc import Iterable
import math
from pathlib import Path
import warnings

import numpy as np

from degfusion_ros.learning import label_scores
from degfusion_ros.learning.picture_scores import flicker_of, Progress, score_all
from degfusion_ros.learning.result_folders import Case, EvaluationError, find, Sources

ALL = 'all'     # the condition of a result without conditions
Groups = dict[tuple[str, str], list]    # by (condition, result)


def evaluate(results: dict[str, Path], sources: Sources, manifest: Path | None = None,
             sequence: bool = False, jobs: int = 1, progress: Progress | None = None,
             ) -> tuple[dict, list[Case]]:
    """
    Return a report that can be written as JSON, and the cases that were scored.

    The report's keys: against ('clean sources' or 'inputs'), results {name: folder}, conditions,
    means {name: conditions}, figures {condition or mean: {result: {key: value}}}, scored
    {condition: {result: pictures}}, pictures [{result, condition, name, figures}] and problems
    (a line each). Keys of figures: metrics.measure; metrics_colour.measure, restored_* and gain_*
    with clean sources; label_* with a manifest; flicker_* and pumping_* of a sequence. Raises
    EvaluationError.
    """
    truth = label_scores.read_rows(manifest) if manifest else {}
    cases, problems = find(results, sources)
    scored = score_all(cases, jobs, progress)
    problems += [line for one in scored for line in one.problems]
    good = [one for one in scored if one.figures]
    if not good:
        raise EvaluationError('; '.join(problems))
    pictures, figures = _grouped(good), {}
    labels: dict[str, dict[str, list]] = {}     # condition, result: (true, told) rows
    for (condition, result), group in pictures.items():
        told = mean(one.figures for one in group)
        if sequence:
            told |= flicker_of([one.case for one in group])
        if truth:
            rows, lines = _labels(results[result], [one.case for one in group], truth)
            labels.setdefault(condition or ALL, {})[result] = rows
            told |= label_scores.score_labels(rows)
            problems += lines
        figures.setdefault(condition or ALL, {})[result] = told
    means = _means(list(figures), truth)
    for name, over in means.items():
        figures[name] = {
            # a label's F1 wants the pictures without it too: of all conditions together, no mean
            result: mean(figures[c].get(result, {}) for c in over) | label_scores.score_labels(
                row for c in over for row in labels.get(c, {}).get(result, []))
            for result in results}
    report = {
        'against': 'clean sources' if cases[0].clean_visible else 'inputs',
        'results': {name: str(path) for name, path in results.items()},
        'conditions': [name for name in figures if name not in means],
        'means': means,
        'figures': figures,
        'scored': _counts(pictures),
        'pictures': [{'result': one.case.result, 'condition': one.case.condition or ALL,
                      'name': one.case.name, 'figures': one.figures} for one in good],
        'problems': list(dict.fromkeys(problems)),
    }
    return _finite(report), [one.case for one in good]


def mean(figures: Iterable[dict[str, float]]) -> dict[str, float]:
    """Average dictionaries key by key, leaving nan and missing values out."""
    figures = list(figures)
    keys = dict.fromkeys(key for one in figures for key in one)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', RuntimeWarning)     # a mean of nan alone is nan
        return {key: float(np.nanmean([one.get(key, np.nan) for one in figures]))
                for key in keys}


def _grouped(scored: list) -> Groups:
    groups = defaultdict(list)
    for one in scored:
        groups[one.case.condition, one.case.result].append(one)
    return dict(sorted(groups.items(), key=lambda item: item[0][0]))


def _counts(groups: Groups) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for (condition, result), group in groups.items():
        counts.setdefault(condition or ALL, {})[result] = len(group)
    return counts


def _labels(folder: Path, cases: list[Case], truth: dict) -> tuple[list, list[str]]:
    """Return (true, told) rows of a result's condition, and a line if it tells no labels."""
    where = folder / cases[0].condition / 'degradation.jsonl'
    if not where.is_file():
        return [], [f'{where}: not there, so no labels of {cases[0].result} to compare']
    told = {name: row for (_, name), row in label_scores.read_rows(where).items()}
    rows = [(label_scores.truth_of(truth, case.condition, case.name), told.get(case.name))
            for case in cases]
    rows = [(due, seen) for due, seen in rows if due and seen]
    lines = [] if rows else [f'{where}: no name of it is in the manifest']
    return rows, lines


def _means(conditions: list[str], truth: dict) -> dict[str, list[str]]:
    if len(conditions) < 2:
        return {}
    degraded = [c for c in conditions if c != 'clean']
    rows = defaultdict(list)
    for (condition, _), row in truth.items():
        rows[condition].append(row)
    composite = [c for c in degraded if '+' in c or label_scores.is_composite(rows[c])]
    single = [c for c in degraded if c not in composite]
    means = {'mean': conditions}
    if 1 < len(degraded) < len(conditions):
        means['mean of degraded'] = degraded
    if composite and single:
        means |= {'mean of single': single, 'mean of composite': composite}
    return means


def _finite(value: object) -> object:
    """Return a report with None for nan: JSON has no nan."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
