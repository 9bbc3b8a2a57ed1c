# SPDX-License-Identifier: Apache-2.0
"""Scores of the guidance on verdicts that were counted by hand."""

import pytest
import torch

from degfusion_ros.learning.guidance_scores import confusion, scores, top1


def _rows(*rows: dict[int, float]) -> torch.Tensor:
    table = torch.zeros(len(rows), 10)
    for row, values in zip(table, rows):
        for column, value in values.items():
            row[column] = value
    return table


def test_scores_count_labels_and_severities():
    truth = _rows({0: 0.5, 4: 1.0}, {0: 0.7}, {})
    found = scores(_rows({0: 0.9, 4: 0.8}, {0: 0.2, 1: 0.6}, {}),
                   _rows({0: 0.4, 4: 0.8}, {0: 0.7}, {}), truth)
    assert found['f1_visible_fog'] == pytest.approx(2 / 3)
    assert found['f1_visible_noise'] == 1.0 and found['f1_visible_low_light'] == 0.0
    assert 'f1_thermal_blur' not in found       # neither there nor said: it tells nothing
    assert found['macro_f1'] == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert found['exact'] == pytest.approx(2 / 3)
    assert found['severity_error'] == pytest.approx((0.1 + 0.2 + 0) / 3)


def test_confusion_has_a_row_for_what_is_and_a_column_for_what_was_said():
    truth = _rows({6: 0.5}, {6: 0.5}, {9: 1.0}, {})
    said = _rows({6: 0.9, 7: 0.6}, {7: 0.7}, {9: 0.4}, {})
    counts = confusion(said, truth, 'thermal')
    assert counts.tolist() == [[1, 1, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0],
                               [0, 0, 0, 0, 1], [0, 0, 0, 0, 1]]
    assert top1(counts) == 0.5
    assert confusion(said, truth, 'visible').tolist()[6] == [0, 0, 0, 0, 0, 0, 4]
