# SPDX-License-Identifier: Apache-2.0
"""The thermal pre-enhancement: a stretch of whole frames, and the Laplacian."""

import torch

from degfusion_ros.models.enhancement import FACTOR, JUDGED, scene_statistics
from degfusion_ros.models.labels import THERMAL_LABELS, VISIBLE_LABELS
from degfusion_ros.models.packing import pack, unpack
from degfusion_ros.models.thermal_enhancement import ThermalEnhancement

LOW_CONTRAST = len(VISIBLE_LABELS) + THERMAL_LABELS.index('low_contrast')


def _judged(*contrast):
    return torch.zeros(len(contrast), JUDGED).index_copy(
        1, torch.tensor([LOW_CONTRAST]), torch.tensor(contrast)[:, None])


def _enhanced(net, image, contrast=1.0, **told):
    return unpack(net(pack(image, FACTOR), _judged(contrast), **told), FACTOR)


@torch.no_grad()
def _doubling():
    net = ThermalEnhancement()
    net.tone[-1].bias.copy_(torch.tensor([0.5, 0.1]).atanh())
    return net


@torch.no_grad()
def test_a_stretch_is_the_whole_frames_also_for_a_crop():
    frame = torch.rand(1, 1, 64, 64) * 0.2 + 0.4
    torch.testing.assert_close(_enhanced(ThermalEnhancement(), frame), frame)   # fresh: identity
    net = _doubling()
    whole, calm = _enhanced(net, frame), _enhanced(net, frame, 0.0)
    crop = _enhanced(net, frame[..., :16, :16], statistics=scene_statistics(frame))
    torch.testing.assert_close(crop, whole[..., :16, :16])
    mean = frame.mean()
    torch.testing.assert_close(whole, (frame - mean) * 2 + mean + 0.1)
    net.stages -= {'stretch'}
    torch.testing.assert_close(_enhanced(net, frame), frame)
    torch.testing.assert_close(calm, frame)     # nothing wrong with its contrast


@torch.no_grad()
def test_a_stretch_that_was_judged_holds_for_the_frames_after():
    net, frames = _doubling(), torch.rand(4, 1, 32, 32) * 0.2 + 0.4
    packed = pack(frames, FACTOR)
    own = net.stretch(net.statistics(packed[:1]), _judged(1.0))
    torch.testing.assert_close(net(packed[:1], _judged(1.0)), net(packed[:1], _judged(1.0), own))
    dimmer = frames[1:2] - 0.3      # another level: it stays one, neither black nor stretched
    later = unpack(net(pack(dimmer, FACTOR), _judged(1.0), own), FACTOR)
    mean = dimmer.mean()
    torch.testing.assert_close(later, (dimmer - mean) * 2 + mean + 0.1)
    # equal runs of images, each with its own
    both = net.stretch(net.statistics(packed[[0, 2]]), _judged(1.0, 0.0))
    made = net(packed, _judged(1.0, 0.0), both)
    torch.testing.assert_close(made[:2], net(packed[:2], _judged(1.0), own.repeat(2, 1)))
    torch.testing.assert_close(made[2:], packed[2:])


@torch.no_grad()
def test_thermal_sharpening_is_the_laplacian():
    net, image = ThermalEnhancement(), torch.rand(1, 1, 16, 24)
    net.strength.fill_(0.25)
    flat = torch.full((1, 1, 16, 24), 0.3)
    torch.testing.assert_close(_enhanced(net, flat), flat)
    kernel = torch.tensor([[0.0, -1, 0], [-1, 4, -1], [0, -1, 0]])[None, None]
    want = image + 0.25 * torch.nn.functional.conv2d(image, kernel, padding=1)
    found = _enhanced(net, image)
    torch.testing.assert_close(found[..., 1:-1, 1:-1], want[..., 1:-1, 1:-1])
