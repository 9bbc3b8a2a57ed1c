# SPDX-License-Identifier: Apache-2.0
"""Means and transplants of checkpoints: values, data types, settings, and what does not fit."""

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file
import torch

from degfusion_ros import Fuser
from degfusion_ros.__main__ import main
from degfusion_ros.learning.averaging import average
from degfusion_ros.learning.loop import TrainingError

ABOUT = {'kind': 'dgmoe', 'config': '{}'}


@pytest.fixture
def two(tmp_path):
    one = {'network.a.w': torch.tensor([1.0, 2.0]).bfloat16(),
           'network.b.w': torch.tensor([4.0]), 'guidance.mlp': torch.tensor([8.0]),
           'network.count': torch.tensor([3])}
    other = {'network.a.w': torch.tensor([3.0, 6.0]), 'network.b.w': torch.tensor([0.0]),
             'guidance.mlp': torch.tensor([0.0]), 'network.count': torch.tensor([5])}
    files = tmp_path / 'one.safetensors', tmp_path / 'other.safetensors'
    for file, tensors, step in zip(files, (one, other), '12'):
        save_file(tensors, file, {**ABOUT, 'step': step})
    return files


def test_the_mean_keeps_types_and_settings_of_the_first(two, tmp_path):
    out = tmp_path / 'mean.safetensors'
    assert average(two, (1, 3), out) == 4
    made = load_file(out)
    assert made['network.a.w'].dtype == torch.bfloat16
    assert made['network.a.w'].tolist() == [2.5, 5.0]
    assert made['network.b.w'].tolist() == [1.0] and made['guidance.mlp'].tolist() == [2.0]
    assert made['network.count'].tolist() == [3]        # counts have no mean
    with safe_open(out, framework='pt') as file:
        assert file.metadata() == {**ABOUT, 'step': '1'}
    assert not list(tmp_path.glob('*.part'))


def test_a_part_is_laid_into_another_network(two, tmp_path):
    out = tmp_path / 'mean.safetensors'
    assert average(two, (0, 1), out, ['network.b.']) == 1
    made = load_file(out)
    assert made['network.b.w'].tolist() == [0.0]
    assert made['network.a.w'].tolist() == [1.0, 2.0] and made['guidance.mlp'].tolist() == [8.0]


def test_a_guidance_file_stands_for_a_networks_guidance(two, tmp_path):
    alone, out = tmp_path / 'guidance.safetensors', tmp_path / 'mean.safetensors'
    save_file({'mlp': torch.tensor([2.0]), 'text': torch.zeros(1)}, alone, {'kind': 'guidance'})
    average((two[0], alone), (1, 1), out, ['guidance.'])
    assert load_file(out)['guidance.mlp'].tolist() == [5.0]
    save_file({'mlp': torch.tensor([4.0])}, tmp_path / 'later.safetensors', {'kind': 'guidance'})
    average((tmp_path / 'later.safetensors', alone), (1, 1), out)
    assert {k: v.tolist() for k, v in load_file(out).items()} == {'mlp': [3.0]}


def test_files_that_do_not_fit_are_told_and_write_nothing(two, tmp_path):
    out = tmp_path / 'mean.safetensors'
    narrow = tmp_path / 'narrow.safetensors'
    save_file({'network.a.w': torch.zeros(3), 'network.b.w': torch.zeros(1)}, narrow, ABOUT)
    newer = tmp_path / 'newer.safetensors'      # part of it would be left behind
    save_file({**load_file(two[1]), 'network.b.more': torch.zeros(1)}, newer, ABOUT)
    for call, why in (((two, (1,), out), 'one of 0 or more'), ((two, (0, 0), out), 'not all'),
                      ((two, (2, -1), out), '0 or more'),
                      (((two[0], narrow), (1, 1), out, ['network.']),
                       r'narrow.*same network\.a\.w'),
                      (((two[0], newer), (0, 1), out, ['network.b.']), r'newer.*b\.more'),
                      ((two, (1, 1), out, ['network.b.', 'head.']), 'one.*named head')):
        with pytest.raises(TrainingError, match=why) as told:
            average(*call)
        assert '\n' not in str(told.value)
    assert not out.exists()


def test_the_command_makes_a_model_that_loads(tiny_model, tmp_path, capsys):
    out = tmp_path / 'mean.safetensors'
    assert main(['average', str(tiny_model), str(tiny_model), '--output', str(out)]) == 0
    assert str(out) in capsys.readouterr().out
    for key, value in load_file(tiny_model).items():
        torch.testing.assert_close(load_file(out)[key], value)
    assert Fuser.load(out, 'cpu', 'float32').name == 'mean'
    assert main(['average', str(tiny_model), str(tmp_path / 'absent'), '--output', str(out)]) == 1
    assert 'no such model file' in capsys.readouterr().err


def test_files_without_metadata_are_averaged(tmp_path):
    files = tmp_path / 'a.safetensors', tmp_path / 'b.safetensors'
    for value, file in enumerate(files):
        save_file({'x': torch.tensor([4.0 * value])}, file)
    assert average(files, (1, 1), tmp_path / 'mean.safetensors') == 1
    assert load_file(tmp_path / 'mean.safetensors')['x'].tolist() == [2.0]


def test_a_place_that_cannot_be_written_is_told(two, tmp_path, capsys):
    (tmp_path / 'taken.safetensors').mkdir()
    for name in ('nowhere/mean.safetensors', 'taken.safetensors'):
        before = set(tmp_path.rglob('*'))
        assert main(['average', *map(str, two), '--output', str(tmp_path / name)]) == 1
        told = capsys.readouterr().err.strip()
        assert f'{name}: cannot be written' in told and '\n' not in told
        assert set(tmp_path.rglob('*')) == before
