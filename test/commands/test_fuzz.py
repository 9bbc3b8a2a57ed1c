# SPDX-License-Identifier: Apache-2.0
"""A short run of the fuzzer, as one command."""

import json
import subprocess
import sys

from degfusion_ros.commands.fuzz import Steps


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


BREAKS = """
from degfusion_ros.node import fuzz, fuzz_target

def breaks(done):
    fuzz_target.Checker.fuse = None

found = fuzz.fuzz(300, 1, breaks)
print(found.messages, len(found.failures), found.ended_early, found.passed(), sep=';')
"""


def test_a_node_that_fails_again_and_again_ends_it_with_what_was_found():
    done = subprocess.run([sys.executable, '-c', BREAKS], capture_output=True, text=True,
                          timeout=280)
    messages, failures, why, passed = done.stdout.strip().splitlines()[-1].split(';')
    assert 15 < int(messages) < 300 and int(failures) >= 20
    assert (why, passed) == ('20 failures', 'False')


def test_progress_is_said_twenty_times_in_a_long_run_and_never_in_a_short_one():
    for total, said in ((100_000, 20), (300, 0)):
        steps = Steps(total)
        lines = [steps.line(done) for done in range(1, total + 1) if steps.reached(done)]
        assert len(lines) == said
    assert Steps(100_000).line(5000).startswith('5000 of 100000 messages, ')
