# SPDX-License-Identifier: Apache-2.0
"""A smaller dgmoe takes over what counts of a larger one."""

import pytest
import torch

from degfusion_ros.learning.loop import TrainingError
from degfusion_ros.learning.narrowing import narrow
from degfusion_ros.models.dgmoe import DgMoe

OUTPUTS = ('fused', 'visible', 'thermal')
LARGE = {'widths': (24, 16, 16), 'plain': (1, 1, 1), 'decoder': (2, 1)}


def _network(seed: int, **config) -> DgMoe:
    torch.manual_seed(seed)
    network = DgMoe(**{**LARGE, **config})
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return network.eval().requires_grad_(False)


@torch.no_grad()
def _pictures(network: DgMoe) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    pair = torch.rand(1, 3, 32, 48, generator=draw), torch.rand(1, 1, 32, 48, generator=draw)
    state = network.route(torch.randn(1, 512, generator=draw))
    made = network(*pair, state, OUTPUTS)
    return [made.unpacked(name) for name in OUTPUTS]


def _silence(network: DgMoe, channels: slice) -> None:
    """Let nobody read or fill these channels of the finest level, in either stream."""
    for way in network.skips.values():
        for level in way:
            level[0].weight[:, channels] = 0
            level[0].weight[channels] = 0
    for way, skips in network.skips.items():
        skips[0][0].bias[channels] = 0
        network.ups[way][0].weight[:, channels] = 0
        network.ups[way][0].bias[channels] = 0
    network.downs[0].weight[:, channels] = 0
    for block in (network.encoder[0], *network.decoder[0]):
        for kernels in (block.common, *block.first):
            kernels[:, channels] = 0
        block.common_second[:, channels] = 0
        block.second[:, channels] = 0
        block.second_bias[:, channels] = 0
        # and of the hidden ones only the first two thirds
        block.common_second[..., 8:] = 0
        block.second[..., 4:] = 0
    for plain in network.plain[0]:
        plain.first.weight[:, channels] = 0
        plain.second.weight[channels] = 0
        plain.second.bias[channels] = 0
        plain.second.weight[:, 16:] = 0
    for head in network.heads.values():
        head.weight[:, channels] = 0


def test_of_the_same_size_it_is_the_same_network():
    large, same = _network(0), _network(1)
    narrow(same, large)
    for found, wanted in zip(_pictures(same), _pictures(large)):
        assert torch.equal(found, wanted)


def test_channels_that_nobody_hears_are_those_that_go():
    large, small = _network(0), _network(1, widths=(16, 16, 16))
    _silence(large, slice(4, 12))
    narrow(small, large)
    for found, wanted in zip(_pictures(small), _pictures(large)):
        assert torch.allclose(found, wanted, atol=1e-5)


def _quiet(network: DgMoe, level: int, channel: int) -> None:
    """Let nobody read or fill a channel of a level, in either stream, nor blocks add a bias."""
    for way, skips in network.skips.items():
        for n, levels in enumerate(skips):
            levels[level].weight[:, channel] = 0
            levels[level].weight[channel] = 0
            if n == 0:
                levels[level].bias[channel] = 0
        network.ups[way][level].weight[:, channel] = 0
        network.ups[way][level].bias[channel] = 0
        if level:
            network.ups[way][level - 1].weight[channel] = 0
    into = network.downs[level - 1] if level else network.stem
    into.weight[channel] = 0
    into.bias[channel] = 0
    network.downs[level].weight[:, channel] = 0
    for block in (network.encoder[level], *network.decoder[level]):
        for kernels in (block.common, *block.first):
            kernels[:, channel] = 0
        block.common_second[:, channel] = 0
        block.second[:, channel] = 0
        block.second_bias.zero_()
    for plain in network.plain[level]:
        plain.first.weight[:, channel] = 0
        plain.second.weight[channel] = 0
        plain.second.bias[channel] = 0
    for head in network.heads.values():
        if not level:
            head.weight[:, channel] = 0


def test_a_steady_one_gives_up_the_channel_that_nobody_hears_and_the_stage_for_rain():
    large, steady = _network(0), _network(1, steady=True, rain=0)
    for level, channel in ((0, 5), (1, 11)):
        _quiet(large, level, channel)
    large.enhance_visible.stages.discard('derain')
    narrow(steady, large)
    for found, wanted in zip(_pictures(steady), _pictures(large)):
        assert torch.allclose(found, wanted, atol=1e-5)
    with pytest.raises(TrainingError, match='not'):
        narrow(_network(1, steady=True), steady)


def test_later_blocks_go_and_each_keeps_its_own_router():
    large, small = _network(0), _network(1, decoder=(1, 1))
    for kernels in (large.decoder[0][1].common_second, large.decoder[0][1].second,
                    large.decoder[0][1].second_bias):
        kernels.zero_()     # the block that goes did nothing
    narrow(small, large)
    for found, wanted in zip(_pictures(small), _pictures(large)):
        assert torch.allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize('config, told', [
    ({'widths': (32, 16, 16)}, 'widths'), ({'widths': (16, 16, 8)}, 'widths'),
    ({'decoder': (2, 2)}, 'decoder'), ({'plain': (1, 1)}, 'plain')])
def test_what_is_no_smaller_network_is_refused(config, told):
    if told == 'plain':
        config['widths'], config['decoder'] = (24, 16), (2,)
        told = 'widths'
    with pytest.raises(TrainingError, match=told):
        narrow(_network(1, **config), _network(0))
