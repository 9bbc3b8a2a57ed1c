# SPDX-License-Identifier: Apache-2.0
"""A short soak of the real node, as one command; long ones are run by hand."""

import json
import subprocess
import sys


def test_a_short_soak_accounts_for_every_frame(tmp_path, tiny_model):
    done = subprocess.run(
        [sys.executable, '-m', 'degfusion_ros', 'soak', '--seconds', '8', '--faults-every', '0.3',
         '--hasten', '8', '--model', str(tiny_model), '--output', str(tmp_path)],
        capture_output=True, text=True, timeout=280)
    assert (tmp_path / 'soak.json').is_file(), done.stderr
    summary = json.loads((tmp_path / 'soak.json').read_text())
    assert summary['unaccounted'] == {} and summary['fused'] > 0
    assert len(summary['faults']) > 3 and summary['memory_mb']['end'] > 10
    assert (tmp_path / 'soak.md').read_text() in done.stdout


def test_a_model_that_is_not_there_is_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, '-m', 'degfusion_ros', 'soak', '--seconds', '5', '--model',
         '/nowhere.safetensors', '--output', str(tmp_path)],
        capture_output=True, text=True, timeout=280)
    assert done.returncode == 1
    assert '/nowhere.safetensors' in done.stderr.strip().splitlines()[-1]
    assert 'Traceback' not in done.stderr
