# SPDX-License-Identifier: Apache-2.0
"""The second look at a restored image: nothing at first, then told, fine and far-sighted."""

import pytest
import torch

from degfusion_ros.models.network import pack
from degfusion_ros.models.refinement import Refinement

SIZES = {'pictures': 2, 'features': 6, 'widths': (8, 8, 12), 'outputs': 5, 'told': 3}


@pytest.fixture
def refinement() -> Refinement:
    torch.manual_seed(0)
    return Refinement(**SIZES).eval().requires_grad_(False)


def _seen(batch: int = 1, size: int = 8) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return torch.rand(batch, 32, size, size), torch.rand(batch, 6, size, size), \
        torch.zeros(batch, 3)


def test_it_starts_by_changing_next_to_nothing(refinement):
    made = refinement(*_seen(2))
    assert made.shape == (2, 5, 8, 8) and made.abs().max() < 0.05


def test_at_first_half_cells_hold_the_pixels_that_lie_in_them(refinement):
    images = torch.rand(2, 1, 16, 24)
    refinement.open.weight.mul_((refinement.open.weight == 1).float())
    refinement.open.bias.zero_()
    made = refinement.open(torch.cat([pack(x[None], 4) for x in images], dim=1))
    wanted = torch.cat([pack(x[None], 2) for x in images], dim=1)
    assert torch.equal(made, wanted)


def test_what_is_told_of_a_frame_changes_that_frame(refinement):
    torch.nn.init.normal_(refinement.told[-1].weight, std=1.0)
    pictures, features, told = (x.expand(2, *x.shape[1:]).clone() for x in _seen())
    told[1] = 1.0
    one, other = refinement(pictures, features, told)
    alone = refinement(pictures[:1], features[:1], told[:1])
    torch.testing.assert_close(one[None], alone, atol=1e-6, rtol=0)
    assert (one - other).abs().max() > 1e-4


@pytest.mark.parametrize('changed', [0, 1])
def test_a_cell_sees_pictures_and_features_of_its_surroundings(refinement, changed):
    seen, here = _seen(size=40), (0, slice(None), 20, 20)
    before = refinement(*seen)
    seen[changed][..., 20, 25:] += 5.0
    assert (refinement(*seen)[here] - before[here]).abs().max() > 1e-9


def test_it_runs_in_bfloat16_but_is_told_in_float32(refinement):
    pictures, features, told = _seen()
    torch.nn.init.normal_(refinement.head.weight, std=0.1)
    exact = refinement(pictures, features, told)
    refinement.at(torch.bfloat16)
    assert refinement.told[0].weight.dtype == torch.float32
    fast = refinement(pictures.bfloat16(), features.bfloat16(), told)
    assert fast.dtype == torch.bfloat16
    assert (fast - exact).abs().mean() < 0.02 * exact.abs().mean() + 0.01
