# SPDX-License-Identifier: Apache-2.0
"""How well the labels that `fuse` wrote agree with a manifest of what was done to the pictures."""

from collections import Counter
from collections.abc import Iterable
import json
from pathlib import Path

from degfusion_ros.learning.result_folders import EvaluationError, SIDES

Row = dict[str, dict[str, float]]

# A row of degradation.jsonl without active labels tells severities alone. A label that is not
# active is scaled by its odds, below one half, so it seldom comes so far.
_ACTIVE = 0.25


def read_rows(path: Path) -> dict[tuple[str, str], Row]:
    """
    Read JSON lines {"name", "visible": {label: severity}, "thermal": {...}} by (condition, name).

    `condition` is '' where a row has none. Raises EvaluationError naming file and line.
    """
    rows = {}
    try:
        lines = path.read_text(encoding='utf-8').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, 'strerror', None) or 'not a text file'
        raise EvaluationError(f'{path}: {reason}') from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            told = {side: {str(k): float(v) for k, v in row[side].items()} for side in SIDES}
            for side in SIDES:
                if f'{side}_labels' in row:
                    told[f'{side}_labels'] = dict.fromkeys(row[f'{side}_labels'], 1.0)
            rows[str(row.get('condition', '')), str(row['name'])] = told
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise EvaluationError(f'{path}, line {number}: not {{"name", "visible": {{label: '
                                  f'severity}}, "thermal": {{...}}}} ({error!r})') from error
    return rows


def truth_of(manifest: dict[tuple[str, str], Row], condition: str, name: str) -> Row | None:
    """Return a picture's row; rows without a condition hold for all."""
    return manifest.get((condition, name)) or manifest.get(('', name))


def is_composite(rows: Iterable[Row]) -> bool:
    """Tell whether most rows have more than one degradation."""
    counts = [sum(v > 0 for side in SIDES for v in row[side].values()) for row in rows]
    return sum(count > 1 for count in counts) * 2 > len(counts)


def score_labels(pairs: Iterable[tuple[Row, Row]]) -> dict[str, float]:
    """
    Compare (true, told) rows.

    Returns label_F1 (macro, over labels of both modalities that are true or told at least once),
    label_precision and label_recall (of all labels together), label_exact (share of pictures whose
    two sets are right) and severity_error (mean absolute, over true labels), and F1_SIDE_LABEL;
    empty without pairs. A label is true where its severity is above 0.
    """
    hits, missed, wrong = Counter(), Counter(), Counter()
    exact, errors, count = 0, [], 0
    for true, told in pairs:
        due = {(side, label) for side in SIDES for label, v in true[side].items() if v > 0}
        seen = {(side, label) for side in SIDES for label in _active(told, side)}
        hits.update(due & seen)
        missed.update(due - seen)
        wrong.update(seen - due)
        exact += due == seen
        errors += [abs(true[side][label] - told[side].get(label, 0.0)) for side, label in due]
        count += 1
    if not count:
        return {}
    labels = sorted({*hits, *missed, *wrong})
    f1 = {key: 2 * hits[key] / (2 * hits[key] + missed[key] + wrong[key]) for key in labels}
    found, due, told = (sum(c.values()) for c in (hits, hits + missed, hits + wrong))
    figures = {'label_F1': sum(f1.values()) / len(f1) if f1 else 1.0,
               'label_precision': found / told if told else 1.0,
               'label_recall': found / due if due else 1.0,
               'label_exact': exact / count}
    if errors:
        figures['severity_error'] = sum(errors) / len(errors)
    return figures | {f'F1_{side}_{label}': value for (side, label), value in f1.items()}


def _active(row: Row, side: str) -> list[str]:
    if f'{side}_labels' in row:
        return [label for label in row[f'{side}_labels'] if label not in ('clean', 'unsure')]
    return [label for label, severity in row[side].items() if severity >= _ACTIVE]
