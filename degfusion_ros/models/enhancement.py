# SPDX-License-Identifier: Apache-2.0
"""PKDM: physical pre-enhancement of both images before the network proper."""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from degfusion_ros.models.layers import SmallNet

CURVE_STEPS = 8
STATISTICS = 9
_BAND = 32      # rows of half resolution
T_MIN = 0.1     # t0 of Eq. 1: below it the haze hides the scene altogether


class Enhanced(NamedTuple):
    """PKDM's pictures of one visible image, packed (B x 12 x H/2 x W/2), and its parameters."""

    original: torch.Tensor
    dehazed: torch.Tensor
    brightened: torch.Tensor
    derained: torch.Tensor      # the output
    transmission: torch.Tensor  # t(x), B x 1 x H/4 x W/4, 0.1..1
    air_light: torch.Tensor     # A, B x 3 x 1 x 1


def pack(image: torch.Tensor) -> torch.Tensor:
    """Pixel-unshuffle by 2, B x C x H x W to B x 4C x H/2 x W/2, channels last, in one copy."""
    b, c, h, w = image.shape
    split = image.reshape(b, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 1, 3, 5)
    return split.reshape(b, h // 2, w // 2, 4 * c).permute(0, 3, 1, 2)


def unpack(packed: torch.Tensor) -> torch.Tensor:
    """Undo `pack`; channels last in, channels last out."""
    b, c, h, w = packed.shape
    split = packed.permute(0, 2, 3, 1).reshape(b, h, w, c // 4, 2, 2).permute(0, 1, 4, 2, 5, 3)
    return split.reshape(b, 2 * h, 2 * w, c // 4).permute(0, 3, 1, 2)


def scene_statistics(image: torch.Tensor) -> torch.Tensor:
    """
    Return the brightest, mean and darkest RGB of a frame's 16 px cells, B x 3 x H x W to B x 9.

    How dark the night or thick the fog is shows in the frame as a whole (is there any white left?),
    not in a crop of it or in a small network's view.
    """
    cells = functional.avg_pool2d(image, 16, ceil_mode=True, count_include_pad=False)
    return torch.cat([cells.amax((2, 3)), cells.mean((2, 3)), cells.amin((2, 3))], dim=1)


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
        return torch.addcmul(after, before, 1 + self.omega.clamp(-1, 0))


class VisibleEnhancement(nn.Module):
    """
    Dehaze, brighten and derain (Scientific Reports 10.1038/s41598-025-24436-3, Eq. 1-4).

    Transmission and curves are smooth, so they are predicted at a quarter of the resolution. The
    curves need R in [-1, 1] (tanh): with the printed sigmoid the iteration can only darken. One
    curve serves all three channels: a curve each turned the night's greys green.
    """

    def __init__(self, width: int = 24):
        super().__init__()
        self.haze = SmallNet(3 + STATISTICS, width, 1)
        self.air = nn.Sequential(nn.Linear(STATISTICS, 16), nn.ReLU(), nn.Linear(16, 3))
        self.curves = SmallNet(3 + STATISTICS, width, CURVE_STEPS)
        self.rain = SmallNet(12, width, 12)
        self.residuals = nn.ModuleList(WeightedResidual() for _ in range(3))

    def forward(self, image: torch.Tensor, statistics: torch.Tensor | None = None) -> Enhanced:
        """
        Enhance `image`, B x 3 x H x W in 0..1, H and W multiples of 4.

        `statistics` (B x 9) are those of the frame that the image is a crop of; its own if None.
        """
        statistics = scene_statistics(image) if statistics is None else statistics
        b, _, h, w = image.shape
        # 2x2 pixels become four planes: whatever is smooth needs half the resolution from here on
        planes = image.reshape(b, 3, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4) \
            .reshape(b, 3, 4, h // 2, w // 2)
        small = functional.avg_pool2d(planes.mean(dim=2), 2)
        t = torch.sigmoid(self.haze(_told(small, statistics)).float() + 3.0).clamp(min=T_MIN)
        air = torch.sigmoid(self.air(statistics).float() + 1.4)[..., None, None, None]
        dehazed = ((planes - air) / _enlarged(t).unsqueeze(2) + air).clamp(0, 1)
        dehazed = self.residuals[0](planes, dehazed)
        small = functional.avg_pool2d(dehazed.mean(dim=2), 2)
        r = self.curves(_told(small, statistics)).float().tanh()
        r = _enlarged(r)[:, :, None, None].unbind(dim=1)
        bright = self.residuals[1](dehazed, _curve(dehazed, r))
        packed = _packed(bright)
        dry = packed + self.rain(packed)
        return Enhanced(planes.flatten(1, 2), dehazed.flatten(1, 2), packed,
                        self.residuals[2](packed, dry), t, air.squeeze(2))


def _told(small: torch.Tensor, statistics: torch.Tensor) -> torch.Tensor:
    return torch.cat([small, statistics[..., None, None].expand(-1, -1, *small.shape[2:])], dim=1)


def _packed(planes: torch.Tensor) -> torch.Tensor:
    return planes.flatten(1, 2).contiguous(memory_format=torch.channels_last)


def _enlarged(small: torch.Tensor) -> torch.Tensor:
    # channels first: what follows works plane by plane
    return functional.interpolate(small.contiguous(), scale_factor=2, mode='bilinear',
                                  align_corners=False)


def _curve(image: torch.Tensor, steps: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Iterate x + R_k (x^2 - x) (Eq. 2)."""
    if torch.is_grad_enabled():
        for r_k in steps:
            image = torch.addcmul(image, r_k, image * image - image)
        return image
    out = image.clone()
    for top in range(0, out.shape[3], _BAND):    # a band stays in the cache through all steps
        x = out[..., top:top + _BAND, :]
        for r_k in steps:
            x.addcmul_(r_k[..., top:top + _BAND, :], (x * x).sub_(x))
    return out


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
