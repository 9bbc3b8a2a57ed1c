# SPDX-License-Identifier: Apache-2.0
"""What each stage of TG-ECNet trains, and by which losses."""

import pytest
import torch

from degfusion_ros.learning.loop import TrainingError
from degfusion_ros.learning.losses import artefact_loss
from degfusion_ros.learning.tg_losses import FusionStage, Restoration
from degfusion_ros.models.tg_ecnet import TgEcnet

TINY = {'widths': (8, 8, 12, 16), 'decoder_widths': (8, 8, 12), 'encoder_blocks': (1, 1, 1, 1),
        'heads': (1, 1, 1, 2), 'prompt': 8, 'words': 4}
PIXEL = {**TINY, 'gate': 'pixel', 'expert_kernels': (1, 1, 1), 'factor': 1, 'tone': False,
         'kinds': ('attention',) * 4, 'experts': 4, 'fusion_levels': 1}
RESTORATION = {'restoration': 1.0, 'gradient': 1.0, 'structure': 1.0, 'chroma': 1.0,
               'degradation': 1.0, 'balance': 0.1}
FUSION = {'pixel': 1.0, 'max': 1.0, 'gradient': 1.0, 'strongest': 1.0, 'structure': 1.0,
          'fidelity': 1.0, 'warmth': 1.0, 'target': 1.0, 'artefact': 1.0, 'range': 1.0,
          'balance': 0.1}


@pytest.fixture
def batch():
    torch.manual_seed(0)
    return {'severity': torch.rand(3, 10),
            'views': torch.randint(0, 256, (3, 2, 3, 224, 224), dtype=torch.uint8),
            'clean': torch.randint(0, 256, (3, 2, 4, 32, 32), dtype=torch.uint8),
            'warm': torch.randint(0, 2, (3, 2, 2, 32, 32), dtype=torch.uint8),
            'degraded': torch.randint(0, 256, (3, 2, 4, 32, 32), dtype=torch.uint8)}


@pytest.mark.parametrize('size', [TINY, PIXEL], ids=['image', 'pixel'])
def test_each_stage_trains_itself_alone(size, batch):
    network = TgEcnet(**size)
    found = Restoration(network, RESTORATION)(batch)
    assert set(found) == {*RESTORATION, 'total'}
    found['total'].backward()
    assert all(p.grad is None for p in network.fusion.parameters())
    assert all(p.grad is not None for p in network.restorer.parameters())
    network.zero_grad()
    found = FusionStage(network, FUSION)(batch)
    assert found['total'].item() == pytest.approx(
        sum(weight * found[name].item() for name, weight in FUSION.items()), rel=1e-4)
    found['total'].backward()
    assert all(p.grad is None for p in network.restorer.parameters())
    assert all(p.grad is not None for p in network.fusion.parameters())


def test_an_unknown_loss_is_named(batch):
    with pytest.raises(TrainingError, match='fidelty'):
        FusionStage(TgEcnet(**TINY), {'fidelty': 1.0})(batch)


def test_artefacts_are_gradients_that_no_source_has():
    torch.manual_seed(0)
    one, other = torch.rand(2, 1, 1, 16, 16)
    assert artefact_loss(one, one, other).item() == pytest.approx(0, abs=1e-6)
    assert artefact_loss((one + other) / 2, one, one).item() > 0
    assert artefact_loss(one * 1.5, one, other) > artefact_loss(one * 1.1, one, other) > 0
