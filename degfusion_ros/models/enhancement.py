# SPDX-License-Identifier: Apache-2.0
"""PKDM: physical pre-enhancement of both images before the network proper."""

import math
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from degfusion_ros.models.colour import bilinear, over_cells
from degfusion_ros.models.layers import SmallNet, working
from degfusion_ros.models.network import banded, unit

FACTOR = 4      # pixels a side of a packed cell
STAGES = ('dehaze', 'brighten', 'derain', 'stretch', 'sharpen')
CURVE_STEPS = 8
STATISTICS = 10, 4       # of a visible and of a thermal frame
_STRETCH = math.log(4)
T_MIN = 0.1     # t0 of Eq. 1: below it the haze hides the scene altogether


class Enhanced(NamedTuple):
    """
    PKDM's pictures of one visible image, packed (B x 48 x H/4 x W/4), and its parameters.

    Pictures are float32; `original` and `base` are what convolutions read, in the network's dtype.
    """

    original: torch.Tensor
    dehazed: torch.Tensor | None
    brightened: torch.Tensor
    derained: torch.Tensor      # the output
    base: torch.Tensor          # the same
    transmission: torch.Tensor  # t(x), B x 1 x H/4 x W/4, 0.1..1
    air_light: torch.Tensor     # A, B x 3


def scene_statistics(small: torch.Tensor, cell: int = 16) -> torch.Tensor:
    """
    Return what a frame's 16 px cells are like, B x C x H x W in 0..1 to B x (3 C + 1).

    Brightest, mean and darkest of every channel, and the deviation of the channels' mean. `small`
    is the frame with 16 / cell pixels averaged a side. How dark the night, how thick the fog or
    how squeezed the contrast is shows in the frame as a whole (is there any white left?), not in
    a crop of it or in a small network's view.
    """
    cells = functional.avg_pool2d(small.float(), cell, ceil_mode=True, count_include_pad=False)
    cells = cells.flatten(2)
    mean, light = cells.mean(2), cells.mean(1)
    spread = (light - light.mean(1, keepdim=True)).square().mean(1, keepdim=True)
    return torch.cat([cells.amax(2), mean, cells.amin(2), (spread + 1e-6).sqrt()], dim=1)


def _residual() -> nn.Parameter:
    """
    Return w of Eq. 4, I_out = I_in (1 + w) + Enhance(I_in).

    w = 0 would double the brightness, so it starts at -1 (the stage alone) and stays in [-1, 0].
    """
    return nn.Parameter(torch.tensor(-1.0))


def _kept(omega: torch.Tensor) -> torch.Tensor:
    return 1 + omega.float().clamp(-1, 0)


class VisibleEnhancement(nn.Module):
    """
    Dehaze, brighten and derain (Scientific Reports 10.1038/s41598-025-24436-3, Eq. 1-4).

    Transmission and curve are predicted for cells of 4x4 pixels and interpolated. The curve needs R
    in [-1, 1] (tanh): with the printed sigmoid the iteration can only darken. One R serves all
    eight steps (as in Zero-DCE++) and all three channels: a curve each turned the night's greys
    green. `stages` may be cut to switch stages off.
    """

    def __init__(self, width: int = 16):
        super().__init__()
        self.stages = set(STAGES)
        self.haze = SmallNet(3 + STATISTICS[0], width, 1)
        self.air = nn.Sequential(nn.Linear(STATISTICS[0], 16), nn.ReLU(), nn.Linear(16, 3))
        self.curve = SmallNet(3 + STATISTICS[0], width, 1)
        self.rain = SmallNet(3 * FACTOR ** 2, width, 3 * FACTOR ** 2)
        self.omega = nn.ParameterList(_residual() for _ in range(3))
        mean = torch.eye(3).repeat(1, FACTOR ** 2) / FACTOR ** 2
        self.register_buffer('mean', mean[..., None, None], persistent=False)
        # for each of two maps, read side by side: one channel alone takes four times as long
        near = bilinear(FACTOR)[:, 0].repeat_interleave(3, dim=0)
        spread = torch.einsum('pyx,mn->mpnyx', near, torch.eye(2))      # 48 x 2 x 3 x 3 each
        for name, kernel in zip(('spread_t', 'spread_r'), spread):
            self.register_buffer(name, kernel, persistent=False)

    def forward(self, image: torch.Tensor, statistics: torch.Tensor | None = None,
                debug: bool = False) -> Enhanced:
        """
        Enhance a packed image, B x 48 x h x w, bytes or 0..1.

        `statistics` (B x 10) are those of the frame that the image is a crop of; its own if None.
        The dehazed picture is kept in training and with `debug` only. Convolutions may run in
        bfloat16, pictures may not: its 8 bits draw contours into skies.
        """
        dtype = self.mean.dtype
        original = unit(image, dtype)
        small = functional.conv2d(*working(original, self.mean)).float()
        if statistics is None:
            statistics = scene_statistics(small, 16 // FACTOR)
        t = torch.sigmoid(self.haze(_told(small, statistics, dtype)).float() + 3.0).clamp(min=T_MIN)
        if 'dehaze' not in self.stages:
            t = torch.ones_like(t)
        air = torch.sigmoid(self.air(statistics.float()) + 1.4)
        r = torch.zeros_like(t)
        if 'brighten' in self.stages:
            light = air[..., None, None]
            small = ((small - light) / t + light).clamp(0, 1)
            r = self.curve(_told(small, statistics, dtype)).float().tanh()
        light = air.repeat(1, FACTOR ** 2)[..., None, None]
        keep = debug or torch.is_grad_enabled()

        def brighten(image, *maps):
            dehazed, bright = self._pixelwise(unit(image), light, *(x.float() for x in maps))
            return bright, bright, dehazed

        def derain(bright, rain):       # its result is bright + rain, and Eq. 4 on that
            dry = torch.addcmul(rain.float(), bright, 1 + _kept(self.omega[2]))
            return dry, dry
        pictures = torch.float32, dtype, *([torch.float32] if keep else [])
        maps = torch.cat([1 / t, r], dim=1)
        bright, base, *dehazed = banded(
            brighten, image, over_cells(maps, self.spread_t), over_cells(maps, self.spread_r),
            dtypes=pictures)
        dry = bright
        if 'derain' in self.stages:
            dry, base = banded(derain, bright, self.rain(base), dtypes=(torch.float32, dtype))
        return Enhanced(original, dehazed[0] if keep else None, bright, dry, base, t, air)

    def _pixelwise(self, image: torch.Tensor, air: torch.Tensor, scale: torch.Tensor,
                   r: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        # (I - A) / t + A, in this order: where t is small, I / t would lose what A (1 - 1 / t) lost
        dehazed = torch.addcmul(air, image - air, scale)
        dehazed = torch.addcmul(dehazed, image, _kept(self.omega[0])).clamp_(0, 1)
        bright, rest = dehazed, 1 - r           # x + R (x^2 - x) = x (1 - R + R x), Eq. 2
        for _ in range(CURVE_STEPS):
            bright = torch.addcmul(rest, r, bright).mul_(bright)
        return dehazed, torch.addcmul(bright, dehazed, _kept(self.omega[1]))


def _told(small: torch.Tensor, statistics: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    statistics = statistics[..., None, None].expand(-1, -1, *small.shape[2:])
    return torch.cat([small.to(dtype), statistics.to(dtype)], dim=1)


class ThermalEnhancement(nn.Module):
    """
    Stretch the contrast of the frame, then sharpen by a learnable share of the Laplacian.

    I + lambda L(I) is Eq. 5. The stretch is ours: gain (1/4 to 4) and offset are read off the
    whole frame's statistics, since no crop shows how far its contrast was squeezed.
    """

    def __init__(self):
        super().__init__()
        self.stages = set(STAGES)
        self.strength = nn.Parameter(torch.zeros(()))
        self.tone = nn.Sequential(nn.Linear(STATISTICS[1], 32), nn.ReLU(), nn.Linear(32, 2))
        nn.init.zeros_(self.tone[-1].weight)
        nn.init.zeros_(self.tone[-1].bias)
        self.register_buffer('laplacian', _laplacian(), persistent=False)   # 16 x 16 x 3 x 3

    def forward(self, image: torch.Tensor, contrast: torch.Tensor,
                statistics: torch.Tensor | None = None) -> torch.Tensor:
        """
        Enhance a packed image, B x 16 x h x w in 0..1; beyond the border its last cells repeat.

        `contrast` (one for each equal run of images): the share of the stretch, 0 where contrast
        is not judged low, as in many a calm scene. `statistics` (B x 4) are those of the frame that
        the image is a crop of; its own if None.
        """
        if 'stretch' in self.stages:
            if statistics is None:
                statistics = scene_statistics(image.mean(1, keepdim=True), 16 // FACTOR)
            statistics = statistics.float()
            mean = statistics[:, 1]
            share = contrast.repeat_interleave(len(image) // len(contrast))
            gain, offset = (self.tone(statistics).tanh() * share[:, None]).unbind(dim=1)
            gain = torch.exp(_STRETCH * gain)
            offset = mean * (1 - gain) + offset
            offset, gain = (x.view(-1, 1, 1, 1).to(image.dtype) for x in (offset, gain))
            image = torch.addcmul(offset, image, gain)
        if 'sharpen' not in self.stages:
            return image
        edges = over_cells(image, self.laplacian).to(image.dtype)
        return torch.addcmul(image, edges, self.strength.to(image.dtype))


def _laplacian() -> torch.Tensor:
    """Return 4 I less the four neighbours, of a packed image, as one convolution."""
    n = FACTOR
    kernel = torch.zeros(n * n, n * n, 3, 3)
    for y in range(n):
        for x in range(n):
            out = y * n + x
            kernel[out, out, 1, 1] = 4.0
            for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                kernel[out, v % n * n + u % n, v // n + 1, u // n + 1] -= 1.0
    return kernel
