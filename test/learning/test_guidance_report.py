# SPDX-License-Identifier: Apache-2.0
"""The report on the guidance: complete, ready for JSON, and readable."""

import json

import numpy as np
import pytest
import torch

from degfusion_ros.learning import guidance_report
from degfusion_ros.models.guidance import Guidance


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
