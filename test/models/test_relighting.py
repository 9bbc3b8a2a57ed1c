# SPDX-License-Identifier: Apache-2.0
"""The light of a restored dark image: a mean of two estimates, its details left alone."""

import pytest
import torch

from degfusion_ros.models.dgmoe import DgMoe
from degfusion_ros.models.enhancement import JUDGED
from degfusion_ros.models.labels import VISIBLE_LABELS
from degfusion_ros.models.relighting import SHARE, share_of_exposure

VECTOR = 512


def _judged(**severities: float) -> torch.Tensor:
    judged = torch.zeros(1, JUDGED)
    for name, value in severities.items():
        judged[0, VISIBLE_LABELS.index(name)] = value
    return judged


@pytest.mark.parametrize('severities, share', [
    ({}, 0.0), ({'low_light': 0.3}, 0.0), ({'low_light': 0.45}, SHARE / 2),
    ({'low_light': 0.9}, SHARE), ({'overexposure': 0.9}, 0.0),
    ({'low_light': 0.9, 'fog': 0.6}, 0.0), ({'low_light': 0.9, 'fog': 0.15}, SHARE / 2)])
def test_the_exposure_has_its_say_in_the_dark_alone(severities, share):
    assert share_of_exposure(_judged(**severities)).item() == pytest.approx(share)


@torch.no_grad()
def _restored(dark: float, training: bool = False, expose: bool = True):
    torch.manual_seed(0)
    network = DgMoe((8, 8), refinement=(8, 8)).train(training)
    network.routers.eval()
    # a network that would leave the picture too dark, and an exposure that brightens it
    network.heads['visible'].bias[:16] = -0.2
    network.enhance_visible.exposure[-1].bias[0] = 0.3
    if not expose:
        network.enhance_visible.stages -= {'expose'}
    vector = torch.zeros(1, VECTOR)
    vector[0, :JUDGED] = 2 * _judged(low_light=dark)
    image = 0.3 * torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1)) + 0.2
    out, pictures = network.enhance_and_fuse(image, torch.rand(1, 1, 64, 96),
                                             network.route(vector), ('visible',))
    luma = torch.tensor((0.299, 0.587, 0.114)).view(3, 1, 1)
    return (out.unpacked('visible')[0] * luma).sum(0), pictures.light


def test_its_light_is_a_mean_of_the_exposures_and_of_the_networks():
    (bright, light), (dark, _) = _restored(0.9), _restored(0.9, training=True)
    wanted = SHARE * light.mean() + (1 - SHARE) * dark.mean()
    assert bright.mean().item() == pytest.approx(wanted.item(), abs=2e-3)
    assert abs(light.mean() - dark.mean()) > 0.1
    # what is finer than the reach is as it was
    fine = [x - torch.nn.functional.avg_pool2d(x[None, None], 33, 1, 16)[0, 0]
            for x in (bright, dark)]
    inner = slice(20, -20)
    assert (fine[0] - fine[1])[inner, inner].abs().mean() < 0.01


def test_by_day_or_without_an_exposure_nothing_is_mixed():
    for settings in ({'dark': 0.1}, {'dark': 0.9, 'expose': False}):
        one, other = (_restored(**settings, training=x)[0] for x in (False, True))
        assert torch.equal(one, other)
