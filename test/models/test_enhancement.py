# SPDX-License-Identifier: Apache-2.0
"""PKDM: identity at the start, physics as printed."""

import pytest
import torch

from degfusion_ros.models.colour import Colour, over_cells
from degfusion_ros.models.enhancement import (
    CAUTION,
    Enhanced,
    FACTOR,
    JUDGED,
    Maps,
    scene_statistics,
    STATISTICS,
    T_MIN,
    VisibleEnhancement,
)
from degfusion_ros.models.labels import VISIBLE_LABELS
from degfusion_ros.models.network import seen
from degfusion_ros.models.packing import pack, unpack


def _enhance(net: VisibleEnhancement, packed: torch.Tensor, debug: bool = False) -> Enhanced:
    return net(packed, seen(packed), torch.zeros(1, JUDGED), debug=debug)


def _maps(net: VisibleEnhancement, t: float = 1.0, r: float = 0.0) -> None:
    """Make the maps the same everywhere; sigmoid(30) is 1."""
    last = net.maps.join[-1]
    last.weight.zero_()
    share = torch.tensor((t - T_MIN) / (1 - T_MIN))
    last.bias[0] = 100.0 if t == 1 else (torch.logit(share) - 2.0) / CAUTION
    last.bias[1] = torch.atanh(torch.tensor(r)) / CAUTION


def test_starts_close_to_the_identity():
    torch.manual_seed(0)
    image = pack(torch.rand(2, 3, 32, 48), FACTOR)
    out = _enhance(VisibleEnhancement(), image)
    assert (out.derained - out.original).abs().mean() < 0.06
    torch.testing.assert_close(out.lift, out.derained - out.original, atol=1e-5, rtol=0)
    assert out.transmission.shape == (2, 1, 8, 12) and out.air_light.shape == (2, 3)
    assert out.gain.shape == (2, 1, 8, 12) and out.shift.shape == (2, 3, 8, 12)


@torch.no_grad()
def test_dehazing_inverts_the_scattering_model():
    net, colour = VisibleEnhancement(), Colour(FACTOR)
    scene, t, air = torch.rand(1, 3, 32, 32) * 0.8, 0.5, torch.tensor([0.9, 0.85, 0.8])
    _maps(net, t=t)
    for p in net.air.parameters():
        p.zero_()
    net.air[-1].bias.copy_(torch.logit(air) - 1.4)
    haze = pack(scene * t + air[None, :, None, None] * (1 - t), FACTOR)
    out = _enhance(net, haze, debug=True)
    torch.testing.assert_close(out.dehazed, colour(pack(scene, FACTOR)), atol=1e-5, rtol=0)
    chroma = out.gain * colour.chroma(seen(haze)) + out.shift.repeat(1, FACTOR ** 2, 1, 1)
    torch.testing.assert_close(chroma, colour.chroma(seen(pack(scene, FACTOR))), atol=1e-4, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize('r, expected', [(-0.5, 0.95), (0.5, 0.005)])
def test_curve_brightens_for_negative_r(r, expected):
    # Zero-DCE's iteration; the printed sigmoid (R > 0) could only darken
    net = VisibleEnhancement()
    _maps(net, r=r)
    out = _enhance(net, torch.full((1, 48, 8, 8), 0.2))
    assert out.brightened.mean().item() == pytest.approx(expected, abs=0.02)
    torch.testing.assert_close(out.gain, out.brightened[:, :1] / 0.2, atol=1e-4, rtol=1e-3)


def test_transmission_is_bounded_and_the_residual_weight_clamped():
    net = VisibleEnhancement()
    with torch.no_grad():
        net.maps.join[-1].bias[0] = -50.0 / CAUTION
        net.omega[0].fill_(3.0)
    out = _enhance(net, torch.rand(1, 48, 8, 8))
    assert out.transmission.min().item() == pytest.approx(T_MIN)
    assert out.dehazed.max() <= 2.0


def test_maps_that_black_a_frame_out_come_back():
    net = VisibleEnhancement()
    with torch.no_grad():
        net.maps.join[-1].bias.fill_(-10.0)     # all is haze, and darker than its light
    out = _enhance(net, torch.full((1, 48, 8, 8), 0.2))
    assert out.dehazed.max() == 0
    (out.derained - 0.2).abs().mean().backward()
    assert net.maps.join[-1].bias.grad.abs().max() > 0


def test_a_weight_of_what_a_stage_was_given_comes_back_from_beyond_its_range():
    torch.manual_seed(0)
    net, scene = VisibleEnhancement(), torch.rand(1, 48, 8, 8) * 0.4
    with torch.no_grad():
        for omega in net.omega:
            omega.fill_(-1.008)     # one step too far
    _enhance(net, scene).derained.mean().neg().backward()       # brighter would be better
    assert all(omega.grad < 0 and omega == -1 for omega in net.omega)


def test_maps_look_far_around():
    torch.manual_seed(0)
    net, scene = Maps(), torch.rand(1, 3, 64, 64)
    torch.nn.init.normal_(net.join[-1].weight, std=0.3)
    near, far = scene.clone(), scene.clone()
    near[..., 34:38, 34:38] += 0.5
    far[..., 4:8, 32] += 5.0
    whole = torch.zeros(1, STATISTICS[0] + JUDGED)
    with torch.no_grad():
        there, one, two = (net(x, whole, torch.float32)[..., 32, 32] for x in (scene, near, far))
    assert (one - there).abs().max() > 1e-4 and (two - there).abs().max() > 1e-6


def test_statistics_are_of_16_px_cells_and_the_same_from_a_shrunk_frame():
    frame = torch.rand(2, 3, 48, 80)
    cells = torch.nn.functional.avg_pool2d(frame, 16).flatten(2)
    want = torch.cat([cells.amax(2), cells.mean(2), cells.amin(2)], dim=1)
    found = scene_statistics(frame)
    assert found.shape == (2, STATISTICS[0])
    torch.testing.assert_close(found[:, :9], want)
    torch.testing.assert_close(found[:, 9], cells.mean(1).std(1, unbiased=False), atol=1e-4, rtol=0)
    small = torch.nn.functional.avg_pool2d(frame, 4)
    torch.testing.assert_close(scene_statistics(small, 4), found)
    assert scene_statistics(frame[:, :1]).shape == (2, STATISTICS[1])


@torch.no_grad()
@pytest.mark.parametrize('stage, picture', [
    ('expose', 'exposed'), ('dehaze', 'dehazed'), ('brighten', 'brightened'),
    ('derain', 'derained')])
def test_a_stage_switched_off_passes_its_input_on(stage, picture):
    torch.manual_seed(0)
    net, image = VisibleEnhancement(), torch.rand(1, 48, 8, 8) * 0.5 + 0.25
    for part, std in ((net.maps.join, 0.3), (net.rain, 0.3), (net.exposure, 0.01)):
        torch.nn.init.normal_(part[-1].weight, std=std)
    before = {'exposed': 'original', 'dehazed': 'exposed', 'brightened': 'dehazed',
              'derained': 'brightened'}[picture]
    dark = torch.zeros(1, JUDGED).index_fill(1, torch.tensor(VISIBLE_LABELS.index('low_light')), 1)
    for omega in net.omega:
        omega.fill_(-0.9)       # some of what a stage is given is in what it makes
    changed = net(image, seen(image), dark, debug=True)
    net.stages -= {stage}
    passed = net(image, seen(image), dark, debug=True)
    assert not torch.allclose(getattr(changed, picture), getattr(changed, before), atol=1e-3)
    torch.testing.assert_close(getattr(passed, picture), getattr(passed, before))


@torch.no_grad()
def test_an_exposure_gives_chroma_the_slope_and_waits_for_a_verdict():
    net = VisibleEnhancement()
    _maps(net)
    net.rain[-1].weight.zero_()
    net.exposure[-1].bias.copy_(torch.tensor([0.0, 2.0, 0.0, 0.0]))     # about 3 times as bright
    image = pack(torch.rand(1, 3, 32, 32) * 0.2, FACTOR)
    dark = torch.zeros(1, JUDGED).index_fill(1, torch.tensor(VISIBLE_LABELS.index('low_light')), 1)
    night, day = net(image, seen(image), dark, debug=True), _enhance(net, image, debug=True)
    gain = (night.exposed / night.original).mean()
    assert 2.5 < gain < 3.0
    torch.testing.assert_close(night.exposed, night.original * gain)
    torch.testing.assert_close(night.gain, gain.expand_as(night.gain), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(day.exposed, day.original)


def test_maps_are_interpolated_between_the_cells_centres():
    net = VisibleEnhancement()
    ramp = torch.arange(6.0).expand(1, 1, 3, 6)
    one, other = over_cells(torch.cat([ramp, -ramp], dim=1), net.spread).chunk(2, dim=1)
    fine = unpack(one, FACTOR)[0, 0]
    torch.testing.assert_close(other, -one)
    want = torch.nn.functional.interpolate(ramp, scale_factor=FACTOR, mode='bilinear')[0, 0]
    torch.testing.assert_close(fine, want)


def test_inference_in_bands_equals_training():
    torch.manual_seed(0)
    net, image = VisibleEnhancement(), torch.rand(1, 48, 60, 8)
    torch.nn.init.normal_(net.maps.join[-1].weight, std=0.3)
    trained = _enhance(net, image)
    with torch.no_grad():
        banded = _enhance(net, image)
    for name in ('brightened', 'base', 'lift', 'gain'):
        torch.testing.assert_close(getattr(banded, name), getattr(trained, name), atol=1e-5,
                                   rtol=1e-5)
