# SPDX-License-Identifier: Apache-2.0
"""What a fusion run gives where nothing is left to train, and where it cannot write."""

from pathlib import Path

import pytest
from safetensors import SafetensorError
from safetensors.torch import load_file
import torch
import yaml

from degfusion_ros.learning import fusion_training
from degfusion_ros.learning.fusion_training import FusionTask
from degfusion_ros.learning.loop import TrainingError

CONFIG = Path(__file__).parents[2] / 'config' / 'train'


def _config(steps: int, **changes) -> dict:
    config = yaml.safe_load((CONFIG / 'pkdm.yaml').read_text())
    return {**config, 'data': {'sets': ['street'], 'validation_share': 0.3}, 'frames': 2,
            'network': {'widths': [8, 8], 'decoder': [1]}, 'crop': 64, 'fresh': 1,
            'reservoir': 8, 'workers': 0, 'steps': steps, 'start_from': None, **changes}


def test_fewer_steps_than_were_made_still_give_the_network(pair_root, tmp_path, guidance):
    out = fusion_training.train(_config(2), tmp_path / 'run', pair_root, guidance)
    before = load_file(out)
    out.unlink()
    assert fusion_training.train(_config(1), tmp_path / 'run', pair_root, guidance, True) == out
    after = load_file(out)
    assert all((before[k] == after[k]).all() for k in before)


def test_torchs_random_numbers_are_a_processs_own_and_are_not_drawn_again(
        pair_root, tmp_path, guidance, monkeypatch):
    drawn, forward = [], FusionTask.forward
    monkeypatch.setattr(FusionTask, 'forward', lambda *args: (
        drawn.append(torch.rand(()).item()), forward(*args))[1])
    for steps, resume in ((1, False), (2, True)):
        fusion_training.train(_config(steps), tmp_path / 'run', pair_root, guidance, resume)
    monkeypatch.setattr(fusion_training, 'own_seed', lambda seed: seed + 100)
    fusion_training.train(_config(1), tmp_path / 'other', pair_root, guidance)
    assert len(drawn) == len(set(drawn)) == 3


def test_a_network_that_cannot_be_written_ends_the_run_in_one_line(pair_root, tmp_path, guidance,
                                                                   monkeypatch):
    def full(tensors, path, about):
        path.write_bytes(b'half')
        raise SafetensorError('I/O error: No space left on device (os error 28)')
    monkeypatch.setattr('degfusion_ros.models.checkpoint.save_file', full)
    with pytest.raises(TrainingError, match=r'dgmoe\.safetensors: cannot be written .*No space'):
        fusion_training.train(_config(1), tmp_path / 'run', pair_root, guidance)
    assert (tmp_path / 'run' / 'last.pt').exists()
    assert not list((tmp_path / 'run').glob('*.part'))
