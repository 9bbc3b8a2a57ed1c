# SPDX-License-Identifier: Apache-2.0
"""Results round to the nearest byte."""

import pytest
import torch

from degfusion_ros.models.layers import Doubling
from degfusion_ros.models.network import convolve, Outputs, seen, Sum, unit
from degfusion_ros.models.packing import pack


def test_every_byte_survives_the_way_there_and_back():
    image = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    out = Outputs(None, None, pack(unit(image), 4), 4)
    assert torch.equal(out.bytes('thermal')[..., 0], image[0])


def test_what_is_out_of_range_is_clipped():
    out = Outputs(torch.tensor([-0.2, 1.3, 0.5]).view(1, 3, 1, 1), None, None, 1)
    assert out.bytes('fused').flatten().tolist() == [0, 255, 128]


def test_a_picture_and_its_change_are_one_picture():
    picture = pack(torch.randint(0, 256, (1, 3, 56, 8), dtype=torch.uint8), 4)
    change = torch.randn(1, 48, 14, 2).to(torch.bfloat16)
    for told_as in (picture, unit(picture)):
        out = Outputs(Sum(told_as, change), None, None, 4)
        told = out.unpacked('fused').mul(255).round().clamp(0, 255).to(torch.uint8)
        assert (out.bytes('fused').permute(0, 3, 1, 2).int() - told.int()).abs().max() <= 1
        assert (out.bytes('fused').permute(0, 3, 1, 2) == told).float().mean() > 0.99


def test_doubling_is_the_transposed_convolution():
    torch.manual_seed(0)
    layer, x = Doubling(6, 4), torch.randn(2, 6, 64, 66)
    assert x.shape[2] * x.shape[3] >= layer.LARGE
    torch.testing.assert_close(layer(x), torch.nn.ConvTranspose2d.forward(layer, x))


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_bytes_are_convolved_as_if_they_had_been_divided(dtype):
    torch.manual_seed(0)
    image, kernel = torch.randint(0, 256, (2, 6, 4, 5), dtype=torch.uint8), torch.rand(3, 6, 1, 1)
    wanted = torch.nn.functional.conv2d(image / 255, kernel)
    found = convolve(seen(image, dtype), kernel.to(dtype), torch.float32)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted, atol=0, rtol=1e-6 if dtype == torch.float32 else 1e-2)
    assert torch.equal(convolve(seen(image / 255), kernel), wanted)
