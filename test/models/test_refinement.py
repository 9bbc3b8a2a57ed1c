# SPDX-License-Identifier: Apache-2.0
"""The second look at a restored image: nothing at first, then told and far-sighted."""

import pytest
import torch

from degfusion_ros.models.refinement import Refinement

SIZES = {'inputs': 6, 'widths': (8, 8, 12), 'outputs': 5, 'told': 3}


@pytest.fixture
def refinement() -> Refinement:
    torch.manual_seed(0)
    return Refinement(**SIZES).eval().requires_grad_(False)


def test_it_starts_by_changing_next_to_nothing(refinement):
    made = refinement(torch.rand(2, 6, 8, 12), torch.rand(2, 3))
    assert made.shape == (2, 5, 8, 12) and made.abs().max() < 0.05


def test_what_is_told_of_a_frame_changes_that_frame(refinement):
    torch.nn.init.normal_(refinement.told[-1].weight, std=1.0)
    x, told = torch.rand(1, 6, 8, 12).expand(2, -1, -1, -1), torch.zeros(2, 3)
    told[1] = 1.0
    one, other = refinement(x, told)
    torch.testing.assert_close(one[None], refinement(x[:1], told[:1]), atol=1e-6, rtol=0)
    assert (one - other).abs().max() > 1e-4


def test_a_cell_sees_as_far_as_the_coarsest_level_looks(refinement):
    x, far = torch.rand(1, 6, 40, 40), (0, slice(None), 20, 20)
    other = x.clone()
    other[..., 20, 36:] += 5.0
    told = torch.zeros(1, 3)
    assert (refinement(x, told)[far] - refinement(other, told)[far]).abs().max() > 1e-9


def test_it_runs_in_bfloat16_but_is_told_in_float32(refinement):
    x, told = torch.rand(1, 6, 8, 12), torch.rand(1, 3)
    torch.nn.init.normal_(refinement.head.weight, std=0.1)
    exact = refinement(x, told)
    refinement.at(torch.bfloat16)
    assert refinement.told[0].weight.dtype == torch.float32
    fast = refinement(x.bfloat16(), told)
    assert fast.dtype == torch.bfloat16
    assert (fast - exact).abs().mean() < 0.02 * exact.abs().mean() + 0.01
