# SPDX-License-Identifier: Apache-2.0
"""What dgmoe takes over from TG-ECNet is at work in it."""

import pytest
import torch

from degfusion_ros.learning.loop import TrainingError
from degfusion_ros.learning.upcycling import upcycle
from degfusion_ros.models.dgmoe import DgMoe
from degfusion_ros.models.network import OUTPUTS
from degfusion_ros.models.tg_ecnet import TgEcnet

WIDTHS = (16, 16, 32, 32)
SIZES = {'widths': WIDTHS, 'decoder_widths': WIDTHS[:-1], 'heads': (1, 1, 2, 4), 'prompt': 16,
         'words': 4}


def _networks(**other):
    torch.manual_seed(0)
    tg_ecnet = TgEcnet(**{**SIZES, **other}).eval()
    for head in (tg_ecnet.restorer.head, tg_ecnet.fusion.head):
        torch.nn.init.normal_(head.weight, std=0.05)
    return DgMoe(WIDTHS).eval(), tg_ecnet


def _views():
    return torch.randint(0, 256, (6, 2, 3, 224, 224), dtype=torch.uint8)


def test_plain_convolutions_go_over_as_they_are():
    network, other = _networks()
    upcycle(network, other, _views())
    assert torch.equal(network.stem.weight, other.restorer.encoder.stem.weight)
    assert torch.equal(network.downs[1].bias, other.restorer.encoder.downs[1].bias)
    assert torch.equal(network.ups['fused'][2].weight, other.fusion.decoder.ups[2].weight)
    assert torch.equal(network.skips['restored'][0][3].weight[..., 0, 0], torch.eye(WIDTHS[-1]))
    merged = sum(skip[0].weight for skip in network.skips['fused'])
    torch.testing.assert_close(merged, other.fusion.decoder.joins[0].skip.weight)  # halves


def test_experts_are_those_of_the_other_network():
    network, other = _networks()
    upcycle(network, other, _views())
    mixture, block = other.restorer.encoder.mixtures[1], network.encoder[1]
    kernels = mixture.first.unflatten(0, mixture.first_bias.shape)
    rows = block.common.unflatten(0, (2, -1))
    for mine in rows:
        assert any(torch.equal(mine, k) for k in kernels)
    whole = block.first[3][:block.hidden]       # a 3x3 expert holds half of one of theirs
    assert any(torch.equal(whole, k[half:half + block.hidden]) for k in kernels
               for half in (0, block.hidden))


def test_a_steady_network_is_refused():
    network = DgMoe(WIDTHS, steady=True)
    with pytest.raises(TrainingError, match='start_from: a TG-ECNet, from which no steady'):
        upcycle(network, _networks()[1], _views())


@torch.no_grad()
def test_what_it_makes_resembles_the_other_networks_pictures():
    network, other = _networks()
    pair = torch.rand(1, 3, 64, 64), torch.rand(1, 1, 64, 64)
    # every block passes on what it gets: experts and attention, which change hands or fall out
    for module in other.modules():
        if getattr(module, 'second', None) is not None:
            second = module.second if isinstance(module.second, torch.Tensor) else \
                module.second.weight
            second.zero_()
    other.restorer.encoder.levels[3] = torch.nn.Sequential(other.restorer.encoder.levels[3][0])
    upcycle(network, other, _views())
    network.encoder[3].second.zero_()
    network.encoder[3].common_second.zero_()
    network.enhance_visible.stages, network.enhance_thermal.stages = set(), set()
    state = other.steer(torch.zeros(1, 512), *pair, torch.float32)
    expected = other(*pair, state, OUTPUTS).unpacked('thermal')
    made = network(*pair, network.route(torch.zeros(1, 512)), OUTPUTS).unpacked('thermal')
    torch.testing.assert_close(made, expected, atol=1e-4, rtol=0)
    assert (made - pair[1]).abs().max() > 1e-2


@pytest.mark.parametrize('other', [{'gate': 'pixel', 'expert_kernels': (1, 1, 1)},
                                   {'widths': (16, 16, 32, 64), 'heads': (1, 1, 2, 8)}])
def test_a_network_of_another_make_is_refused(other):
    network, tg_ecnet = _networks(**other)
    with pytest.raises(TrainingError, match='start_from: a TG-ECNet of widths'):
        upcycle(network, tg_ecnet, _views())
