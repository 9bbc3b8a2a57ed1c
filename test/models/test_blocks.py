# SPDX-License-Identifier: Apache-2.0
"""Blocks of TG-ECNet, of both kinds."""

import pytest
import torch
from torch.nn import functional

from degfusion_ros.models.blocks import Attention, blocks, down, join, KINDS, up


@torch.no_grad()
@pytest.mark.parametrize('kind', KINDS)
def test_levels_keep_shape_and_scales_change_it(kind):
    x = torch.randn(2, 8, 12, 10)
    assert blocks(kind, 2, 8, 2)(x).shape == x.shape
    coarse = down(kind, 8, 12)(x)
    assert coarse.shape == (2, 12, 6, 5)
    fine = up(kind, 12, 8)(coarse)
    assert fine.shape == x.shape
    assert join(kind, 8, 8)(fine, x).shape == x.shape


@torch.no_grad()
def test_attention_mixes_channels_and_does_not_mind_where_they_are():
    torch.manual_seed(0)
    attention = Attention(8, 2)
    torch.nn.init.zeros_(attention.near.weight)
    attention.near.weight[:, :, 1, 1] = 1       # without its depthwise part
    x = torch.randn(1, 8, 4, 6)
    shuffled = x.flatten(2)[..., torch.randperm(24, generator=torch.Generator().manual_seed(1))]
    out = attention(x).flatten(2).sort(dim=-1).values
    other = attention(shuffled.view(1, 8, 4, 6)).flatten(2).sort(dim=-1).values
    torch.testing.assert_close(out, other, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_sum_is_a_concatenation_and_1x1():
    torch.manual_seed(0)
    grow, joined, x, skip = up('conv', 6, 4), join('conv', 4, 4), *(
        torch.randn(1, c, n, n) for c, n in ((6, 3), (4, 6)))
    matrix = torch.cat([torch.eye(4), joined.skip.weight[..., 0, 0]], dim=1)[..., None, None]
    expected = functional.conv2d(torch.cat([grow(x), skip], dim=1), matrix, joined.skip.bias)
    torch.testing.assert_close(joined(grow(x), skip), expected, atol=1e-5, rtol=1e-4)
