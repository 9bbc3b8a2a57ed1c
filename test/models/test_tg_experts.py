# SPDX-License-Identifier: Apache-2.0
"""Gates and experts: an algebra, per image and per pixel."""

from hypothesis import given, settings, strategies as st
import pytest
import torch
from torch.nn import functional

from degfusion_ros.models.tg_experts import balance_loss, choose, Experts, Gated


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2 ** 31), st.integers(1, 11), st.data())
def test_gates_sum_to_one_over_k_experts(seed, experts, data):
    k = data.draw(st.integers(1, experts))
    logits = torch.randn(5, 3, experts, generator=torch.Generator().manual_seed(seed))
    gated = choose(logits, k)
    torch.testing.assert_close(gated.weights.sum(-1), torch.ones(5, 3))
    torch.testing.assert_close(gated.chances.sum(-1), torch.ones(5, 3))
    assert ((gated.weights > 0).sum(-1) == k).all()
    # the most likely experts are the chosen ones
    assert (gated.weights.argmax(-1) == gated.chances.argmax(-1)).all()


def _expert(experts: Experts, i: int, x: torch.Tensor, activation) -> torch.Tensor:
    first = experts.first.unflatten(0, experts.first_bias.shape)[i]
    hidden = activation(functional.conv2d(x, first, experts.first_bias[i],
                                          padding=first.shape[-1] // 2))
    return functional.conv2d(hidden, experts.second[i][..., None, None], experts.second_bias[i])


@torch.no_grad()
@pytest.mark.parametrize('kernel', [1, 3])
def test_the_fold_is_the_sum_of_the_chosen_experts(kernel):
    torch.manual_seed(0)
    experts = Experts(8, 4, experts=6, k=2, prompt=5, gate='image', kernel=kernel)
    torch.nn.init.normal_(experts.first_bias)
    torch.nn.init.normal_(experts.second_bias)
    gated = experts.gates(torch.randn(2, 5) * 3)
    x = torch.randn(4, 8, 7, 9)         # two images of each of two frames
    out, tokens = experts(x, [experts.fold(weights) for weights in gated.weights])
    assert tokens is None
    for n in range(4):
        expected = x[n:n + 1] + sum(gated.weights[n // 2, i] * _expert(experts, i, x[n:n + 1],
                                                                       torch.relu)
                                    for i in range(6))
        torch.testing.assert_close(out[n:n + 1], expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_every_pixel_has_its_own_experts():
    torch.manual_seed(0)
    experts = Experts(8, 16, experts=5, k=2, prompt=4, gate='pixel')
    x, prompts = torch.randn(2, 8, 6, 5), torch.randn(2, 4)
    out, gated = experts(x, prompts)
    assert gated.weights.shape == (2, 6, 5, 5)
    assert len(gated.weights.argmax(-1).unique()) > 1
    expected = x + sum(gated.weights[..., i].unsqueeze(1) * _expert(experts, i, x, functional.gelu)
                       for i in range(5))
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-4)


def test_experts_and_gates_learn():
    experts = Experts(4, 4, experts=3, k=2, prompt=4, gate='image', kernel=3)
    gated = experts.gates(torch.randn(8, 4) * 3)
    out, _ = experts(torch.randn(8, 4, 5, 5), [experts.fold(w) for w in gated.weights])
    (out.square().mean() + balance_loss(gated)).backward()
    assert all(p.grad is not None and p.grad.any() for p in experts.parameters())


def test_balance_is_least_when_all_experts_are_used_alike():
    even = torch.full((6, 4), 0.25)
    assert balance_loss(Gated(even, even)).item() == pytest.approx(0, abs=1e-6)
    one = torch.zeros(6, 4)
    one[:, 2] = 1
    assert balance_loss(Gated(one, even)) > 1 and balance_loss(Gated(even, one)) > 1
