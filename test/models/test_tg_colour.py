# SPDX-License-Identifier: Apache-2.0
"""Luminance and chroma of packed images."""

from hypothesis import given, settings, strategies as st
import torch

from degfusion_ros.learning.losses import luminance
from degfusion_ros.models.packing import pack, unpack
from degfusion_ros.models.tg_colour import join, split


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2 ** 31), st.sampled_from([1, 2, 4]))
def test_join_undoes_split(seed, factor):
    rgb = torch.rand(2, 3, 8, 12, generator=torch.Generator().manual_seed(seed))
    y, chroma = split(pack(rgb, factor))
    torch.testing.assert_close(unpack(join(y, chroma), factor), rgb)
    torch.testing.assert_close(unpack(y, factor), luminance(rgb))


def test_grey_has_no_chroma():
    _, chroma = split(torch.full((1, 48, 2, 2), 0.3))
    torch.testing.assert_close(chroma, torch.zeros(1, 32, 2, 2), atol=1e-6, rtol=0)
