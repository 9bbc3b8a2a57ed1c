# SPDX-License-Identifier: Apache-2.0
"""A smaller network is drawn to the fused pictures of a larger one that is steered alike."""

from pathlib import Path

import pytest
from safetensors.torch import save_file
import torch
import yaml

from degfusion_ros.learning import fusion_training
from degfusion_ros.learning.distillation import Teacher
from degfusion_ros.learning.fusion_training import FusionTask
from degfusion_ros.learning.loop import TrainingError
from degfusion_ros.models import checkpoint
from degfusion_ros.models.dgmoe import DgMoe
from degfusion_ros.models.enhancement import STATISTICS
from degfusion_ros.models.guidance import Guidance, VECTOR_SIZE

NETWORK = {'widths': [8, 8], 'decoder': [1]}
CONFIG = Path(__file__).parents[2] / 'config' / 'train' / 'fused.yaml'


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp('teacher')
    guidance, network = Guidance(), DgMoe(**NETWORK)
    for parameter in network.parameters():      # a fresh one changes nothing yet
        torch.nn.init.normal_(parameter, std=0.1)
    own, teacher = folder / 'guidance.safetensors', folder / 'dgmoe.safetensors'
    save_file(guidance.state_dict(), own, {'clip': guidance.clip_name, 'kind': 'guidance'})
    checkpoint.save(teacher, network.kind, network.state_dict(), guidance.state_dict(),
                    network.config, 0, guidance.clip_name)
    return own, teacher


def _batch():
    bad, clean = torch.randint(0, 256, (2, 2, 1, 4, 64, 64), dtype=torch.uint8)
    return {'degraded': bad, 'clean': clean, 'warm': torch.zeros(2, 1, 2, 64, 64),
            'vector': torch.randn(2, VECTOR_SIZE), 'statistics': torch.rand(2, sum(STATISTICS))}


def test_the_loss_is_nothing_for_a_network_like_its_teacher_and_leaves_that_alone(files):
    teacher = Teacher(files[1], checkpoint.load_guidance(files[0])[1])
    same, _ = checkpoint.load(files[1])
    other = DgMoe(**NETWORK)
    batch = _batch()
    alike, apart = (FusionTask(n, {'teacher': 1.0}, teacher)(batch, {'vector': batch['vector']})
                    for n in (same, other))
    assert alike['total'].item() < 1e-4 and apart['total'].item() > 0.01
    apart['total'].backward()
    assert other.heads['fused'].weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in teacher.network.parameters())
    task = FusionTask(other, {'teacher': 1.0}, teacher)
    assert not any('teacher' in name for name in task.state_dict())


def test_a_step_towards_it_by_the_training_command(files, pair_root, tmp_path):
    config = yaml.safe_load(CONFIG.read_text())
    config |= {'network': NETWORK, 'data': {'sets': ['street'], 'validation_share': 0.3},
               'frames': 2, 'crop': 64, 'fresh': 1, 'reservoir': 8, 'workers': 0, 'steps': 12,
               'export_steps': 12, 'warm_up': 0, 'lr': 0.01, 'ema': 0.0, 'only': None,
               'teacher': files[1], 'losses': {'teacher': 40.0}}
    made, _ = checkpoint.load(fusion_training.train(config, tmp_path, pair_root, files[0]))
    torch.manual_seed(1)
    batch = _batch()
    teacher = Teacher(files[1], checkpoint.load_guidance(files[0])[1])
    torch.manual_seed(config['seed'])
    fresh = DgMoe(**NETWORK)
    before, after = (FusionTask(n, {'teacher': 1.0}, teacher)(
        batch, {'vector': batch['vector']})['total'] for n in (fresh, made))
    assert after < before


def test_what_can_be_no_teacher_is_told(files, tmp_path):
    guidance = checkpoint.load_guidance(files[0])[1]
    with pytest.raises(TrainingError, match='guidance.safetensors: no dgmoe, but guidance'):
        Teacher(files[0], guidance)
    with pytest.raises(TrainingError, match='its guidance is not the one'):
        Teacher(files[1], {**guidance, 'centre': guidance['centre'] + 1})
    for losses, teacher in (({'teacher': 1.0}, None), ({'max': 1.0}, Teacher(files[1], guidance))):
        with pytest.raises(TrainingError, match='give both'):
            FusionTask(DgMoe(**NETWORK), losses, teacher)
