# SPDX-License-Identifier: Apache-2.0
"""
A second look at a restored image, as Restormer's refinement stage: ours, not the papers'.

Only who asks for the restored image pays for it, so it may do what every fused frame has no time
for: it works at half the resolution, four times as fine as the network's cells, where a streak of
rain is told from the leaf beside it, and it sees the picture made so far beside the camera's own.
"""

import torch
from torch import nn

from degfusion_ros.models.blocks import ConvBlock
from degfusion_ros.models.layers import conv_add, Doubling, working

_DOWN, _UP = (1, 2, 2), (2, 1)      # blocks of a level; the last number for all coarser ones
_TELL = 64
_SIDE = 4                           # pixels of a cell


class Refinement(nn.Module):
    """
    A plain U-Net over half cells, cells and coarser levels, of so many `widths`.

    `pictures` is how many packed luminances it sees, `features` the channels of what the network
    knows of every cell; `told`, numbers about whole frames, shift every level's channels. Its last
    convolution starts near 0: at first nothing is refined.
    """

    def __init__(self, pictures: int, features: int, widths: tuple[int, ...], outputs: int,
                 told: int):
        super().__init__()
        self.widths = tuple(widths)
        self.open = Doubling(pictures * _SIDE ** 2, widths[0])
        _halve_cells(self.open, pictures)
        self.join = nn.Conv2d(features, widths[1], 1)
        self.told = nn.Sequential(nn.Linear(told, _TELL), nn.ReLU(), nn.Linear(_TELL, sum(widths)))
        nn.init.zeros_(self.told[-1].weight)
        nn.init.zeros_(self.told[-1].bias)
        pairs = list(zip(widths, widths[1:]))
        self.encoder = nn.ModuleList(_blocks(c, _DOWN, i) for i, c in enumerate(widths))
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairs)
        self.ups = nn.ModuleList(Doubling(b, a) for a, b in pairs)
        self.skips = nn.ModuleList(nn.Conv2d(a, a, 1) for a, _ in pairs)
        self.decoder = nn.ModuleList(_blocks(a, _UP, i) for i, (a, _) in enumerate(pairs))
        self.head = nn.Conv2d(widths[0], outputs, 2, stride=2)
        nn.init.normal_(self.head.weight, std=1e-3)
        nn.init.zeros_(self.head.bias)

    def at(self, dtype: torch.dtype) -> None:
        """Cast the convolutions; what is told stays in float32."""
        self.to(dtype)
        self.told.float()

    def forward(self, pictures: torch.Tensor, features: torch.Tensor,
                told: torch.Tensor) -> torch.Tensor:
        """
        Return B x outputs x h x w of cells' pictures and features, of the same h and w.

        B x 16 pictures x h x w, B x features x h x w and B x told; h and w are multiples of
        2 ^ (levels - 2).
        """
        shifts = self.told(told.float())[..., None, None].split(self.widths, dim=1)
        x, levels = self.open(pictures), []
        for i, (blocks, shift) in enumerate(zip(self.encoder, shifts)):
            x = x + shift.to(x.dtype)
            if i == 1:
                known, weight, bias, x = working(features, self.join.weight, self.join.bias, x)
                x = conv_add(known, weight, bias, x)
            x = blocks(x)
            if i < len(self.downs):
                levels.append(x)
                x = self.downs[i](x)
        for i in reversed(range(len(levels))):
            skip = self.skips[i]
            seen, weight, bias, x = working(levels[i], skip.weight, skip.bias, self.ups[i](x))
            x = self.decoder[i](conv_add(seen, weight, bias, x))
        return self.head(x)


def _blocks(channels: int, counts: tuple[int, ...], level: int) -> nn.Sequential:
    return nn.Sequential(*(ConvBlock(channels) for _ in range(counts[min(level, len(counts) - 1)])))


@torch.no_grad()
def _halve_cells(layer: Doubling, pictures: int) -> None:
    """Let the first channels be the pixels of each half cell; from there it may learn others."""
    half = _SIDE // 2
    layer.weight.mul_(0.1)
    for i in range(pictures):
        for y in range(_SIDE):
            for x in range(_SIDE):
                out = (i * half + y % half) * half + x % half
                if out < layer.weight.shape[1]:
                    layer.weight[(i * _SIDE + y) * _SIDE + x, out, y // half, x // half] = 1
