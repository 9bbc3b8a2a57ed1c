# SPDX-License-Identifier: Apache-2.0
"""Every part that is switched off is off, and the routed form is the folded one."""

from hypothesis import given, settings, strategies as st
import numpy as np
import pytest
import torch

from degfusion_ros.learning import ablation
from degfusion_ros.models import checkpoint
from degfusion_ros.models.choice import find_model
from degfusion_ros.models.dgmoe import DgMoe
from degfusion_ros.models.enhancement import FACTOR, JUDGED
from degfusion_ros.models.labels import VISIBLE_LABELS
from degfusion_ros.models.packing import pack

OUTPUTS = ('fused', 'visible', 'thermal')
SIZES = {'widths': (16, 32), 'plain': (1, 1), 'decoder': (2,)}


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    network = DgMoe(**SIZES).eval()
    network.requires_grad_(False)
    for head in network.heads.values():     # a fresh head changes nothing: make it tell
        torch.nn.init.normal_(head.weight, std=0.05)
    network.enhance_thermal.strength.fill_(0.5)
    return network


@pytest.fixture(scope='module')
def pair():
    torch.manual_seed(1)
    return torch.rand(1, 3, 64, 96), torch.rand(1, 1, 64, 96)


def fused(form, pair, vector):
    with torch.inference_mode():
        state = form.steer(vector, *pair, torch.float32)
        made = form(*pair, state, OUTPUTS)
        return {name: made.unpacked(name) for name in OUTPUTS}


def vector(seed=2):
    return torch.randn(1, 512, generator=torch.Generator().manual_seed(seed))


def test_whole_and_routed_are_the_network(network, pair):
    forms, told = ablation.variants(network), vector()
    with torch.inference_mode():
        state = network.steer(told, None, None, torch.float32)
        expected = network(*pair, state, OUTPUTS)
    for name in ('full', 'routed'):
        made = fused(forms[name], pair, told)
        for output in OUTPUTS:
            torch.testing.assert_close(made[output], expected.unpacked(output), atol=1e-4, rtol=0)


def test_every_part_matters_and_the_network_stays_whole(network, pair):
    forms, told = ablation.variants(network), vector()
    whole = fused(forms['full'], pair, told)
    for name in ('without_pkdm', 'without_dgme', 'without_guidance'):
        made = fused(forms[name], pair, told)
        assert (made['fused'] - whole['fused']).abs().max() > 1e-4, name
    assert network.enhance_visible.stages
    again = fused(ablation.Ablated(network), pair, told)
    assert torch.equal(again['fused'], whole['fused'])


def test_without_guidance_no_vector_counts(network, pair):
    form = ablation.variants(network)['without_guidance']
    one, other = (fused(form, pair, vector(seed))['fused'] for seed in (2, 3))
    assert torch.equal(one, other)


def test_without_pkdm_the_networks_pictures_are_the_cameras(network, pair):
    form = ablation.variants(network)['without_pkdm']
    with torch.inference_mode():
        state = form.steer(vector(), *pair, torch.float32)
        _, enhanced = form.network.enhance_and_fuse(*pair, state, ('fused',))
        heat = pack(pair[1], FACTOR)
        assert torch.equal(form.network.enhance_thermal(heat, torch.ones(1, JUDGED)), heat)
    kept = 1 + form.network.enhance_visible.omega[2].clamp(-1, 0)
    torch.testing.assert_close(enhanced.derained, enhanced.brightened, atol=1e-6, rtol=0)
    assert kept == 0        # as it starts: the stages alone


def test_activations_are_the_gates(network):
    vectors = [vector(i)[0].numpy() for i in range(5)]
    told, names = ablation.activations(network, vectors), ablation.layers(network)
    assert told.shape == (len(names), 8) and names[0] == 'visible_encoder 1'
    assert names[-1] == 'thermal 2' and np.allclose(told.sum(axis=1), 1, atol=1e-6)
    alone = ablation.activations(network, vectors[:1])
    assert ((alone > 0).sum(axis=1) == 2).all()
    gates = network.routers['fused'][0](torch.from_numpy(vectors[0])[None])
    row = alone[names.index('fused 1')]
    assert row[gates.index[0].numpy()] == pytest.approx(gates.weight[0].numpy())


def test_routed_against_folded_on_a_picture(network):
    rng = np.random.default_rng(0)
    visible = rng.integers(0, 256, (70, 101, 3), dtype=np.uint8)
    told = ablation.largest_difference(network, vector()[0].numpy(), visible, visible[..., 0])
    assert 0 <= told < 1e-4


def test_without_deraining_rain_is_left_to_the_fusion_network(pair):
    torch.manual_seed(0)
    network = DgMoe(**SIZES, deraining=(8, 8)).eval().requires_grad_(False)
    torch.nn.init.normal_(network.deraining.head.weight, std=0.1)
    forms, told = ablation.variants(network), torch.zeros(1, 512)
    told[:, VISIBLE_LABELS.index('rain')] = 1.6
    whole, without = (fused(forms[name], pair, told) for name in ('full', 'without_deraining'))
    assert (whole['visible'] - without['visible']).abs().mean() > 1e-2
    assert torch.equal(whole['fused'], without['fused']) and network.deraining is not None


def test_in_rain_and_more_every_variant_derains_first_as_the_network_does(pair):
    network = DgMoe(**SIZES, deraining=(8, 8)).eval().requires_grad_(False)
    torch.nn.init.normal_(network.deraining.head.weight, std=0.1)
    told = torch.zeros(1, 512)
    for label in ('rain', 'noise'):
        told[:, VISIBLE_LABELS.index(label)] = 1.6
    forms, visible = ablation.variants(network), (pair[0] * 255).byte()
    without = {'without_deraining', 'without_guidance'}
    assert {name for name, form in forms.items() if not form.dries(told)} == without
    for name in set(forms) - without:
        assert torch.equal(forms[name].dried(visible), network.dried(visible))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2 ** 31), scale=st.floats(0.1, 8))
def test_routed_is_folded_for_the_whole_network_whatever_its_weights_and_vector(seed, scale):
    torch.manual_seed(seed)
    small = DgMoe((8, 8), plain=(0, 1), decoder=(1, 1)).eval().requires_grad_(False)
    for parameter in small.parameters():        # fresh ones would leave experts unsteered
        torch.nn.init.normal_(parameter, std=0.1)
    told, pair = scale * torch.randn(1, 512), (torch.rand(1, 3, 32, 40), torch.rand(1, 1, 32, 40))
    routed, common = (fused(ablation.Ablated(small, **off), pair, told)
                      for off in ({'folded': False}, {'experts': False}))
    steered = small(*pair, small.steer(told, *pair, torch.float32), OUTPUTS)
    for name in OUTPUTS:
        torch.testing.assert_close(routed[name], steered.unpacked(name), atol=1e-4, rtol=0)
        assert (routed[name] - common[name]).abs().max() > 1e-3     # the experts tell


def test_routed_is_folded_for_the_shipped_weights():
    shipped = checkpoint.load(find_model('dgmoe'))[0].eval().requires_grad_(False)
    rng = np.random.default_rng(0)
    visible = rng.integers(0, 256, (64, 96, 3), dtype=np.uint8)
    for severities in ((0, 1.2, 0, 0, 0.8, 0, 0, 0.6, 0, 0), (1.6, 0, 0, 0, 0, 0, 1.4, 0, 0, 0)):
        told = rng.standard_normal(512).astype(np.float32)
        told[:10] = severities      # twice what was judged
        found = ablation.largest_difference(shipped, told, visible, visible[..., 1])
        assert found < 1e-4
