# SPDX-License-Identifier: Apache-2.0
"""TG-ECNet: both sizes, both kinds of gates, steered and batched."""

from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
import yaml

from degfusion_ros.models.tg_ecnet import TgEcnet

CONFIG = Path(__file__).parents[2] / 'config' / 'train'
OUTPUTS = ('fused', 'visible', 'thermal')
TINY = {'widths': (8, 8, 12, 16), 'decoder_widths': (8, 8, 12), 'encoder_blocks': (1, 1, 1, 1),
        'heads': (1, 1, 1, 2), 'prompt': 8, 'words': 4}
PIXEL = {**TINY, 'gate': 'pixel', 'expert_kernels': (1, 1, 1), 'factor': 1, 'tone': False,
         'kinds': ('attention',) * 4, 'experts': 4, 'fusion_levels': 1}


def _network(size: dict) -> TgEcnet:
    torch.manual_seed(0)
    network = TgEcnet(**size).eval()
    for head in (network.restorer.head, network.fusion.head, network.restorer.colour[-1]):
        torch.nn.init.normal_(head.weight, std=0.05)    # a fresh head changes nothing
    if network.restorer.tone is not None:
        torch.nn.init.normal_(network.restorer.tone.curve.weight, std=0.3)
    return network


def _pair(batch: int = 1, height: int = 32, width: int = 64):
    return (torch.randint(0, 256, (batch, 3, height, width), dtype=torch.uint8),
            torch.randint(0, 256, (batch, 1, height, width), dtype=torch.uint8))


def _state(network: TgEcnet, views: torch.Tensor):
    return network.steering(network.prompt(views))[0]


def _views(frames: int):
    views = torch.randint(0, 256, (frames, 2, 3, 224, 224), dtype=torch.uint8)
    views[::2] //= 4
    return views


@torch.no_grad()
@pytest.mark.parametrize('size', [TINY, PIXEL], ids=['image', 'pixel'])
def test_only_wanted_images_are_made(size):
    network = _network(size)
    state = network.steer(torch.zeros(1, 512), *_pair(), torch.float32)
    fused = network(*_pair(), state)
    assert fused.visible is None and fused.thermal is None
    assert fused.unpacked('fused').shape == (1, 3, 32, 64)
    both = network(*_pair(), state, ('visible', 'thermal'))
    assert both.fused is None and both.bytes('visible').shape == (1, 32, 64, 3)
    assert both.bytes('thermal').shape == (1, 32, 64, 1)


@torch.no_grad()
@pytest.mark.parametrize('size', [TINY, PIXEL], ids=['image', 'pixel'])
def test_frames_of_a_batch_are_fused_as_if_alone(size):
    network, views = _network(size), _views(2)
    visible, thermal = _pair(4)
    together = network(visible, thermal, _state(network, views), OUTPUTS)
    for i in range(2):
        own = slice(2 * i, 2 * i + 2)
        alone = network(visible[own], thermal[own], _state(network, views[i:i + 1]), OUTPUTS)
        for name in OUTPUTS:
            torch.testing.assert_close(getattr(together, name)[own], getattr(alone, name),
                                       atol=1e-4, rtol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize('size', [TINY, PIXEL], ids=['image', 'pixel'])
def test_a_state_in_bfloat16_tells_nearly_the_same(size):
    network, pair, none = _network(size), _pair(), torch.zeros(1, 512)
    exact = network(*pair, network.steer(none, *pair, torch.float32), OUTPUTS)
    network.at(torch.bfloat16)
    with torch.autocast('cpu', torch.bfloat16):
        rough = network(*pair, network.steer(none, *pair, torch.bfloat16), OUTPUTS)
    for name in OUTPUTS:
        difference = exact.unpacked(name) - rough.unpacked(name).float()
        assert difference.abs().mean() < 0.01


@torch.no_grad()
def test_another_weather_is_another_result():
    network, pair, none = _network(TINY), _pair(), torch.zeros(1, 512)
    neutral = network.steer(none, None, None, torch.float32)
    dark = network.steer(none, *(x // 8 for x in pair), torch.float32)
    one, other = (network(*pair, state).fused for state in (neutral, dark))
    assert (one - other).abs().max() > 1e-3


@torch.no_grad()
def test_bytes_and_floats_are_the_same_image():
    network, pair = _network(TINY), _pair()
    floats = tuple(x / 255 for x in pair)
    states = [network.steer(torch.zeros(1, 512), *x, torch.float32) for x in (pair, floats)]
    one, other = (network(*x, s, OUTPUTS) for x, s in zip((pair, floats), states))
    for name in OUTPUTS:
        torch.testing.assert_close(getattr(one, name), getattr(other, name), atol=1e-5, rtol=1e-4)


def test_a_fresh_network_restores_what_it_is_given_and_averages():
    network, (visible, thermal) = TgEcnet(**TINY), _pair()
    with torch.no_grad():
        out = network(visible, thermal, _state(network, _views(1)), OUTPUTS)
    torch.testing.assert_close(out.unpacked('visible'), visible / 255, atol=0.03, rtol=0)
    torch.testing.assert_close(out.unpacked('thermal'), thermal / 255, atol=0.03, rtol=0)


@pytest.fixture(scope='module')
def published() -> TgEcnet:
    settings = yaml.safe_load((CONFIG / 'tg_ecnet_paper.yaml').read_text())
    torch.manual_seed(0)
    return TgEcnet(**settings['network'])


def test_the_published_size(published):
    count = sum(p.numel() for p in published.parameters())
    assert count == 38_745_406          # the public code's: 40.2 million
    state = _state(published, _views(1))
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        published(*_pair(1, 16, 16), state, OUTPUTS)
    # all of it is linear in the pixels
    gmac = counted.get_total_flops() / 2e9 * (640 * 512) / (16 * 16)
    assert 2250 < gmac < 2400           # the public code's: 2,327


def test_the_compact_size():
    network = TgEcnet()
    settings = yaml.safe_load((CONFIG / 'tg_ecnet.yaml').read_text())['network']
    assert TgEcnet(**settings).config == network.config
    assert 1e6 < sum(p.numel() for p in network.parameters()) < 4e6
    with FlopCounterMode(display=False) as counted:
        network(*_pair(1, 64, 64), _state(network, _views(1)), OUTPUTS)
    assert counted.get_total_flops() / 2e9 * (640 * 512) / (64 * 64) < 40


def test_the_published_size_learns(published):
    out = published(*_pair(1, 16, 16), _state(published, _views(1)), OUTPUTS)
    sum((getattr(out, name) - 0.5).square().mean() for name in OUTPUTS).backward()
    assert all(p.grad is not None for n, p in published.named_parameters())
