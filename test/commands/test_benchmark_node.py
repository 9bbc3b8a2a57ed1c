# SPDX-License-Identifier: Apache-2.0
"""`benchmark --node`: the real node in a process of its own, fed over DDS."""

from contextlib import contextmanager
import json
from pathlib import Path
import subprocess
import sys
from types import SimpleNamespace

import pytest

from degfusion_ros.__main__ import main
from degfusion_ros.commands import benchmark_node
from degfusion_ros.learning.benchmark_stream import MARK
from degfusion_ros.node import throughput

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, '-m', 'degfusion_ros', 'benchmark', '--frames', '0', '--node',
           '--size', '64x32', '--rates', '2', '--highest', '0', '--seconds', '1']


def test_frames_go_through_and_are_told(tiny_model, tmp_path):
    done = subprocess.run(
        [*COMMAND, '--models', tiny_model, '--output', tmp_path / 'told.json'], cwd=ROOT,
        capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    runs = json.loads((tmp_path / 'told.json').read_text())['node']
    assert [run['refresh_hz'] for run in runs] == [2.0, 0.0]
    for run in runs:
        rate = run['rates']['2']
        assert rate['# of Frames Sent'] == 2 and MARK in rate
        assert 100 < run['memory_mb']['resident'] <= run['memory_mb']['peak']
        assert run['model'] == 'tiny' and run['size'] == '64x32'


def test_a_node_that_cannot_start_says_why(tmp_path):
    done = subprocess.run([*COMMAND, '--models', 'no_such_model'], cwd=ROOT, capture_output=True,
                          text=True, timeout=240)
    assert done.returncode == 1
    assert 'no_such_model' in done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize('error, told', [
    (throughput.ThroughputError('the fusion node ended with -9'), 'the fusion node ended with -9'),
    (KeyboardInterrupt(), 'interrupted')])
def test_what_was_measured_before_the_node_failed_is_kept(error, told, tiny_model, tmp_path,
                                                          monkeypatch, capsys):
    output, started = tmp_path / 'told.json', []

    @contextmanager
    def running(pairs, parameters, log):
        started.append(parameters['degradation.rate_hz'])
        kept.append(json.loads(output.read_text()))
        if len(started) > 1:
            raise error
        yield SimpleNamespace(came={}, status={}, send=lambda *_: {0: 0},
                              memory_mb=lambda: {'resident': 1.0, 'peak': 1.0})
    kept = []
    monkeypatch.setattr(throughput, 'running', running)
    monkeypatch.setattr(benchmark_node, 'STATUS_S', 0)
    assert main(['benchmark', '--models', str(tiny_model), '--engines', 'torch', '--forms',
                 'folded', '--precisions', 'float32', '--size', '64x32', '--frames', '1',
                 '--no-memory', '--node', '--rates', '2', '--highest', '0', '--output',
                 str(output), '--plot', str(tmp_path / 'told.png')]) == 1
    assert capsys.readouterr().err.strip().splitlines()[-1] == f'degfusion: {told}'
    assert started == [2.0, 0.0] and kept[0]['results'] and 'node' not in kept[0]
    last = json.loads(output.read_text())
    assert last['results'] == kept[0]['results']
    assert [mode['refresh_hz'] for mode in last['node']] == [2.0]
    assert {path.name for path in tmp_path.iterdir()} == {'told.json', 'told.png'}


def test_want_of_ros_is_told_before_anything_is_measured():
    program = ("import sys; sys.modules['rclpy'] = None; "
               'from degfusion_ros.__main__ import main; sys.exit(main(sys.argv[1:]))')
    done = subprocess.run(
        [sys.executable, '-c', program, 'benchmark', '--node', '--models', 'no_such_model'],
        cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 1
    assert done.stderr.startswith('degfusion: no rclpy: source a ROS 2')
