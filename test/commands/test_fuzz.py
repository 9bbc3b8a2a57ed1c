# SPDX-License-Identifier: Apache-2.0
"""A short run of the fuzzer, as one command."""

import json
import subprocess
import sys


def test_malformed_messages_end_nothing_and_good_pairs_are_fused(tmp_path):
    done = subprocess.run(
        [sys.executable, '-m', 'degfusion_ros', 'fuzz', '--messages', '300', '--seed', '2',
         '--output', str(tmp_path)], capture_output=True, text=True, timeout=280)
    found = json.loads((tmp_path / 'fuzz.json').read_text())
    assert done.returncode == 0 and found['passed'], (done.stdout, found['failures'])
    assert found['messages'] == 300 and found['good_fused'] == found['good_pairs'] == 30
    assert found['unaccounted'] == {} and found['corpus'] > 20 and found['arcs'] > 500
    assert sum(found['dropped'].values()) > 100
    assert not done.stderr, 'DDS and OpenCV belong into the log'
    assert (tmp_path / 'fuzz.log').is_file()
