# SPDX-License-Identifier: Apache-2.0
"""`export`: a file that is right, or none."""

import numpy as np
import onnxruntime
import pytest
import torch

from degfusion_ros.__main__ import main
from degfusion_ros.learning import export
from degfusion_ros.models import checkpoint


def _export(tiny_model, path, *words):
    return main(['export', '--model', str(tiny_model), '--size', '64x32', '--output', str(path),
                 *words])


def test_a_judged_pair_is_exported_and_checked(tiny_model, tmp_path, pair_root, capsys):
    path = tmp_path / 'net.onnx'
    assert _export(tiny_model, path, '--outputs', 'fused,thermal',
                   '--visible', str(pair_root / 'street/visible/000.png'),
                   '--thermal', str(pair_root / 'street/thermal/000.jpg')) == 0
    told = capsys.readouterr().out
    assert str(path) in told and 'differs from torch by at most' in told
    session = onnxruntime.InferenceSession(path)
    assert [(i.name, i.type, i.shape) for i in session.get_inputs()] == [
        ('visible', 'tensor(uint8)', [1, 32, 64, 3]), ('thermal', 'tensor(float)', [1, 32, 64])]
    assert [(o.name, o.shape) for o in session.get_outputs()] == [
        ('fused', [1, 32, 64, 3]), ('thermal_restored', [1, 32, 64, 1])]
    assert session.get_overridable_initializers()


@pytest.mark.parametrize('output', ['visible', 'thermal'])
@pytest.mark.parametrize('more', [(), ('--frozen',)])
def test_one_restored_image_takes_both_cameras_all_the_same(tiny_model, tmp_path, output, more):
    path = tmp_path / 'net.onnx'
    assert _export(tiny_model, path, '--outputs', output, *more) == 0
    session = onnxruntime.InferenceSession(path)
    assert [(i.name, i.type, i.shape) for i in session.get_inputs()] == [
        ('visible', 'tensor(uint8)', [1, 32, 64, 3]), ('thermal', 'tensor(float)', [1, 32, 64])]


def test_a_wrong_graph_is_not_written(tiny_model, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(export, 'TOLERANCE', -1.0)
    path = tmp_path / 'net.onnx'
    assert _export(tiny_model, path, '--outputs', 'fused', '--frozen') == 1
    assert 'not written' in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('words, code, told', [
    (['--visible', 'a.png'], 2, 'give both'), (['--size', '70x32'], 1, 'multiples of'),
    (['--visible', 'a.png', '--thermal', 'b.png'], 1, 'a.png: not a readable')])
def test_wrong_use_is_one_line(tiny_model, tmp_path, capsys, words, code, told):
    assert _export(tiny_model, tmp_path / 'net.onnx', *words) == code
    assert told in capsys.readouterr().err.strip().splitlines()[-1] and not list(tmp_path.iterdir())


@pytest.mark.parametrize('name', ['thermal', 'visible'])
def test_nothing_is_written_where_one_of_the_outputs_is_nan(tiny_model, tmp_path, name):
    network, _ = checkpoint.load(tiny_model)
    torch.nn.init.constant_(network.heads[name].bias, float('nan'))
    images = np.zeros((32, 64, 3), np.uint8), np.zeros((32, 64), np.float32)
    path = tmp_path / 'net.onnx'
    gate = network.gate(torch.zeros(1, 512), None, None)
    with pytest.raises(export.ExportError, match=r'net\.onnx: not written: .* by nan'):
        export.export_onnx(network, gate, images, ('fused', name), True, path)
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_where_only_another_state_gives_nan(tiny_model, tmp_path, monkeypatch,
                                                               capsys):
    found = iter([0.0, float('nan')])
    monkeypatch.setattr(export, '_difference', lambda *_: next(found))
    assert _export(tiny_model, tmp_path / 'net.onnx', '--outputs', 'fused') == 1
    assert 'by nan' in capsys.readouterr().err and not list(tmp_path.iterdir())


@pytest.mark.parametrize('name, told', [('.', 'is a folder'), ('there', 'is a folder'),
                                        ('nowhere/net.onnx', 'no folder nowhere')])
def test_an_output_that_cannot_be_written_is_told_in_one_line(tiny_model, tmp_path, capsys,
                                                              monkeypatch, name, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'there').mkdir()
    with pytest.raises(SystemExit) as caught:
        _export(tiny_model, name)
    assert caught.value.code == 2
    assert told in capsys.readouterr().err.strip().splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ['there']


def test_a_graph_that_cannot_be_steered_is_not_written(any_model, tmp_path, capsys, monkeypatch):
    difference = export._difference
    monkeypatch.setattr(export, '_difference', lambda network, session, state, fed, *rest:
                        difference(network, session, state, {}, *rest))
    assert _export(any_model, tmp_path / 'net.onnx') == 1
    assert 'differs from torch' in capsys.readouterr().err and not list(tmp_path.iterdir())
