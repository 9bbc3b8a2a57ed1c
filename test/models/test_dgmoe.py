# SPDX-License-Identifier: Apache-2.0
"""The whole network: shapes, heads on demand, and what each output hangs on."""

import pytest
import torch

from degfusion_ros.models.deraining import SHARE
from degfusion_ros.models.dgmoe import DgMoe, PARTS
from degfusion_ros.models.enhancement import JUDGED
from degfusion_ros.models.guidance import VECTOR_SIZE
from degfusion_ros.models.labels import THERMAL_LABELS, VISIBLE_LABELS
from degfusion_ros.models.network import OUTPUTS

SMALL = {'widths': (8, 8, 16, 16), 'deraining': (8, 8, 16)}


@pytest.fixture(scope='module')
def network() -> DgMoe:
    torch.manual_seed(0)
    network = DgMoe(**SMALL).eval()
    for head in (*network.heads.values(), network.deraining.head):
        torch.nn.init.normal_(head.weight, std=0.1)
    return network


def _pair(batch: int = 1, height: int = 96, width: int = 64):
    return torch.rand(batch, 3, height, width), torch.rand(batch, 1, height, width)


@torch.no_grad()
def test_only_wanted_heads_are_computed(network):
    routes = network.route(torch.randn(1, VECTOR_SIZE))
    fused = network(*_pair(), routes, ('fused',))
    assert fused.unpacked('fused').shape == (1, 3, 96, 64)
    assert fused.visible is None and fused.thermal is None
    both = network(*_pair(), routes, ('visible', 'thermal'))
    assert both.fused is None and both.unpacked('visible').shape == (1, 3, 96, 64)
    assert both.unpacked('thermal').shape == (1, 1, 96, 64)
    del routes['visible_encoder'], routes['fused'], routes['visible']
    alone = network(*_pair(), routes, ('thermal',))
    assert alone.visible is None and alone.unpacked('thermal').shape == (1, 1, 96, 64)


@torch.no_grad()
def test_what_the_frame_is_like_as_a_whole_is_told_to_its_visible_half():
    torch.manual_seed(0)
    network = DgMoe(**SMALL).eval()
    for head in network.heads.values():
        torch.nn.init.normal_(head.weight, std=0.1)
    routes, (visible, thermal) = network.route(torch.randn(1, VECTOR_SIZE)), _pair()

    def made():
        out = network(visible, thermal, routes, OUTPUTS)
        return [out.unpacked(name) for name in OUTPUTS]
    before = made()
    network.whole[-1].bias.fill_(3.0)
    fused, restored, heat = (not torch.allclose(a, b, atol=1e-4) for a, b in zip(before, made()))
    assert (fused, restored, heat) == (True, True, False)


@torch.no_grad()
def test_frames_of_a_batch_are_fused_as_if_alone(network):
    vectors = torch.randn(2, VECTOR_SIZE) * 3
    visible, thermal = _pair(4)
    together = network(visible, thermal, network.route(vectors)).unpacked('fused')
    for i in range(2):
        alone = network(visible[2 * i:2 * i + 2], thermal[2 * i:2 * i + 2],
                        network.route(vectors[i:i + 1])).unpacked('fused')
        torch.testing.assert_close(together[2 * i:2 * i + 2], alone, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_the_vector_changes_the_result(network):
    pair = _pair()
    one, two = (network(*pair, network.route(torch.randn(1, VECTOR_SIZE) * 5)).unpacked('fused')
                for _ in range(2))
    assert (one - two).abs().max() > 1e-3


def test_every_block_has_a_router_and_every_parameter_a_gradient():
    torch.manual_seed(0)
    network = DgMoe(**SMALL)
    for part in PARTS:
        assert len(network.blocks(part)) == len(network.routers[part])
    out, enhanced = network.enhance_and_fuse(
        *_pair(32), network.route(torch.randn(32, VECTOR_SIZE) * 5), OUTPUTS)
    sum(out.unpacked(name).square().mean() for name in OUTPUTS).backward()
    pkdm = dict(network.enhance_visible.named_parameters(prefix='enhance_visible'))
    silent = {n for n, p in network.named_parameters() if p.grad is None}
    assert silent == set(pkdm)      # it has a target of its own
    enhanced.derained.square().mean().backward()
    silent = {n for n, p in network.named_parameters() if p.grad is None}
    assert silent == {n for n in pkdm if '.exposure.' in n}     # whole frames tell it more


@torch.no_grad()
def test_bytes_and_floats_mean_the_same(network):
    state = network.route(torch.randn(1, VECTOR_SIZE))
    visible, thermal = (x.mul(255).to(torch.uint8) for x in _pair())
    told = network(visible, thermal, state)
    again = network(visible / 255, thermal / 255, state)
    torch.testing.assert_close(told.unpacked('fused'), again.unpacked('fused'), atol=1e-5, rtol=0)
    assert told.bytes('fused').shape == (1, 96, 64, 3) and told.bytes('fused').dtype == torch.uint8


@torch.no_grad()
def test_the_steered_network_in_bfloat16_is_the_routed_one():
    torch.manual_seed(0)
    network, vector = DgMoe(**SMALL).eval(), torch.randn(1, VECTOR_SIZE)
    pair = _pair()
    exact = network(*pair, network.route(vector)).unpacked('fused')
    fast = network.at(torch.bfloat16)(*pair, network.steer(vector, *pair, torch.bfloat16))
    assert (fast.unpacked('fused') - exact).abs().mean() < 0.01


@torch.no_grad()
def test_a_stretch_holds_until_the_next_judgement_whatever_comes_into_view():
    torch.manual_seed(0)
    network, vector = DgMoe(**SMALL).eval(), torch.zeros(1, VECTOR_SIZE)
    vector[:, len(VISIBLE_LABELS) + THERMAL_LABELS.index('low_contrast')] = 2.0
    torch.nn.init.normal_(network.enhance_thermal.tone[-1].weight, std=1.0)
    visible, thermal = _pair()
    lit = thermal.clone() * 0.5
    lit[..., :16, :16], lit[..., :16, 16:32] = 0.0, lit[..., :16, :32].mean() * 2    # the same mean

    def rest(state, heat):
        return network(visible, heat, state, ('thermal',)).unpacked('thermal')[..., 48:, 48:]
    judged, other = (network.steer(vector, visible, x, torch.float32) for x in (thermal * 0.5, lit))
    held = rest(judged, lit)
    torch.testing.assert_close(held, rest(judged, thermal * 0.5), atol=1e-4, rtol=0)
    assert not torch.allclose(held, rest(other, lit), atol=1e-2)
    gates = [network.gate(vector, visible, x) for x in (thermal * 0.5, lit)]
    between = network.decide(gates[0].lerp(gates[1], 0.5), torch.float32)      # smoothed with it
    assert not torch.allclose(held, rest(between, lit), atol=1e-3)


@torch.no_grad()
def test_without_experts_the_common_ones_are_left(network):
    vectors = torch.randn(2, VECTOR_SIZE) * 5
    calm, other = (network.route(v[None], experts=False) for v in vectors)
    for part in PARTS:
        for one, two, block in zip(calm[part], other[part], network.blocks(part)):
            assert one.first.shape[1] == block.common_hidden
            assert torch.equal(one.first, two.first)


@torch.no_grad()
def test_a_restored_image_hangs_on_its_own_camera_alone(network):
    state = network.route(torch.randn(1, VECTOR_SIZE) * 5)
    visible, thermal = _pair()
    both = network(visible, thermal, state, OUTPUTS)
    for name, pair in (('visible', (visible, 1 - thermal)), ('thermal', (1 - visible, thermal))):
        again = network(*pair, state, OUTPUTS)
        assert torch.equal(again.unpacked(name), both.unpacked(name))
        assert (again.unpacked('fused') - both.unpacked('fused')).abs().max() > 1e-3


@torch.no_grad()
def test_only_what_an_output_needs_is_folded(network):
    vector = torch.randn(1, VECTOR_SIZE)
    state = network.route(vector, outputs=('visible',))
    assert set(state) == {'judged', 'visible_encoder', 'thermal_encoder', 'visible'}
    whole = network(*_pair(), network.route(vector), ('visible',)).unpacked('visible')
    assert network(*_pair(), state, ('visible',)).unpacked('visible').shape == whole.shape


@torch.no_grad()
@pytest.mark.parametrize('judged, changed', [
    ({}, False), ({'rain': 0.6}, True), ({'rain': 0.6, 'noise': 0.4}, False)])
def test_deraining_changes_the_restored_visible_image_alone_and_in_rain_alone(judged, changed):
    torch.manual_seed(0)
    plain = DgMoe(SMALL['widths']).eval()
    for head in plain.heads.values():
        torch.nn.init.normal_(head.weight, std=0.1)
    rainy = DgMoe(**SMALL).eval()
    rainy.load_state_dict(plain.state_dict(), strict=False)
    torch.nn.init.normal_(rainy.deraining.head.weight, std=0.1)
    pair, vector = _pair(), torch.randn(1, VECTOR_SIZE)
    vector[:, :JUDGED] = 0
    for label, severity in judged.items():
        vector[:, VISIBLE_LABELS.index(label)] = 2 * severity
    before, after = (n(*pair, n.route(vector), OUTPUTS) for n in (plain, rainy))
    for name in OUTPUTS:
        same = torch.equal(before.unpacked(name), after.unpacked(name))
        assert same == (name != 'visible' or not changed)
    if changed:
        image = pair[0].float() / (255 if pair[0].dtype == torch.uint8 else 1)
        wanted = (1 - SHARE) * before.unpacked('visible') + SHARE * (
            image + rainy.deraining(image))
        torch.testing.assert_close(after.unpacked('visible'), wanted)


def test_a_deraining_network_too_deep_for_the_network_is_refused():
    DgMoe((8, 8), deraining=(8, 8, 8))
    with pytest.raises(ValueError, match='deraining .* at most 3'):
        DgMoe((8, 8), deraining=(8, 8, 8, 8))
