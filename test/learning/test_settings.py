# SPDX-License-Identifier: Apache-2.0
"""The files in config/train are taken; others are refused with what is wrong in them."""

from pathlib import Path

import pytest
import yaml

from degfusion_ros.learning.loop import TrainingError
from degfusion_ros.learning.settings import _KINDS, _SETTINGS, check

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
    ('fusion', {'losses': {}}, 'my.yaml: losses: names none'),
    ('tg_ecnet', {'restoration': {}}, r'my.yaml: restoration: .*missing: frames, crops'),
])
def test_a_wrong_setting_is_named(name, change, told):
    config = yaml.safe_load((CONFIG / f'{name}.yaml').read_text())
    with pytest.raises(TrainingError, match=told):
        check(config | change, _stage(name), Path('my.yaml'))


def test_every_setting_has_a_kind():
    names = {name for tables in _SETTINGS.values() for both in tables.values()
             for name in ' '.join(both).split()}
    assert names - set(_KINDS) == {'data', 'network', 'nights', 'read_out', 'restoration', 'fusion'}


NUMBER, WHOLE = 'give a number, 0 or more', 'give a whole number, 0 or more'
TEXT = 'give text, in quotes where it looks like something else'


@pytest.mark.parametrize('name, change, told', [
    ('fusion', 'lr: fast', f'lr: "fast": {NUMBER}'),
    ('fusion', 'lr: 5e-4', f'lr: "5e-4": {NUMBER}: write 5.0e-4, without quotes'),
    ('fusion', 'lr: 5E-4', f'lr: "5E-4": {NUMBER}: write 5.0e-4, without quotes'),
    ('fusion', "lr: '5e-4'", f'lr: "5e-4": {NUMBER}: write 5.0e-4, without quotes'),
    ('fusion', 'lr: 2.5e3', f'lr: "2.5e3": {NUMBER}: write 2.5e+3, without quotes'),
    ('fusion', "lr: '0.001'", f'lr: "0.001": {NUMBER}: write 0.001, without quotes'),
    ('fusion', 'lr: .nan', f'lr: NaN: {NUMBER}'),
    ('fusion', 'fresh: -0.5', f'fresh: -0.5: {NUMBER}'),
    ('fusion', 'losses: {max: -1}', f'losses: max: -1: {NUMBER}'),
    ('fusion', 'ema:', f'ema: null: {NUMBER}'),
    ('fusion', 'steps: 10.5', f'steps: 10.5: {WHOLE}'),
    ('fusion', 'steps: 1e3', f'steps: "1e3": {WHOLE}: write 1000'),
    ('fusion', 'steps: 1.0e+3', f'steps: 1000.0: {WHOLE}: write 1000'),
    ('fusion', 'workers: -1', f'workers: -1: {WHOLE}'),
    ('fusion', 'workers: yes', f'workers: true: {WHOLE}'),
    ('fusion', 'start_from: 3', 'start_from: 3: give text, or null'),
    ('fusion', 'mostly: rain', 'mostly: "rain": give a list of text: write [rain]'),
    ('fusion', 'data: {sets: roadscene}',
     'data: sets: "roadscene": give a list of text: write [roadscene]'),
    ('fusion', 'data: {sets: [a], exclude: [a, 190001]}',
     f'data: exclude: 190001: {TEXT}'),
    ('fusion', 'data: {sets: [a], max_width: wide}', f'data: max_width: "wide": {WHOLE}'),
    ('fusion', 'network: {widths: 64}', 'network: widths: 64: give a list of whole numbers'),
    ('fusion', 'network: {widths: [64, 9.5]}', f'network: widths: 9.5: {WHOLE}'),
    ('fusion', 'losses: {visible: yes}', f'losses: visible: true: {NUMBER}'),
    ('fusion', 'losses: [visible]', 'losses: ["visible"]: give a table of numbers'),
    ('guidance', 'hold: 1', 'hold: 1: give true or false'),
    ('guidance', 'clip: [small]', f'clip: ["small"]: {TEXT}'),
    ('guidance', 'nights: {max_luminance: dark}', f'nights: max_luminance: "dark": {NUMBER}'),
    ('tg_ecnet', 'network: {tone: 0}', 'network: tone: 0: give true or false'),
    ('tg_ecnet', 'network: {gate: 1}', f'network: gate: 1: {TEXT}'),
    ('tg_ecnet', 'restoration: {frames: six}', f'restoration: frames: "six": {WHOLE}'),
])
def test_a_value_of_another_kind_is_named_with_what_is_asked_for(name, change, told):
    config = yaml.safe_load((CONFIG / f'{name}.yaml').read_text())
    (key, value), = yaml.safe_load(change).items()
    if key == 'restoration':
        value = config[key] | value
    with pytest.raises(TrainingError) as error:
        check(config | {key: value}, _stage(name), Path('my.yaml'))
    assert str(error.value) == f'my.yaml: {told}'


def test_a_number_may_be_whole_and_a_setting_that_may_be_null_is():
    config = yaml.safe_load((CONFIG / 'fusion.yaml').read_text())
    check(config | {'lr': 1, 'only': None, 'teacher': 'a.safetensors', 'losses': {'max': 2}},
          'fusion', Path('my.yaml'))


@pytest.mark.parametrize('name, table, key', [
    ('fusion', '', 'export_steps'), ('fusion', '', 'frames'), ('fusion', '', 'crops'),
    ('fusion', 'data', 'max_width'), ('guidance', '', 'report_steps'),
    ('guidance', 'read_out', 'report_steps'), ('guidance', '', 'held_back'),
    ('guidance', '', 'batch'), ('guidance', '', 'lora_rank'), ('tg_ecnet', '', 'reservoir'),
    ('tg_ecnet', 'fusion', 'crop')])
def test_a_number_that_must_not_be_0_is_named(name, table, key):
    config = yaml.safe_load((CONFIG / f'{name}.yaml').read_text())
    change = {table: config[table] | {key: 0}} if table else {key: 0}
    where = f'{table}: {key}' if table else key
    with pytest.raises(TrainingError) as error:
        check(config | change, _stage(name), Path('my.yaml'))
    assert str(error.value) == f'my.yaml: {where}: 0: give a whole number, 1 or more'


@pytest.mark.parametrize('name, change, drawn', [
    ('fusion', {'frames': 9}, 9), ('tg_ecnet', {}, 6), ('guidance', {'batch': 3}, 48)])
def test_a_reservoir_holds_what_is_drawn_of_it_together(name, change, drawn):
    config = yaml.safe_load((CONFIG / f'{name}.yaml').read_text()) | change
    check(config | {'reservoir': drawn}, _stage(name), Path('my.yaml'))
    with pytest.raises(TrainingError, match=f'my.yaml: reservoir: {drawn - 1}: {drawn} of its '
                                            f'samples are drawn together: give {drawn} or more'):
        check(config | {'reservoir': drawn - 1}, _stage(name), Path('my.yaml'))
    if name == 'guidance':
        check(config | {'reservoir': 1, 'hold': True}, _stage(name), Path('my.yaml'))


def test_nights_have_no_least_luminance():
    config = yaml.safe_load((CONFIG / 'guidance.yaml').read_text())
    with pytest.raises(TrainingError, match='my.yaml: nights: .*unknown: min_luminance'):
        check(config | {'nights': {'min_luminance': 20, 'max_luminance': 60}}, 'guidance',
              Path('my.yaml'))
