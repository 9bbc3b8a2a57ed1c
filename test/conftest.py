# SPDX-License-Identifier: Apache-2.0
"""Small models and pairs that several tests share."""

import os
import signal

import cv2
import numpy as np
import pytest

# A shell's background jobs ignore SIGINT, and so would every process that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
# No test speaks to another machine.
if os.environ.get('ROS_DISTRO') == 'humble':
    os.environ['ROS_LOCALHOST_ONLY'] = '1'
else:
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'


@pytest.fixture(scope='session')
def tiny_model(tmp_path_factory):
    """Return the path of a fusion checkpoint with random weights, small enough for fast tests."""
    import torch

    from degfusion_ros.models import checkpoint
    from degfusion_ros.models.dgmoe import DgMoe
    from degfusion_ros.models.guidance import Guidance
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp('model') / 'tiny.safetensors'
    network = DgMoe((16, 16, 16, 16))
    for head in network.heads.values():     # a fresh head changes nothing: make it tell
        torch.nn.init.normal_(head.weight, std=0.03)
    guidance = Guidance()
    checkpoint.save(path, network.kind, network.state_dict(), guidance.state_dict(),
                    network.config, 0, guidance.clip_name)
    return path


@pytest.fixture(scope='session')
def tiny_tg_ecnet(tmp_path_factory):
    """Return the same for the other network."""
    import torch

    from degfusion_ros.models import checkpoint
    from degfusion_ros.models.guidance import Guidance
    from degfusion_ros.models.tg_ecnet import TgEcnet
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp('model') / 'tiny_tg_ecnet.safetensors'
    network = TgEcnet(widths=(16, 16, 16, 16), decoder_widths=(16, 16, 16), prompt=16, words=4,
                      encoder_blocks=(1, 1, 1, 1), heads=(1, 1, 1, 2))
    for head in (network.restorer.head, network.fusion.head):
        torch.nn.init.normal_(head.weight, std=0.03)
    guidance = Guidance()
    checkpoint.save(path, network.kind, network.state_dict(), guidance.state_dict(),
                    network.config, 0, guidance.clip_name)
    return path


@pytest.fixture(params=['tiny_model', 'tiny_tg_ecnet'])
def any_model(request):
    """Return the path of a small checkpoint of each network in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def pair_root(tmp_path):
    """Return a folder with street/visible and street/thermal, a dozen aligned 200x160 pairs."""
    rng = np.random.default_rng(0)
    for side in ('visible', 'thermal'):
        (tmp_path / 'street' / side).mkdir(parents=True)
    for i in range(12):
        coarse = rng.integers(60, 255, (16, 20, 3), dtype=np.uint8)
        visible = cv2.resize(coarse, (200, 160), interpolation=cv2.INTER_CUBIC)
        thermal = cv2.resize(coarse[..., 0], (200, 160), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(tmp_path / 'street/visible' / f'{i:03}.png'), visible)
        cv2.imwrite(str(tmp_path / 'street/thermal' / f'{i:03}.jpg'), thermal)
    return tmp_path
