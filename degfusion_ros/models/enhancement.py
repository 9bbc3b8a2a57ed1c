# SPDX-License-Identifier: Apache-2.0
"""PKDM: physical pre-enhancement of both images before the network proper."""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

CURVE_STEPS = 8
T_MIN = 0.1     # t0 of Eq. 1: below it the haze hides the scene altogether


class Enhanced(NamedTuple):
    """PKDM's pictures of one visible image, all B x 3 x H x W, and its physical parameters."""

    dehazed: torch.Tensor
    brightened: torch.Tensor
    derained: torch.Tensor      # the output
    transmission: torch.Tensor  # t(x), B x 1 x H/4 x W/4, 0.1..1
    air_light: torch.Tensor     # A, B x 3 x 1 x 1


class WeightedResidual(nn.Module):
    """
    Join a stage to its input: I_out = I_in (1 + w) + Enhance(I_in) (Eq. 4).

    w = 0 would double the brightness, so it starts at -1 (the stage alone) and stays in [-1, 0].
    """

    def __init__(self):
        super().__init__()
        self.omega = nn.Parameter(torch.tensor(-1.0))

    def forward(self, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """Return both, weighted."""
        return before * (1 + self.omega.clamp(-1, 0)) + after


def _small_net(inputs: int, width: int, outputs: int) -> nn.Sequential:
    net = nn.Sequential(nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(inplace=True),
                        nn.Conv2d(width, width, 3, padding=2, dilation=2), nn.ReLU(inplace=True),
                        nn.Conv2d(width, outputs, 3, padding=1))
    nn.init.zeros_(net[-1].bias)
    nn.init.normal_(net[-1].weight, std=1e-3)    # every stage starts as the identity
    return net


class VisibleEnhancement(nn.Module):
    """
    Dehaze, brighten and derain (Scientific Reports 10.1038/s41598-025-24436-3, Eq. 1-4).

    Transmission and curves are smooth, so they are predicted at a quarter of the resolution. The
    curves need R in [-1, 1] (tanh): with the printed sigmoid the iteration can only darken.
    """

    def __init__(self, width: int = 24):
        super().__init__()
        self.haze = _small_net(3, width, 1)
        self.air = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
        self.curves = _small_net(3, width, 3 * CURVE_STEPS)
        self.rain = _small_net(12, width, 12)
        self.residuals = nn.ModuleList(WeightedResidual() for _ in range(3))

    def forward(self, image: torch.Tensor) -> Enhanced:
        """Enhance `image`, B x 3 x H x W in 0..1, H and W multiples of 4."""
        small = functional.avg_pool2d(image, 4)
        t = torch.sigmoid(self.haze(small).float() + 3.0).clamp(min=T_MIN)
        brightest = functional.adaptive_max_pool2d(functional.avg_pool2d(small, 4, ceil_mode=True),
                                                   1)
        air = torch.sigmoid(self.air(torch.cat([brightest, small.mean((2, 3), keepdim=True)], 1)
                                     .flatten(1)).float() + 1.4)[..., None, None]
        wide = functional.interpolate(t, scale_factor=4, mode='bilinear', align_corners=False)
        dehazed = self.residuals[0](image, ((image - air) / wide + air).clamp(0, 1))

        small = functional.avg_pool2d(dehazed, 4)
        r = torch.tanh(self.curves(small).float())
        r = functional.interpolate(r, scale_factor=4, mode='bilinear', align_corners=False)
        bright = dehazed
        for r_k in r.chunk(CURVE_STEPS, dim=1):
            bright = torch.addcmul(bright, r_k, bright * bright - bright)
        bright = self.residuals[1](dehazed, bright)

        streaks = self.rain(functional.pixel_unshuffle(bright, 2)).float()
        dry = bright + functional.pixel_shuffle(streaks, 2)
        return Enhanced(dehazed, bright, self.residuals[2](bright, dry), t, air)


class ThermalEnhancement(nn.Module):
    """Sharpen by a learnable share of the Laplacian: I + lambda L(I) (Eq. 5)."""

    def __init__(self):
        super().__init__()
        self.strength = nn.Parameter(torch.zeros(()))
        kernel = torch.tensor([[0., -1., 0.], [-1., 4., -1.], [0., -1., 0.]])
        self.register_buffer('laplacian', kernel.view(1, 1, 3, 3), persistent=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Sharpen `image`, B x 1 x H x W."""
        padded = functional.pad(image, (1, 1, 1, 1), mode='replicate')
        return image + self.strength * functional.conv2d(padded, self.laplacian)
