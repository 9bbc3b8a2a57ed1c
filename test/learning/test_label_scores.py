# SPDX-License-Identifier: Apache-2.0
"""Label scores against cases that a hand can count."""

import json

import pytest

from degfusion_ros.learning.label_scores import is_composite, read_rows, score_labels, truth_of
from degfusion_ros.learning.result_folders import EvaluationError


def row(visible=None, thermal=None, **more):
    return {'visible': visible or {}, 'thermal': thermal or {}, **more}


def test_counts():
    told = score_labels([
        (row({'fog': 0.8}), row({'fog': 0.6, 'rain': 0.1})),                # right
        (row({'fog': 0.5}, {'noise': 0.4}), row({'fog': 0.5}, {})),         # one missed
        (row({}), row({'rain': 0.9}))])                                     # one too many
    assert told['F1_visible_fog'] == 1 and told['F1_visible_rain'] == 0
    assert told['label_F1'] == pytest.approx(1 / 3)
    assert told['label_precision'] == pytest.approx(2 / 3)
    assert told['label_recall'] == pytest.approx(2 / 3)
    assert told['label_exact'] == pytest.approx(1 / 3)
    assert told['severity_error'] == pytest.approx((0.2 + 0 + 0.4) / 3)


def test_active_labels_go_before_severities():
    seen = row({'fog': 0.1, 'rain': 0.9}, visible_labels={'fog': 1.0})
    assert score_labels([(row({'fog': 0.2}), seen)])['label_exact'] == 1
    unsure = row({'fog': 0.9}, visible_labels={'unsure': 1.0})
    assert score_labels([(row({}), unsure)])['label_exact'] == 1


def test_nothing_due_and_nothing_told():
    assert score_labels([]) == {}
    assert score_labels([(row(), row())])['label_F1'] == 1


def test_rows_are_found_by_condition_and_name(tmp_path):
    path = tmp_path / 'manifest.jsonl'
    rows = [row({'fog': 1.0}, name='1', condition='fog', seed=7), row(name='1'),
            row({'rain': 1}, {'noise': 0.5}, name='2', condition='rain+noise')]
    path.write_text('\n'.join(json.dumps(r) for r in rows) + '\n\n')
    found = read_rows(path)
    assert truth_of(found, 'fog', '1')['visible'] == {'fog': 1.0}
    assert truth_of(found, 'rain', '1')['visible'] == {}
    assert truth_of(found, 'fog', '3') is None
    assert is_composite([found['rain+noise', '2']]) and not is_composite([found['fog', '1']])
    assert not is_composite([])


@pytest.mark.parametrize('text', ['{', '[1]', '{"name": "1"}', '{"name": "1", "visible": 3, '
                                  '"thermal": {}}', '7'])
def test_a_bad_line_is_named(tmp_path, text):
    path = tmp_path / 'manifest.jsonl'
    path.write_text(json.dumps(row(name='0')) + '\n' + text)
    with pytest.raises(EvaluationError, match='manifest.jsonl, line 2'):
        read_rows(path)
    with pytest.raises(EvaluationError, match='gone'):
        read_rows(tmp_path / 'gone')
