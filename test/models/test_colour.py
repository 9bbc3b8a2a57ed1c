# SPDX-License-Identifier: Apache-2.0
"""Light and colour change apart from each other."""

import pytest
import torch

from degfusion_ros.models.colour import bilinear, Colour, LUMA
from degfusion_ros.models.network import pack, unpack

FACTOR = 4


@pytest.fixture
def colour() -> Colour:
    torch.manual_seed(0)
    return Colour(FACTOR)


def _luma(image: torch.Tensor) -> torch.Tensor:
    return (image * torch.tensor(LUMA)[:, None, None]).sum(1, keepdim=True)


def _told(light: float = 0.0, shift: tuple = (0.0, 0.0, 0.0), share: float = -30.0):
    told = torch.zeros(1, 20, 4, 6)
    told[:, :16], told[:, 19] = light, share
    told[:, 16:19] = torch.tensor(shift)[:, None, None]
    return told


def test_luminance_is_bt_601(colour):
    image = torch.rand(1, 3, 16, 24)
    torch.testing.assert_close(unpack(colour(pack(image, FACTOR)), FACTOR), _luma(image))


def test_smoothing_keeps_light_and_takes_the_noise_from_colour(colour):
    flat = torch.tensor([0.7, 0.4, 0.2])[None, :, None, None].expand(1, 3, 64, 96)
    image = flat + 0.1 * torch.randn(1, 3, 64, 96)
    smooth = image + unpack(colour.smoothing(pack(image, FACTOR)), FACTOR)
    torch.testing.assert_close(_luma(smooth), _luma(image), atol=1e-5, rtol=0)
    noise = [(x - _luma(x) - (flat - _luma(flat))).std() for x in (image, smooth)]
    assert noise[1] < 0.25 * noise[0]


def test_a_ramp_of_colour_is_smooth_already(colour):
    ramp = torch.linspace(0, 1, 96).expand(1, 1, 64, 96)
    image = torch.cat([ramp, 0.5 * ramp, 1 - ramp], dim=1)
    inner = unpack(colour.smoothing(pack(image, FACTOR)), FACTOR)[..., 8:-8]
    assert inner.abs().max() < 1e-5


def test_what_is_told_is_what_changes(colour):
    smoothing = torch.rand(1, 48, 4, 6)
    assert colour.change(_told(), smoothing).abs().max() < 1e-6
    torch.testing.assert_close(colour.change(_told(light=0.2), smoothing),
                               torch.full((1, 48, 4, 6), 0.2))
    shifted = unpack(colour.change(_told(shift=(0.1, 0.0, -0.3)), smoothing), FACTOR)
    torch.testing.assert_close(shifted[0, :, 3, 5], torch.tensor([0.1, 0.0, -0.3]))
    torch.testing.assert_close(colour.change(_told(share=30.0), smoothing), smoothing)


def test_bilinear_kernels_sum_to_one_and_grow_towards_their_pixel():
    kernels = bilinear(FACTOR)[:, 0]
    torch.testing.assert_close(kernels.sum((1, 2)), torch.ones(16))
    assert kernels[0, 0, 0] > 0 and kernels[0, 2].abs().max() == 0
