# SPDX-License-Identifier: Apache-2.0
"""Files that others give run no code, and the library talks to nobody."""

import os
from pathlib import Path
import pickle
import subprocess
import sys
import zipfile

import pytest
import torch

from degfusion_ros.learning.loop import Loop, TrainingError
from degfusion_ros.models import checkpoint
from degfusion_ros.models.checkpoint import CheckpointError

ROOT = Path(__file__).parents[1]
SPIES = '''
import sys
def hook(event, arguments):
    """Tell what reaches out of the process, or builds objects from a pickle."""
    if event.startswith(('socket.', 'urllib.', 'http.', 'os.system', 'os.exec', 'os.spawn',
                         'pickle.find_class')) or (
            event == 'subprocess.Popen' and 'ldconfig' not in str(arguments[0])):
        print('EVENT', event, arguments)
sys.addaudithook(hook)
'''
LIBRARY = """
import numpy as np
from degfusion_ros import Fuser
fuser = Fuser.load(sys.argv[1], 'cpu', 'float32')
pair = np.zeros((64, 80, 3), np.uint8), np.zeros((64, 80), np.uint8)
fuser.warm_up(64, 80)
fuser.refresh(*pair)
print('DONE', fuser.fuse(*pair).fused.shape)
"""


class Hostile:
    """Unpickling it leaves a mark."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return os.mkdir, (self.mark,)


def poisoned(path, mark):
    """Write a pickle as torch.save lays it out, which would leave the mark."""
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('archive/data.pkl', pickle.dumps(Hostile(mark)))
        archive.writestr('archive/version', '3')
    return path


def test_the_poison_works(tmp_path):
    pickle.loads(pickle.dumps(Hostile(tmp_path / 'mark')))
    assert (tmp_path / 'mark').is_dir()


@pytest.mark.parametrize('zipped', [False, True])
def test_a_pickle_named_as_a_model_is_refused_unopened(tmp_path, zipped):
    path = tmp_path / 'model.safetensors'
    if zipped:
        poisoned(path, tmp_path / 'mark')
    else:
        path.write_bytes(pickle.dumps(Hostile(tmp_path / 'mark')))
    with pytest.raises(CheckpointError, match=r'model\.safetensors'):
        checkpoint.load(path)
    assert not (tmp_path / 'mark').exists()


def test_a_poisoned_training_checkpoint_is_refused_and_runs_nothing(tmp_path):
    poisoned(tmp_path / 'last.pt', tmp_path / 'mark')
    with pytest.raises(TrainingError, match=r'last\.pt'):
        Loop(torch.nn.Linear(2, 2), tmp_path, lr=1e-3, steps=1).resume()
    assert not (tmp_path / 'mark').exists()


def test_loading_judging_and_fusing_reach_out_to_nobody(tiny_model):
    done = subprocess.run(
        [sys.executable, '-c', SPIES + LIBRARY, str(tiny_model)], capture_output=True, text=True,
        timeout=280, cwd=ROOT)
    lines = done.stdout.splitlines()
    assert lines and lines[-1] == 'DONE (64, 80, 3)', done.stderr
    assert [line for line in lines if line.startswith('EVENT')] == []
