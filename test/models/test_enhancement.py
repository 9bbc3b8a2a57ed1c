# SPDX-License-Identifier: Apache-2.0
"""PKDM: identity at the start, physics as printed."""

import pytest
import torch

from degfusion_ros.models.enhancement import (
    pack,
    T_MIN,
    ThermalEnhancement,
    unpack,
    VisibleEnhancement,
)


def test_starts_close_to_the_identity():
    torch.manual_seed(0)
    image = torch.rand(2, 3, 32, 48)
    out = VisibleEnhancement()(image)
    assert (unpack(out.derained) - image).abs().mean() < 0.06
    assert out.transmission.shape == (2, 1, 8, 12) and out.air_light.shape == (2, 3, 1, 1)


def test_dehazing_inverts_the_scattering_model():
    net = VisibleEnhancement()
    scene, t, air = torch.rand(1, 3, 32, 32) * 0.8, 0.5, 0.9
    with torch.no_grad():
        net.haze[-1].weight.zero_()
        net.haze[-1].bias.fill_(torch.logit(torch.tensor(t)) - 3.0)
        for p in net.air.parameters():
            p.zero_()
        net.air[-1].bias.fill_(torch.logit(torch.tensor(air)) - 1.4)
        out = net(scene * t + air * (1 - t))
    torch.testing.assert_close(unpack(out.dehazed), scene, atol=1e-5, rtol=0)


@pytest.mark.parametrize('r, expected', [(-0.5, 0.95), (0.5, 0.005)])
def test_curve_brightens_for_negative_r(r, expected):
    # Zero-DCE's iteration; the printed sigmoid (R > 0) could only darken
    net = VisibleEnhancement()
    with torch.no_grad():
        net.curves[-1].weight.zero_()
        net.curves[-1].bias.fill_(torch.atanh(torch.tensor(r)))
        net.haze[-1].weight.zero_()
        net.haze[-1].bias.fill_(30.0)       # t = 1: no haze
        out = net(torch.full((1, 3, 32, 32), 0.2))
    assert out.brightened.mean().item() == pytest.approx(expected, abs=0.02)


def test_transmission_is_bounded_and_the_residual_weight_clamped():
    net = VisibleEnhancement()
    with torch.no_grad():
        net.haze[-1].bias.fill_(-50.0)
        net.residuals[0].omega.fill_(3.0)
    out = net(torch.rand(1, 3, 32, 32))
    assert out.transmission.min().item() == pytest.approx(T_MIN)
    assert out.dehazed.max() <= 2.0


def test_thermal_sharpening_is_the_laplacian():
    net = ThermalEnhancement()
    flat = torch.full((1, 1, 8, 8), 0.3)
    spot = flat.clone()
    spot[0, 0, 4, 4] = 0.5
    with torch.no_grad():
        net.strength.fill_(0.25)
        torch.testing.assert_close(net(flat), flat)
        assert net(spot)[0, 0, 4, 4].item() == pytest.approx(0.5 + 0.25 * 4 * 0.2)


def test_pack_is_pixel_unshuffle_and_unpack_its_inverse():
    image = torch.rand(2, 3, 6, 8)
    assert torch.equal(pack(image), torch.nn.functional.pixel_unshuffle(image, 2))
    assert torch.equal(unpack(pack(image)), image)


def test_inference_in_bands_equals_training():
    torch.manual_seed(0)
    net, image = VisibleEnhancement(), torch.rand(1, 3, 160, 32)
    torch.nn.init.normal_(net.curves[-1].weight, std=0.3)
    trained = net(image).brightened
    with torch.no_grad():
        torch.testing.assert_close(net(image).brightened, trained, atol=1e-5, rtol=1e-5)
