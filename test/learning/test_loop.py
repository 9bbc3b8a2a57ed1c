# SPDX-License-Identifier: Apache-2.0
"""What training runs on several machines share."""

import os
import subprocess
import sys

import torch

from degfusion_ros.learning.loop import Loop


def test_machines_that_find_different_checkpoints_do_not_go_on(tmp_path):
    Loop(torch.nn.Linear(2, 1), tmp_path / '0', lr=0.1, steps=1).run(
        lambda step: {'total': torch.zeros((), requires_grad=True)}, 'first')
    (tmp_path / 'go.py').write_text("""
import os, sys
import torch
from degfusion_ros.learning.loop import Loop
Loop(torch.nn.Linear(2, 1), f'{sys.argv[1]}/{os.environ["RANK"]}', lr=0.1, steps=2).resume()
""")
    done = subprocess.run([sys.executable, '-m', 'torch.distributed.run', '--standalone',
                           '--nproc-per-node', '2', tmp_path / 'go.py', tmp_path],
                          capture_output=True, text=True, timeout=100,
                          env={**os.environ, 'OMP_NUM_THREADS': '1',
                               'PYTHONPATH': os.pathsep.join(sys.path)})
    assert done.returncode and 'steps [0, 1]; give all machines one' in done.stderr
