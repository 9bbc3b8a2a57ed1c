# SPDX-License-Identifier: Apache-2.0
"""The report on the guidance: complete, ready for JSON, and readable."""

import json

import numpy as np
import pytest
import torch

from degfusion_ros.imaging.statistics import COUNT
from degfusion_ros.learning import guidance_report
from degfusion_ros.models.guidance import Guidance
from degfusion_ros.models.labels import LABELS


@pytest.fixture(scope='module')
def found():
    torch.manual_seed(0)
    cells = np.random.default_rng(0).integers(20, 235, (12, 16, 3), dtype=np.uint8)
    visible = np.repeat(np.repeat(cells, 8, axis=0), 8, axis=1)
    return guidance_report.report(Guidance(), [(visible, visible[..., 0].copy())],
                                  [visible // 10], count=7, low=0.3)


def test_every_set_is_scored(found):
    for name in ('own', 'unseen'):
        assert 0 <= found[f'{name}_composites']['macro_f1'] <= 1
        single = found[f'{name}_single']
        assert np.sum(single['confusion_visible']) == np.sum(single['confusion_thermal']) == 7
        assert np.sum(single['confusion_visible'], axis=1).tolist() == [1] * 7
    assert found['nights']['count'] == 1


def test_it_is_written_as_json_and_as_tables(found, tmp_path):
    guidance_report.write(found, tmp_path / 'guidance.json')
    assert json.loads((tmp_path / 'guidance.json').read_text()) == found
    text = (tmp_path / 'guidance.md').read_text()
    assert '| own |' in text and '| unseen |' in text and 'low_contrast' in text
    assert [p.suffix for p in sorted(tmp_path.iterdir())] == ['.json', '.md']


@pytest.mark.parametrize('generator', ['own', 'unseen'])
@pytest.mark.parametrize('modality', ['visible', 'thermal'])
def test_every_confusion_matrix_stands_on_the_page(found, generator, modality):
    names = (*LABELS[modality], 'clean')
    # cells that no other matrix has: each table shows its own
    counts = [[100 * i + j for j in range(len(names))] for i in range(len(names))]
    single = {**found[f'{generator}_single'], f'confusion_{modality}': counts}
    lines = guidance_report.page({**found, f'{generator}_single': single}).splitlines()
    start = lines.index(f'Single conditions, {generator} generator, {modality} (rows true)')
    assert lines[start + 2] == '| | ' + ' | '.join(names) + ' |'
    assert set(lines[start + 3]) == {'|', '-'}
    assert lines[start + 4:start + 4 + len(names)] == [
        f'| {name} | ' + ' | '.join(str(100 * i + j) for j in range(len(names))) + ' |'
        for i, name in enumerate(names)]
    assert sum('(rows true)' in line for line in lines) == 4


def test_the_pages_first_tables_hold_the_scores(found):
    lines = guidance_report.page(found).splitlines()
    for name in ('own', 'unseen'):
        many, one = found[f'{name}_composites'], found[f'{name}_single']
        figures = (many['macro_f1'], many['exact'], many['severity_error'], one['top1_visible'],
                   one['top1_thermal'], one['severity_error'])
        assert f'| {name} | ' + ' | '.join(f'{x:.3f}' for x in figures) + ' |' in lines
    assert sum(line.startswith(('| visible_', '| thermal_')) for line in lines) == 10
    assert f'1 real nights read low_light: {found["nights"]["low_light"]:.2f}' in lines


def test_figures_of_no_sample_are_null_in_json_and_blank_in_the_tables(tmp_path, monkeypatch):
    # one sample, and nothing wrong with it: no label's severity can be off
    monkeypatch.setattr(guidance_report.JudgedStream, 'sample', lambda *args: {
        'views': torch.zeros(2, 3, 224, 224, dtype=torch.uint8), 'measures': torch.zeros(COUNT),
        'severity': torch.zeros(10)})
    found = guidance_report.report(Guidance(), [], [], count=1, low=0.3)
    guidance_report.write(found, tmp_path / 'guidance.json')

    def never(name):
        raise AssertionError(f'{name} is no JSON')
    read = json.loads((tmp_path / 'guidance.json').read_text(), parse_constant=never)
    assert read['own_composites']['severity_error'] is None
    assert 'nan' not in (tmp_path / 'guidance.md').read_text()
