# SPDX-License-Identifier: Apache-2.0
"""What training runs on several machines share."""

import os
import subprocess
import sys
import threading

import pytest
import torch

from degfusion_ros.learning.loop import Loop


def test_a_run_leaves_no_thread_behind(tmp_path):
    before = set(threading.enumerate())
    _run(tmp_path, 21)      # its losses are logged once
    assert set(threading.enumerate()) == before
    assert next(tmp_path.glob('events.*')).stat().st_size > 100


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


def _run(folder, steps, resume=False, **more):
    loop = Loop(torch.nn.Linear(2, 1), folder, lr=0.1, steps=steps, **more)
    if resume:
        loop.resume()
    told = []
    loop.run(lambda step: {'total': loop.model(torch.ones(1, 2)).sum()}, 'small',
             {2: lambda: told.append(loop.step)})
    return told


@pytest.mark.parametrize('steps, resume, void', [(2, True, False), (1, True, False),
                                                 (3, True, True), (1, False, True)])
def test_new_steps_void_the_checkpoints_of_later_phases(tmp_path, steps, resume, void):
    later = [tmp_path / 'two', tmp_path / 'three', tmp_path / 'never_begun']
    _run(tmp_path / 'one', 2, later=later)
    for folder in later[:2]:
        _run(folder, 1)
    _run(tmp_path / 'one', steps, resume, later=later)
    assert [(folder / 'last.pt').exists() for folder in later] == [not void, not void, False]


def test_a_run_begun_anew_leaves_all_phases_alone_until_it_has_a_checkpoint(tmp_path):
    later = [tmp_path / 'two']
    _run(tmp_path / 'one', 2)
    _run(later[0], 1)
    loop = Loop(torch.nn.Linear(2, 1), tmp_path / 'one', lr=0.1, steps=2, later=later)

    def interrupted(step):
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        loop.run(interrupted, 'small')
    assert (later[0] / 'last.pt').exists() and _run(tmp_path / 'one', 2, resume=True) == [2]


def test_a_run_that_kept_no_mean_can_go_on_with_one(tmp_path):
    made = Loop(torch.nn.Linear(2, 1), tmp_path, lr=0.1, steps=1)
    made.run(lambda step: {'total': made.model(torch.ones(1, 2)).sum()}, 'small')
    loop = Loop(torch.nn.Linear(2, 1), tmp_path, lr=0.1, steps=2, ema=0.99)
    assert loop.resume()
    assert all(torch.equal(loop.averaged()[k], v) for k, v in made.averaged().items())


def test_what_is_made_already_is_told_and_given_once_more(tmp_path, capsys):
    assert _run(tmp_path, 5) == [2, 4, 5]
    assert _run(tmp_path, 5, resume=True) == [5] and not capsys.readouterr().err
    assert _run(tmp_path, 3, resume=True) == [5]
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1 and f'{tmp_path}: has made 5 steps, 3 are asked for' in told[0]
