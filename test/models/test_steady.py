# SPDX-License-Identifier: Apache-2.0
"""The first channels of a steady network are 1, whatever it sees, is told and learns."""

import pytest
from steered import network_of, OUTPUTS, pair, steer
import torch

from degfusion_ros.models.compiled import Compiler
from degfusion_ros.models.dgmoe import DgMoe
from degfusion_ros.models.experts import DGME
from degfusion_ros.models.recorded import pytree, Recorded

CONFIG = {'widths': (16, 16, 16, 16), 'plain': (1, 1, 1, 1), 'decoder': (2, 1, 1), 'rain': 0}


def _network() -> DgMoe:
    torch.manual_seed(0)
    network = DgMoe(**CONFIG, steady=True)
    for name, parameter in network.named_parameters():
        if not hasattr(parameter, 'pinned') and 'skips' not in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return network


def _first_channels(network: DgMoe, outputs: tuple[str, ...]) -> list[torch.Tensor]:
    found = []
    hooks = [block.register_forward_hook(lambda block, given, x: found.append(x[:, 0]))
             for block in network.modules() if isinstance(block, DGME) and block.steady]
    visible, thermal = pair(1)
    network(visible, thermal, network.route(torch.randn(1, 512)), outputs)
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize('outputs, blocks', [(OUTPUTS, 18), (('fused',), 10), (('thermal',), 7)])
def test_they_are_1_and_a_step_of_training_leaves_them_so(outputs, blocks):
    network = _network()
    for _ in range(2):
        found = _first_channels(network, outputs)
        assert len(found) == blocks and all((x == 1).all() for x in found)
        optimizer = torch.optim.AdamW(network.parameters(), lr=0.1, weight_decay=0.0)
        made = network.train()(*pair(2), network.route(torch.randn(1, 512)), OUTPUTS)
        sum(made.unpacked(name).square().mean() for name in OUTPUTS).backward()
        before = network.stem.weight.clone()
        optimizer.step()
        assert not torch.equal(before, network.stem.weight)


def test_the_coarsest_level_keeps_all_of_its_channels():
    network = DgMoe(**CONFIG, steady=True)
    assert network.downs[1].bias[0] == 1 and not network.downs[1].weight[0].any()
    assert network.downs[2].weight[0].any() and network.plain[3][0].feed.out.weight[0].any()
    assert not network.encoder[3].steady


@torch.inference_mode()
def test_a_compiled_frame_of_it_adds_no_bias_in_a_pass_of_its_own():
    pytest.importorskip('openvino')

    def passes(network):
        state = steer(network, 0)
        program = Compiler(network, torch.float32, 1)(*pair(0), state, ('fused',))
        made = program(*pair(1), *pytree.tree_leaves(state))[0]
        wanted = Recorded(network)(*pair(1), state, ('fused',))[0]
        assert (made.int() - wanted.int()).abs().max() <= 1
        graph = program._request.get_compiled_model().get_runtime_model()
        return sum(op.get_rt_info()['layerType'].value in ('Eltwise', 'Subgraph')
                   for op in graph.get_ordered_ops())
    steady = _network().eval().requires_grad_(False)
    other = DgMoe(**CONFIG).eval().requires_grad_(False)
    # ten blocks, of whose biases OpenVINO fuses a few
    assert passes(other) - passes(steady) >= 15


def test_a_frame_has_no_transposed_bytes():
    pytest.importorskip('openvino')
    network = network_of('dgmoe')
    with torch.inference_mode():
        program = Compiler(network, torch.float32, 1)(*pair(0), steer(network, 0), ('fused',))
    graph = program._request.get_compiled_model().get_runtime_model()
    told = [(op.get_rt_info()['layerType'].value, op.get_rt_info()['outputPrecisions'].value)
            for op in graph.get_ordered_ops()]
    assert ('Convolution', 'f32') in told and ('Transpose', 'u8') not in told
