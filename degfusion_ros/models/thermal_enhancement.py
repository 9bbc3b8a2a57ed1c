# SPDX-License-Identifier: Apache-2.0
"""PKDM: physical pre-enhancement of the thermal image before the network proper."""

import math

import torch
from torch import nn

from degfusion_ros.models.colour import over_cells
from degfusion_ros.models.enhancement import FACTOR, FAINTEST, scene_statistics, STAGES, STATISTICS
from degfusion_ros.models.labels import THERMAL_LABELS, VISIBLE_LABELS

_LOW_CONTRAST = len(VISIBLE_LABELS) + THERMAL_LABELS.index('low_contrast')
_STRETCH = math.log(4)


class ThermalEnhancement(nn.Module):
    """
    Stretch the contrast of the frame, then sharpen by a learnable share of the Laplacian.

    I + lambda L(I) is Eq. 5. The stretch is ours: gain (1/4 to 4) and offset are read off a whole
    frame's statistics, since no crop shows how far its contrast was squeezed.
    """

    def __init__(self):
        super().__init__()
        self.stages = set(STAGES)
        self.strength = nn.Parameter(torch.zeros(()))
        self.tone = nn.Sequential(nn.Linear(STATISTICS[1], 32), nn.ReLU(), nn.Linear(32, 2))
        nn.init.zeros_(self.tone[-1].weight)
        nn.init.zeros_(self.tone[-1].bias)
        self.register_buffer('laplacian', _laplacian(), persistent=False)   # 16 x 16 x 3 x 3

    @staticmethod
    def statistics(image: torch.Tensor) -> torch.Tensor:
        """Return those of packed frames (B x 16 x h x w in 0..1) that tell their stretch, B x 4."""
        return scene_statistics(image.mean(1, keepdim=True), 16 // FACTOR)

    def stretch(self, statistics: torch.Tensor, judged: torch.Tensor) -> torch.Tensor:
        """
        Return an offset, and a gain around a frame's own mean, B x 2.

        Of frames' statistics, B x 4, and severities, B x 10: where contrast is not judged low, as
        in many a calm scene, nothing is stretched.
        """
        share = (judged[:, _LOW_CONTRAST] / FAINTEST).clamp(max=1)
        gain, offset = (self.tone(statistics.float()).tanh() * share[:, None]).unbind(dim=1)
        return torch.stack([offset, torch.exp(_STRETCH * gain)], dim=1)

    def forward(self, image: torch.Tensor, judged: torch.Tensor,
                stretch: torch.Tensor | None = None,
                statistics: torch.Tensor | None = None) -> torch.Tensor:
        """
        Enhance a packed image, B x 16 x h x w in 0..1; beyond the border its last cells repeat.

        `judged` (severities) and `stretch` (as returned by that) are one for each equal run of
        images. Without `stretch` it is read off `statistics`, B x 4, of the frames that the images
        are crops of, or off the images themselves. The mean is always the frame's: levels move,
        and what was judged a moment ago would be white or black.
        """
        if 'stretch' in self.stages:
            if stretch is None:
                own = self.statistics(image) if statistics is None else statistics
                stretch = self.stretch(own, _for_each(judged, image))
            mean = image.float().mean((1, 2, 3)) if statistics is None else statistics[:, 1].float()
            offset, gain = _for_each(stretch, image).unbind(dim=1)
            offset, gain = (x.view(-1, 1, 1, 1).to(image.dtype)
                            for x in (mean * (1 - gain) + offset, gain))
            image = torch.addcmul(offset, image, gain)
        if 'sharpen' not in self.stages:
            return image
        edges = over_cells(image, self.laplacian).to(image.dtype)
        return torch.addcmul(image, edges, self.strength.to(image.dtype))


def _for_each(told: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    return told.repeat_interleave(len(images) // len(told), dim=0)


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
