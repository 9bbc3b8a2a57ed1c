# SPDX-License-Identifier: Apache-2.0
"""What a fusion run gives where nothing is left to train, and where it cannot write."""

from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
import yaml

from degfusion_ros.learning import fusion_training
from degfusion_ros.models.guidance import Guidance

CONFIG = Path(__file__).parents[2] / 'config' / 'train'


@pytest.fixture
def guidance(tmp_path):
    guidance = Guidance()
    save_file(guidance.state_dict(), tmp_path / 'guidance.safetensors',
              {'kind': 'guidance', 'clip': guidance.clip_name})
    return tmp_path / 'guidance.safetensors'


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
