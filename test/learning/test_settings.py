# SPDX-License-Identifier: Apache-2.0
"""The files in config/train are taken; others are refused with what is wrong in them."""

from pathlib import Path

import pytest
import yaml

from degfusion_ros.learning.loop import TrainingError
from degfusion_ros.learning.settings import check

CONFIG = Path(__file__).parents[2] / 'config' / 'train'


def _stage(name: str) -> str:
    return 'guidance' if name == 'guidance' else 'tg_ecnet' if name[:3] == 'tg_' else 'fusion'


@pytest.mark.parametrize('file', sorted(CONFIG.glob('*.yaml')), ids=lambda file: file.stem)
def test_the_shipped_files_fit_their_stage_alone(file):
    config = yaml.safe_load(file.read_text())
    check(config, _stage(file.stem), file)
    for stage in {'guidance', 'fusion', 'tg_ecnet'} - {_stage(file.stem)}:
        with pytest.raises(TrainingError, match=f'{file.name}: no settings of train {stage} '):
            check(config, stage, file)


@pytest.mark.parametrize('name, change, told', [
    ('fusion', {'network': {'width': [8]}}, r'my.yaml: network: .*unknown: width\b'),
    ('tg_ecnet', {'network': {'topk': 2}}, r'my.yaml: network: .*unknown: topk\b'),
    ('fusion', {'data': {'sets': ['a'], 'exlude': []}}, r'my.yaml: data: .*unknown: exlude\b'),
    ('fusion', {'data': {}}, r'my.yaml: data: .*missing: sets\b'),
    ('fusion', {'data': None}, 'my.yaml: data: not a table'),
    ('fusion', {'start_form': None}, r'my.yaml: .*unknown: start_form\b'),
    ('guidance', {'nights': {'luminance': 3}}, r'my.yaml: nights: .*unknown: luminance\b'),
    ('guidance', {'read_out': {'steps': 3}}, r'my.yaml: read_out: .*missing: batch, lr'),
    ('tg_ecnet', {'restoration': {}}, r'my.yaml: restoration: .*missing: frames, crops'),
])
def test_a_wrong_setting_is_named(name, change, told):
    config = yaml.safe_load((CONFIG / f'{name}.yaml').read_text())
    with pytest.raises(TrainingError, match=told):
        check(config | change, _stage(name), Path('my.yaml'))
