# SPDX-License-Identifier: Apache-2.0
"""PKDM: physical pre-enhancement of the visible image before the network proper."""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from degfusion_ros.models.colour import bilinear, LUMA, luma, over_cells
from degfusion_ros.models.labels import THERMAL_LABELS, VISIBLE_LABELS
from degfusion_ros.models.layers import conv_add, SmallNet, working
from degfusion_ros.models.network import banded, convolve, Seen, seen
from degfusion_ros.models.tone import about, Exposure, slope, toned, top

FACTOR = 4      # pixels a side of a packed cell
STAGES = ('expose', 'dehaze', 'brighten', 'derain', 'stretch', 'sharpen')
CURVE_STEPS = 8
STATISTICS = 10, 4       # of a visible and of a thermal frame
JUDGED = len(VISIBLE_LABELS) + len(THERMAL_LABELS)      # severities, all labels of both
# what changes a frame's statistics; the first two, its exposure
LIGHT = 'low_light', 'overexposure', 'fog', 'rain'
_LIGHT = [VISIBLE_LABELS.index(name) for name in LIGHT]
_EXPOSURE = 2
TOLD = 2 * STATISTICS[0] + len(LIGHT)      # numbers of a frame as a whole
FAINTEST = 0.3      # severity from which on the whole frame's tone is changed outright
CAUTION = 0.3  # a step of Adam shall not drive a map to its end
T_MIN = 0.1     # t0 of Eq. 1: below it the haze hides the scene altogether


class Enhanced(NamedTuple):
    """
    PKDM's luminance of one visible image, packed (B x 16 x H/4 x W/4), and its parameters.

    Pictures are float32; `base` and `lift` are what convolutions read, in the network's dtype.
    """

    original: torch.Tensor
    exposed: torch.Tensor | None
    dehazed: torch.Tensor | None
    brightened: torch.Tensor
    derained: torch.Tensor | None   # the output
    base: torch.Tensor              # the same
    lift: torch.Tensor              # what of it was added to the original
    gain: torch.Tensor              # of the chroma, B x 1 x H/4 x W/4
    shift: torch.Tensor             # added to it, B x 3 x H/4 x W/4
    opened: torch.Tensor            # what of the gain is the exposure's
    transmission: torch.Tensor      # t(x), B x 1 x H/4 x W/4, 0.1..1
    air_light: torch.Tensor         # A, B x 3
    told: torch.Tensor              # of the frame as a whole, B x TOLD
    tone: torch.Tensor              # the exposure's curve, B x 4, 0 where it does not act
    light: torch.Tensor             # the exposed picture's, means of cells, B x 1 x H/4 x W/4


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
    if not (omega.requires_grad and torch.is_grad_enabled()):
        return 1 + omega.float().clamp(-1, 0)
    if not -1 <= omega <= 0:        # a step beyond the edge is taken back: a clamp's gradient is 0
        with torch.no_grad():
            omega.clamp_(-1, 0)
    return 1 + omega.float()


class Maps(nn.Module):
    """
    Transmission and curve of every cell of 4x4 pixels: a coarse look around, then a fine one.

    How far away a thing is shows in what surrounds it: the coarse part sees cells of 16 px, and
    some 400 px of them, and is told the frame's statistics and what was judged of it.
    """

    def __init__(self, width: int = 48, fine: int = 16):
        super().__init__()
        self.around = nn.Sequential(    # leaky: what dies early would never learn to see far
            # to crops, where it trains, the border is always near: zeros there would tell it
            nn.Conv2d(3 + STATISTICS[0] + JUDGED, width, 3, padding=1, padding_mode='replicate'),
            nn.LeakyReLU(0.1, True),
            *(layer for d in (1, 2, 4) for layer in
              (nn.Conv2d(width, width, 3, padding=d, dilation=d, padding_mode='replicate'),
               nn.LeakyReLU(0.1, True))),
            nn.Conv2d(width, fine, 1))
        self.near = nn.Conv2d(3, fine, 3, padding=1)
        self.join = nn.Sequential(
            nn.LeakyReLU(0.1, True), nn.Conv2d(fine, fine, 3, padding=1),
            nn.LeakyReLU(0.1, True), nn.Conv2d(fine, 2, 3, padding=1))
        nn.init.normal_(self.join[-1].weight, std=1e-2)
        nn.init.zeros_(self.join[-1].bias)

    def forward(self, small: torch.Tensor, statistics: torch.Tensor,
                dtype: torch.dtype) -> torch.Tensor:
        """B x 3 x h x w (means of cells) and B x 20 to B x 2 x h x w, before any squashing."""
        coarse = functional.avg_pool2d(small, FACTOR, ceil_mode=True, count_include_pad=False)
        whole = statistics[..., None, None].expand(-1, -1, *coarse.shape[2:])
        around = self.around(torch.cat([coarse, whole], dim=1).to(dtype))
        around = functional.interpolate(around, scale_factor=FACTOR, mode='bilinear')
        around = around[..., :small.shape[2], :small.shape[3]]
        x = conv_add(*working(small.to(dtype), self.near.weight, self.near.bias), around)
        return self.join(x).float() * CAUTION


class VisibleEnhancement(nn.Module):
    """
    Dehaze, brighten and derain (Scientific Reports 10.1038/s41598-025-24436-3, Eq. 1-4).

    Beyond the paper the frame's exposure is undone first, by a curve where it was judged wrong; and
    it works on luminance, a third of the numbers; chroma gets the gain that its cell's luminance
    got, and loses what tint the air light has. Transmission and curve are
    predicted for cells of 4x4 pixels and interpolated. The curve needs R in [-1, 1] (tanh): with
    the printed sigmoid the iteration can only darken. One R serves all eight steps (as in
    Zero-DCE++). `stages` may be cut to switch stages off; with `rain` 0 (else channels) there is
    none that derains.
    """

    def __init__(self, rain: int = 32):
        super().__init__()
        self.stages = set(STAGES) - (set() if rain else {'derain'})
        self.exposure = Exposure(TOLD)
        self.maps = Maps()
        self.air = nn.Sequential(nn.Linear(STATISTICS[0], 16), nn.ReLU(), nn.Linear(16, 3))
        self.rain = SmallNet(FACTOR ** 2, rain, FACTOR ** 2) if rain else None
        self.omega = nn.ParameterList(_residual() for _ in range(3))
        mean = torch.eye(3).repeat(1, FACTOR ** 2) / FACTOR ** 2
        self.register_buffer('mean', mean[..., None, None], persistent=False)
        self.register_buffer('luma', torch.kron(torch.eye(FACTOR ** 2), torch.tensor([LUMA]))[
            ..., None, None], persistent=False)                             # 16 x 48 x 1 x 1
        spread = torch.einsum('pyx,mn->mpnyx', bilinear(FACTOR)[:, 0], torch.eye(2))
        self.register_buffer('spread', spread.flatten(0, 1), persistent=False)  # 32 x 2 x 3 x 3

    def forward(self, image: torch.Tensor, original: Seen, judged: torch.Tensor,
                statistics: torch.Tensor | None = None, debug: bool = False) -> Enhanced:
        """
        Enhance a packed image, B x 48 x h x w, bytes or 0..1; `original` is it in the dtype.

        `judged` (F x 10) are the severities of each of F equal runs of images, 0..1.
        `statistics` (B x 10) are those of the frame that the image is a crop of; its own if None.
        The pictures between are kept in training and with `debug` only. Convolutions may run in
        bfloat16, luminance may not: its 8 bits draw contours into skies.
        """
        dtype = self.mean.dtype
        small = convolve(original, self.mean, torch.float32)
        if statistics is None:
            statistics = scene_statistics(small, 16 // FACTOR)
        statistics = statistics.float()
        judged = judged.float().repeat_interleave(len(small) // len(judged), dim=0)
        far, r = self.maps(small, torch.cat([statistics, judged], 1), dtype).chunk(2, dim=1)
        t = T_MIN + (1 - T_MIN) * torch.sigmoid(far + 2.0)
        if 'dehaze' not in self.stages:
            t = torch.ones_like(t)
        r = r.tanh() if 'brighten' in self.stages else torch.zeros_like(r)
        air = torch.sigmoid(self.air(statistics) + 1.4)
        light = (air * luma(air)).sum(dim=1).view(-1, 1, 1, 1)
        keep = debug or torch.is_grad_enabled()

        def brighten(image, scale, r):
            dark = convolve(seen(image), self.luma.float())
            exposed = toned(torch.minimum(dark, brightest), tone)
            dehazed, bright = self._pixelwise(exposed, light, scale.float(), r.float())
            gain = bright.mean(1, keepdim=True) / dehazed.mean(1, keepdim=True).clamp(min=0.02)
            lit = exposed.clamp(0, 1).mean(1, keepdim=True)
            return dark, bright, bright, bright - dark, gain, lit, exposed, dehazed
        with torch.autocast(image.device.type, enabled=False):
            there = self._seen(judged)
            told = about(statistics, there)
            tone = self._tone(told, there).detach()          # learns from whole frames alone
            if 'expose' not in self.stages:
                tone = torch.zeros_like(tone)
            brightest = top(tone)
            maps = torch.cat([1 / t, r], dim=1)
            # a convolution each: an engine splits in a pass of its own
            near = [over_cells(maps, kernel) for kernel in self.spread.chunk(2)]
            dark, bright, base, lift, gain, lit, *between = banded(brighten, image, *near, dtypes=(
                torch.float32, torch.float32, dtype, dtype, torch.float32, torch.float32,
                *([torch.float32] * 2 if keep else [])))
        tint = light - air[..., None, None]
        shift = tint * (1 / t - 1) * gain
        mean = (small * luma(small).view(3, 1, 1)).sum(1, keepdim=True)
        opened = slope(torch.minimum(mean, brightest), tone)
        gain = (gain * (1 / t + self._beside('dehaze')) * opened).clamp(0, 8)
        dry = bright
        if 'derain' in self.stages:
            rain = torch.addcmul(self.rain(base).to(dtype), base, self._beside('derain').to(dtype))
            dry = bright + rain.float() if keep else None
            base, lift = base + rain, lift + rain
        exposed, dehazed = between if keep else (None, None)
        return Enhanced(dark, exposed, dehazed, bright, dry, base, lift, gain, shift, opened,
                        t, air, told, tone, lit)

    def tone(self, statistics: torch.Tensor, judged: torch.Tensor) -> torch.Tensor:
        """Return the curve that undoes frames' exposure: statistics B x 10, severities B x 10."""
        seen = self._seen(judged)
        return self._tone(about(statistics, seen), seen)

    def _seen(self, judged: torch.Tensor) -> torch.Tensor:
        # whether what changes the light is there, of severities B x 10 to B x 4 in 0..1;
        # not how much of it: the same generator drew all the severities learnt from
        light = torch.stack([judged[:, i] for i in _LIGHT], dim=1)
        return (1.5 * light / FAINTEST - 0.5).clamp(0, 1)

    def _tone(self, told: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        return self.exposure(told, seen[:, :_EXPOSURE].amax(dim=1, keepdim=True))

    def _pixelwise(self, image: torch.Tensor, air: torch.Tensor, scale: torch.Tensor,
                   r: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        # (I - A) / t + A, in this order: where t is small, I / t would lose what A (1 - 1 / t) lost
        dehazed = torch.addcmul(air, image - air, scale)
        dehazed = _clamped(torch.addcmul(dehazed, image, self._beside('dehaze')))
        bright, rest = dehazed, 1 - r           # x + R (x^2 - x) = x (1 - R + R x), Eq. 2
        for _ in range(CURVE_STEPS):
            bright = torch.addcmul(rest, r, bright).mul_(bright)
        return dehazed, torch.addcmul(bright, dehazed, self._beside('brighten'))

    def _beside(self, stage: str) -> torch.Tensor:
        """Return 1 + w of Eq. 4, the share of a stage's input in its output; none if it is off."""
        omega = self.omega[('dehaze', 'brighten', 'derain').index(stage)]
        return _kept(omega) if stage in self.stages else torch.zeros_like(omega, dtype=torch.float)


def _clamped(x: torch.Tensor) -> torch.Tensor:
    """To 0..1; gradients pass, for a map that once drives all of a frame below 0 must come back."""
    return x + (x.clamp(0, 1) - x).detach() if torch.is_grad_enabled() else x.clamp_(0, 1)
