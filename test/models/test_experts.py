# SPDX-License-Identifier: Apache-2.0
"""The fold must equal the routed mixture, and the routers must choose as the paper says."""

from hypothesis import given, settings
import hypothesis.strategies as st
import pytest
import torch

from degfusion_ros.models import experts
from degfusion_ros.models.experts import DGME, Gates, Router, STATE


def _random_block(channels: int, seed: int, steady: bool = False) -> DGME:
    torch.manual_seed(seed)
    block = DGME(channels, 2, steady)
    with torch.no_grad():
        for p in (block.first_bias, block.steer, block.common_bias, block.common_steer,
                  *([] if steady else [block.second_bias])):
            p.normal_(0, 0.3)
    return block


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10 ** 6), scale=st.floats(0, 30), channels=st.sampled_from([4, 8, 16]),
       height=st.integers(1, 11), width=st.integers(1, 11), task=st.integers(0, 1),
       steady=st.booleans())
def test_fold_equals_routed_for_any_vector(seed, scale, channels, height, width, task, steady):
    block = _random_block(channels, seed, steady)
    router = Router(32).eval()
    vector = torch.randn(1, 32) * scale
    gates = router(vector)
    state, x = torch.randn(1, STATE), torch.randn(2, channels, height, width)
    if steady:
        x[:, 0] = 1
    with torch.no_grad():
        routed = block.routed(x, gates, state, task)
        folded = block(x, block.fold(gates, state, task))
    torch.testing.assert_close(folded, routed, atol=1e-4, rtol=1e-4)
    if steady:
        assert (folded[:, 0] == 1).all()


def test_each_run_of_images_gets_its_own_experts():
    block = _random_block(8, 0)
    router = Router(32).eval()
    gates = router(torch.randn(3, 32) * 5)
    state, x = torch.randn(3, STATE), torch.randn(6, 8, 5, 7)
    with torch.no_grad():
        apart = [block.routed(x[2 * i:2 * i + 2], Gates(*(g[i:i + 1] for g in gates)),
                              state[i:i + 1]) for i in range(3)]
        together = block(x, block.fold(gates, state))
    torch.testing.assert_close(together, torch.cat(apart), atol=1e-4, rtol=1e-4)


def test_gates_are_the_two_best_and_sum_to_one():
    router = Router(32).eval()
    vectors = torch.randn(20, 32)
    logits = router.logits(vectors)[0]
    gates = router(vectors)
    for chosen, row in zip(gates.index, logits):
        assert sorted(chosen.tolist()) == sorted(row.topk(2).indices.tolist())
    torch.testing.assert_close(gates.weight.sum(dim=1), torch.ones(20))


def test_noise_changes_choices_in_training_only():
    torch.manual_seed(0)
    router = Router(32)
    vector = torch.randn(1, 32) * 0.1
    noisy = {tuple(sorted(router.train()(vector).index[0].tolist())) for _ in range(50)}
    calm = {tuple(sorted(router.eval()(vector).index[0].tolist())) for _ in range(50)}
    assert len(noisy) > 1 and len(calm) == 1


def test_balance_loss_prefers_even_use():
    torch.manual_seed(0)
    even, lopsided = Router(16), Router(16)
    with torch.no_grad():
        lopsided.gate.bias[:2] += 20
    vectors = torch.randn(256, 16) * 3
    assert experts.balance_loss(even, vectors) < 0.3 * experts.balance_loss(lopsided, vectors)


def test_mutual_information_is_zero_for_equal_tasks_and_log_2_for_disjoint_ones():
    first, second = Router(16), Router(16)
    vectors = torch.zeros(4, 16)
    with torch.no_grad():
        for router, start in ((first, 0), (second, 4)):
            router.gate.bias.fill_(-50)
            router.gate.bias[start:start + 4] = 0
    same = experts.mutual_information([first, first], vectors).item()
    apart = experts.mutual_information([first, second], vectors).item()
    assert same == pytest.approx(0, abs=1e-5)
    assert apart == pytest.approx(0.6931, abs=1e-3)
