# SPDX-License-Identifier: Apache-2.0
"""The whole network: shapes, heads on demand, and the two decoders."""

import pytest
import torch

from degfusion_ros.models.dgmoe import DgMoe, TASKS
from degfusion_ros.models.guidance import VECTOR_SIZE


@pytest.fixture(scope='module')
def network() -> DgMoe:
    torch.manual_seed(0)
    return DgMoe(width=4).eval()


def _pair(batch: int = 1, height: int = 48, width: int = 64):
    return torch.rand(batch, 3, height, width), torch.rand(batch, 1, height, width)


@torch.no_grad()
def test_only_wanted_heads_are_computed(network):
    routes = network.route(torch.randn(1, VECTOR_SIZE))
    fused = network(*_pair(), routes, ('fused',))
    assert fused.unpacked('fused').shape == (1, 3, 48, 64)
    assert fused.visible is None and fused.thermal is None
    both = network(*_pair(), routes, ('visible', 'thermal'))
    assert both.fused is None and both.unpacked('visible').shape == (1, 3, 48, 64)
    assert both.unpacked('thermal').shape == (1, 1, 48, 64)


@torch.no_grad()
def test_frames_of_a_batch_are_fused_as_if_alone(network):
    vectors = torch.randn(2, VECTOR_SIZE) * 3
    visible, thermal = _pair(4)
    together = network(visible, thermal, network.route(vectors)).fused
    for i in range(2):
        alone = network(visible[2 * i:2 * i + 2], thermal[2 * i:2 * i + 2],
                        network.route(vectors[i:i + 1])).fused
        torch.testing.assert_close(together[2 * i:2 * i + 2], alone, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_the_vector_changes_the_result():
    torch.manual_seed(1)
    network = DgMoe(width=4).eval()
    for head in network.heads.values():
        torch.nn.init.normal_(head.weight, std=0.1)
    pair = _pair()
    one, two = (network(*pair, network.route(torch.randn(1, VECTOR_SIZE) * 5)).fused
                for _ in range(2))
    assert (one - two).abs().max() > 1e-3


def test_every_block_has_a_router_and_every_parameter_a_gradient():
    torch.manual_seed(0)
    network = DgMoe(width=4)
    for part in ('encoder', *TASKS):
        assert len(network.blocks(part)) == len(network.routers[part])
    out = network(*_pair(32), network.route(torch.randn(32, VECTOR_SIZE) * 5),
                  ('fused', 'visible', 'thermal'))
    (out.fused.square().mean() + out.visible.square().mean() + out.thermal.square().mean()
     ).backward()
    # an expert that no vector chose has none; router noise moves choices, biases start at zero
    silent = [n for n, p in network.named_parameters()
              if p.grad is None and '.first.' not in n]
    assert silent == []
