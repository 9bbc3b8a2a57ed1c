# SPDX-License-Identifier: Apache-2.0
"""The light of a restored dark image: a mean of two estimates, its details left alone."""

import pytest
import torch

from degfusion_ros.models.dgmoe import DgMoe
from degfusion_ros.models.labels import VISIBLE_LABELS
from degfusion_ros.models.relighting import SHARE, share_of_exposure

VECTOR = 512


@pytest.mark.parametrize('seen, tone, share', [
    ((0, 0, 0, 0), 0.1, 0.0), ((1, 0, 0, 1), 0.1, SHARE), ((0.5, 0, 0, 0), 0.1, SHARE / 2),
    ((0, 1, 0, 0), 0.1, 0.0), ((1, 0, 1, 0), 0.1, 0.0), ((1, 0, 0.5, 0), 0.1, SHARE / 2),
    ((1, 0, 0, 0), 0.0, 0.0)])
def test_the_exposure_has_its_say_in_the_dark_alone_and_if_there_is_one(seen, tone, share):
    found = share_of_exposure(torch.tensor([seen], dtype=torch.float32), torch.full((1, 4), tone))
    assert found.item() == pytest.approx(share)


@torch.no_grad()
def _restored(dark: float, training: bool = False, expose: bool = True):
    torch.manual_seed(0)
    network = DgMoe((8, 8)).train(training)
    network.routers.eval()
    # a network that would leave the picture too dark, and an exposure that brightens it
    network.heads['visible'].bias[:16] = -0.2
    network.enhance_visible.exposure[-1].bias[0] = 0.3
    if not expose:
        network.enhance_visible.stages -= {'expose'}
    vector = torch.zeros(1, VECTOR)
    vector[0, VISIBLE_LABELS.index('low_light')] = 2 * dark
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
    fine = [x - torch.nn.functional.avg_pool2d(x[None, None], 25, 1, 12)[0, 0]
            for x in (bright, dark)]
    inner = slice(20, -20)
    assert (fine[0] - fine[1])[inner, inner].abs().mean() < 0.01


def test_by_day_or_without_an_exposure_nothing_is_mixed():
    for settings in ({'dark': 0.05}, {'dark': 0.9, 'expose': False}):
        one, other = (_restored(**settings, training=x)[0] for x in (False, True))
        assert torch.equal(one, other)
