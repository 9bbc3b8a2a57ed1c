# SPDX-License-Identifier: Apache-2.0
"""Light and colour change apart from each other."""

import pytest
import torch

from degfusion_ros.models.colour import bilinear, Colour, LUMA
from degfusion_ros.models.network import seen
from degfusion_ros.models.packing import pack, unpack

FACTOR = 4


@pytest.fixture
def colour() -> Colour:
    torch.manual_seed(0)
    return Colour(FACTOR)


def _luma(image: torch.Tensor) -> torch.Tensor:
    return (image * torch.tensor(LUMA)[:, None, None]).sum(1, keepdim=True)


def test_luminance_is_bt_601(colour):
    image = torch.rand(1, 3, 16, 24)
    torch.testing.assert_close(unpack(colour(pack(image, FACTOR)), FACTOR), _luma(image))


def _smooth(colour: Colour, image: torch.Tensor) -> torch.Tensor:
    """Let a picture's chroma give way to that of its surroundings."""
    packed = pack(image, FACTOR)
    cells = torch.cat([-torch.ones(1, 1, 16, 24), colour.coarse(seen(packed))], dim=1)
    change = colour.change(torch.zeros(1, 16, 16, 24), cells, colour.chroma(seen(packed)))
    return unpack(packed + change, FACTOR)


def test_smoothing_keeps_light_and_takes_the_noise_from_colour(colour):
    flat = torch.tensor([0.7, 0.4, 0.2])[None, :, None, None].expand(1, 3, 64, 96)
    image = flat + 0.1 * torch.randn(1, 3, 64, 96)
    smooth = _smooth(colour, image)
    torch.testing.assert_close(_luma(smooth), _luma(image), atol=1e-5, rtol=0)
    noise = [(x - _luma(x) - (flat - _luma(flat))).std() for x in (image, smooth)]
    assert noise[1] < 0.25 * noise[0]


def test_a_ramp_of_colour_is_smooth_already(colour):
    ramp = torch.linspace(0, 1, 96).expand(1, 1, 64, 96)
    image = torch.cat([ramp, 0.5 * ramp, 1 - ramp], dim=1)
    assert (_smooth(colour, image) - image)[..., 8:-8].abs().max() < 1e-5


def test_light_chroma_and_shift_change_apart(colour):
    image = torch.rand(1, 3, 16, 24)
    packed = pack(image, FACTOR)
    chroma = colour.chroma(seen(packed))
    torch.testing.assert_close(unpack(chroma, FACTOR), image - _luma(image))

    def changed(light=0.0, share=0.0, near=(0.0, 0.0, 0.0)):
        cells = torch.tensor([share, *near])[None, :, None, None].expand(1, 4, 4, 6)
        light = torch.full((1, 16, 4, 6), light)
        return unpack(colour.change(light, cells, chroma), FACTOR)
    assert changed().abs().max() < 1e-6
    torch.testing.assert_close(changed(light=0.2), torch.full((1, 3, 16, 24), 0.2))
    torch.testing.assert_close(changed(near=(0.1, 0.0, -0.3))[0, :, 3, 5],
                               torch.tensor([0.1, 0.0, -0.3]))
    grey = image + changed(share=-1.0)
    torch.testing.assert_close(grey, _luma(image).expand(-1, 3, -1, -1))


def test_bilinear_kernels_sum_to_one_and_grow_towards_their_pixel():
    kernels = bilinear(FACTOR)[:, 0]
    torch.testing.assert_close(kernels.sum((1, 2)), torch.ones(16))
    assert kernels[0, 0, 0] > 0 and kernels[0, 2].abs().max() == 0
