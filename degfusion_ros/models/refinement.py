# SPDX-License-Identifier: Apache-2.0
"""
A second look at a restored image, as Restormer's refinement stage: ours, not the papers'.

Only who asks for the restored image pays for it, so it may be deeper than what every fused frame
has time for. It sees the picture that the decoder made beside the camera's own, and looks around
some hundreds of pixels: veils and light lie smoothly over a frame.
"""

import torch
from torch import nn

from degfusion_ros.models.blocks import ConvBlock
from degfusion_ros.models.layers import conv_add, Doubling, working

_PER_LEVEL = 1, 1, 2, 3     # blocks on the way down, the last number for all that follow
_TELL = 64


class Refinement(nn.Module):
    """
    A plain U-Net over cells; `told`, numbers about whole frames, shift every level's channels.

    Its last convolution starts near 0: at first nothing is refined.
    """

    def __init__(self, inputs: int, widths: tuple[int, ...], outputs: int, told: int):
        super().__init__()
        self.widths = tuple(widths)
        self.stem = nn.Conv2d(inputs, widths[0], 3, padding=1)
        self.told = nn.Sequential(nn.Linear(told, _TELL), nn.ReLU(), nn.Linear(_TELL, sum(widths)))
        nn.init.zeros_(self.told[-1].weight)
        nn.init.zeros_(self.told[-1].bias)
        counts = [_PER_LEVEL[min(i, len(_PER_LEVEL) - 1)] for i in range(len(widths))]
        self.encoder = nn.ModuleList(nn.Sequential(*(ConvBlock(c) for _ in range(n)))
                                     for c, n in zip(widths, counts))
        pairs = list(zip(widths, widths[1:]))
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairs)
        self.ups = nn.ModuleList(Doubling(b, a) for a, b in pairs)
        self.skips = nn.ModuleList(nn.Conv2d(a, a, 1) for a, _ in pairs)
        self.decoder = nn.ModuleList(ConvBlock(a) for a, _ in pairs)
        self.head = nn.Conv2d(widths[0], outputs, 3, padding=1)
        nn.init.normal_(self.head.weight, std=1e-3)
        nn.init.zeros_(self.head.bias)

    def at(self, dtype: torch.dtype) -> None:
        """Cast the convolutions; what is told stays in float32."""
        self.to(dtype)
        self.told.float()

    def forward(self, x: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        """B x inputs x h x w and B x `told` to B x outputs x h x w; h, w multiples of 2^levels."""
        shifts = self.told(told.float())[..., None, None].split(self.widths, dim=1)
        x, levels = self.stem(x), []
        for i, (blocks, shift) in enumerate(zip(self.encoder, shifts)):
            x = blocks(x + shift.to(x.dtype))
            if i < len(self.downs):
                levels.append(x)
                x = self.downs[i](x)
        for i in reversed(range(len(levels))):
            skip = self.skips[i]
            seen, weight, bias, x = working(levels[i], skip.weight, skip.bias, self.ups[i](x))
            x = self.decoder[i](conv_add(seen, weight, bias, x))
        return self.head(x)
