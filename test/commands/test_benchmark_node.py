# SPDX-License-Identifier: Apache-2.0
"""`benchmark --node`: the real node in a process of its own, fed over DDS."""

import json
from pathlib import Path
import subprocess
import sys

from degfusion_ros.learning.benchmark_stream import MARK

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
