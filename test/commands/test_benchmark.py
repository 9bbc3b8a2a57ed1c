# SPDX-License-Identifier: Apache-2.0
"""`benchmark` from end to end on tiny pictures: what it writes, and what it refuses."""

import argparse
import json
import subprocess
import sys

import pytest

from degfusion_ros.__main__ import main
from degfusion_ros.commands import benchmark as command
from degfusion_ros.learning import benchmark, benchmark_machine

KEYS = {'name', 'model', 'form', 'engine', 'precision', 'size', 'ms', 'fps', 'gflop', 'peak_share',
        'memory_mb'}
PEER = 'def fuse(visible, thermal):\n    return visible // 2 + thermal[..., None] // 2\n'


def test_all_that_is_measured_is_written(tiny_model, tmp_path, monkeypatch):
    (tmp_path / 'average.py').write_text(PEER)
    monkeypatch.chdir(tmp_path)
    code = main(['benchmark', '--models', str(tiny_model), '--size', '64x32', '--sizes', '96x64',
                 '--frames', '3', '--precisions', 'float32', '--threads', '1', '--no-memory',
                 '--peer', 'average:fuse', '--output', 'told.json', '--plot', 'told.svg'])
    assert code == 0
    told = json.loads((tmp_path / 'told.json').read_text())
    rows = told['results']
    assert all(set(row) >= KEYS and set(row['ms']) == {'p50', 'p99'} for row in rows)
    assert len({row['name'] for row in rows}) == len(rows)
    ours = [row for row in rows if row['form']]
    assert {(row['form'], row['engine']) for row in ours} == {
        ('folded', 'torch'), ('routed', 'torch'), ('dense', 'torch'), ('folded', 'openvino'),
        ('folded', 'onnxruntime')}
    assert {row['size'] for row in ours} == {'64x32', '96x64'}
    assert {row['threads'] for row in ours} == {1}
    assert {len(row['outputs']) for row in ours} == {1, 3}
    assert {'laplacian_pyramid', 'average:fuse'} <= {row['model'] for row in rows}
    assert all(row['ratio_to_reference'] > 0 for row in rows)
    assert told['machine']['peak_gflops']['float32, 1 thread'] > 0
    assert (tmp_path / 'told.svg').read_text().lstrip().startswith('<?xml')


def test_memory_is_that_of_a_process_of_its_own(tiny_model, tmp_path):
    spec = {'model': 'laplacian_pyramid', 'size': '64x32'}
    code = main(['benchmark', '--only', json.dumps(spec), '--frames', '1',
                 '--output', str(tmp_path / 'one.json')])
    row, = json.loads((tmp_path / 'one.json').read_text())['results']
    assert code == 0 and row['memory_mb'] > 10 and 'gpu_memory_mb' not in row


def test_what_a_row_alone_took_of_a_gpu_comes_back_from_its_process(monkeypatch):
    def alone(words, **_):
        row = {'name': 'x', 'memory_mb': 12.5, 'gpu_memory_mb': 3.0, 'gflop': 1.0}
        words[-1].write_text(json.dumps({'results': [row]}))
        return subprocess.CompletedProcess(words, 0)
    monkeypatch.setattr(subprocess, 'run', alone)
    assert command._memory_alone('cuda:1', benchmark.Spec('x')) == {
        'memory_mb': 12.5, 'gpu_memory_mb': 3.0}


def test_the_memory_of_a_row_is_read_before_its_arithmetic_is_counted(tiny_model, tmp_path,
                                                                      monkeypatch):
    told = []
    gflop, peak = benchmark.gflop, benchmark_machine.peak_memory_mb
    monkeypatch.setattr(benchmark, 'gflop', lambda call: (told.append('gflop'), gflop(call))[1])
    monkeypatch.setattr(benchmark_machine, 'peak_memory_mb',
                        lambda: (told.append('memory'), peak())[1])
    spec = {'model': str(tiny_model), 'size': '64x32', 'form': 'folded', 'engine': 'onnxruntime'}
    assert main(['benchmark', '--only', json.dumps(spec), '--frames', '1',
                 '--output', str(tmp_path / 'one.json')]) == 0
    assert told == ['memory', 'gflop']


def test_onnxruntime_alone_is_measured_in_the_precision_it_takes(tiny_model, tmp_path,
                                                                 monkeypatch):
    monkeypatch.setattr('torch.cpu._is_avx512_bf16_supported', lambda: True)
    output = tmp_path / 'told.json'
    assert main(['benchmark', '--models', str(tiny_model), '--engines', 'onnxruntime', '--size',
                 '64x32', '--frames', '1', '--no-memory', '--output', str(output)]) == 0
    rows = json.loads(output.read_text())['results']
    assert {(r['engine'], r['precision']) for r in rows if r['form']} == {
        ('onnxruntime', 'float32')}


def test_a_device_that_is_not_there_is_one_line(capsys):
    assert main(['benchmark', '--device', 'cuda:99', '--frames', '1']) == 1
    told, = capsys.readouterr().err.strip().splitlines()
    assert "device 'cuda:99': not there" in told


@pytest.mark.parametrize('words', [['--size', '640'], ['--threads', '0'], ['--sizes', '1x1,x'],
                                   ['--plot', 'speed.mp4']])
def test_wrong_use_is_told(words, capsys):
    with pytest.raises(SystemExit) as caught:
        main(['benchmark', *words])
    assert caught.value.code == 2 and words[1].split(',')[0] in capsys.readouterr().err


@pytest.mark.parametrize('words, told', [
    (['--precisions', ','], "--precisions: ',': give at least one"),
    (['--models', ',', '--node'], "--models: ',': give at least one"),
    (['--forms', 'folded,dens'], 'dens: choose from folded, routed, dense'),
    (['--engines', 'torch,abacus'], 'abacus: choose from torch, openvino, onnxruntime'),
    (['--output', 'nowhere/told.json'], "'nowhere/told.json': no folder nowhere"),
    (['--output', '.'], "'.': is a folder"),
    (['--plot', 'nowhere/told.svg'], "'nowhere/told.svg': no folder nowhere")])
def test_what_would_fail_after_all_was_measured_is_told_before(words, told, tmp_path, capsys,
                                                               monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        main(['benchmark', *words])
    assert caught.value.code == 2 and told in capsys.readouterr().err


def test_onnxruntime_is_left_out_where_onnx_is_missing(tiny_model, monkeypatch):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    args = parser.parse_args(['--models', str(tiny_model), '--precisions', 'float32'])
    assert 'onnxruntime' in {spec.engine for spec in command._specs(args)}
    monkeypatch.setitem(sys.modules, 'onnx', None)
    engines = {spec.engine for spec in command._specs(args)}
    assert 'torch' in engines and 'onnxruntime' not in engines


def test_a_peer_that_is_none_is_told_before_anything_is_built(capsys):
    assert main(['benchmark', '--peer', 'numpy:pi', '--models', 'no_such_model']) == 1
    assert "'numpy:pi': float, not a callable" in capsys.readouterr().err


def test_a_failing_one_is_one_line(capsys):
    assert main(['benchmark', '--models', 'no_such_model', '--frames', '1']) == 1
    assert capsys.readouterr().err.strip().startswith('degfusion: ')
