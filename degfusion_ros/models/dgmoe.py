# SPDX-License-Identifier: Apache-2.0
"""
The degradation-guided mixture-of-experts fusion network.

After Scientific Reports 10.1038/s41598-025-24436-3: PKDM, then a dual-branch U-Net of DGME blocks
with three heads. It works on the half-resolution grid (pixel-unshuffle), where the processor's
matrix units pay. Encoder blocks have one router; decoder blocks have one for each task, fusion and
restoration, over the same experts: a vector common to both tasks tells them nothing apart, and the
paper's mutual-information term would be zero. The decoder therefore runs once per wanted task.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from degfusion_ros.models.enhancement import (
    Enhanced,
    pack,
    ThermalEnhancement,
    unpack,
    VisibleEnhancement,
)
from degfusion_ros.models.experts import DGME, Folded, Router, STATE
from degfusion_ros.models.guidance import VECTOR_SIZE
from degfusion_ros.models.layers import conv_add, working

TASKS = ('fusion', 'restoration')
MULTIPLE = 16       # H and W must be multiples of it: half resolution, then three halvings
_LUMA = (0.299, 0.587, 0.114)


class Outputs(NamedTuple):
    """
    Images in about 0..1 (not clipped); None where not asked for.

    They are packed, 2x2 pixels to four channels (B x 12 or 4 x H/2 x W/2): rounding to bytes before
    `unpacked` moves a quarter of the memory.
    """

    fused: torch.Tensor | None
    visible: torch.Tensor | None
    thermal: torch.Tensor | None
    enhanced: Enhanced

    def unpacked(self, name: str) -> torch.Tensor:
        """Return an image as B x 3 or 1 x H x W."""
        return unpack(getattr(self, name))


class DgMoe(nn.Module):
    """The network; `route` judges once per degradation vector, `forward` runs every frame."""

    def __init__(self, width: int = 16, encoder_blocks: tuple[int, ...] = (1, 1, 1, 2),
                 decoder_blocks: tuple[int, ...] = (2, 1, 1, 1)):
        super().__init__()
        self.config = {'width': width, 'encoder_blocks': list(encoder_blocks),
                       'decoder_blocks': list(decoder_blocks)}
        levels = len(encoder_blocks)
        c = [width * 2 ** i for i in range(levels)]
        d = [2 * w for w in c[:-1]] + [c[-1]]
        self.enhance_visible, self.enhance_thermal = VisibleEnhancement(), ThermalEnhancement()
        self.stems = nn.ModuleList([nn.Conv2d(24, width, 3, padding=1),
                                    nn.Conv2d(4, width, 3, padding=1)])
        self.encoders = nn.ModuleList(nn.ModuleList(
            nn.ModuleList(DGME(c[i]) for _ in range(n)) for i, n in enumerate(encoder_blocks))
            for _ in range(2))
        # The text's pixel-unshuffle of halved channels and its inverse, as one strided convolution
        # each: a superset of them in a fraction of the time.
        self.downs = nn.ModuleList(nn.ModuleList(nn.Conv2d(w, 2 * w, 2, stride=2) for w in c[:-1])
                                   for _ in range(2))
        self.joint = nn.Conv2d(2 * c[-1], d[-1], 1)
        self.decoder = nn.ModuleList(nn.ModuleList(DGME(d[i]) for _ in range(n))
                                     for i, n in enumerate(decoder_blocks))
        self.ups = nn.ModuleList(nn.ConvTranspose2d(d[i + 1], d[i], 2, stride=2)
                                 for i in range(levels - 1))
        # per 2x2 pixels: fusion 4 weights + 12 colours; restoration 12 colours + 4 temperatures
        self.heads = nn.ModuleDict({t: nn.Conv2d(d[0], 16, 3, padding=1) for t in TASKS})
        for head in self.heads.values():
            nn.init.normal_(head.weight, std=1e-3)
            nn.init.zeros_(head.bias)
        self.state = nn.Sequential(nn.Linear(VECTOR_SIZE, STATE), nn.Tanh())
        self.routers = nn.ModuleDict({
            'encoder': nn.ModuleList(Router(VECTOR_SIZE) for _ in range(2 * sum(encoder_blocks))),
            **{t: nn.ModuleList(Router(VECTOR_SIZE) for _ in range(sum(decoder_blocks)))
               for t in TASKS}})

    def blocks(self, part: str) -> list[DGME]:
        """DGME blocks that the routers of `part` ('encoder' or a task) steer, in their order."""
        levels = (level for branch in self.encoders for level in branch) \
            if part == 'encoder' else self.decoder
        return [block for level in levels for block in level]

    def route(self, vectors: torch.Tensor, tasks: tuple[str, ...] = TASKS,
              ) -> dict[str, list[list[Folded]]]:
        """Fold all blocks for `vectors` (frames x 512): part -> block -> frame."""
        state = self.state(vectors.float())
        return {part: [[block.fold(gates, s) for gates, s in zip(router(vectors), state)]
                       for block, router in zip(self.blocks(part), self.routers[part])]
                for part in ('encoder', *tasks)}

    def forward(self, visible: torch.Tensor, thermal: torch.Tensor,
                routes: dict[str, list[list[Folded]]], outputs: tuple[str, ...] = ('fused',),
                statistics: torch.Tensor | None = None) -> Outputs:
        """
        Fuse B x 3 x H x W and B x 1 x H x W, both 0..1, with the folded experts of `route`.

        H and W are multiples of 16. The B images fall into equal runs, one per routed vector. Crops
        need the `statistics` of their frames (enhancement.scene_statistics).
        """
        enhanced = self.enhance_visible(visible, statistics)
        base, sharp = enhanced.derained, pack(self.enhance_thermal(thermal))
        skips = self._encode(((enhanced.original, base), (sharp,)), iter(routes['encoder']))
        fused = restored = heat = None
        if 'fused' in outputs:
            told = self._decode(skips, 'fusion', routes)
            share, colour = told[:, :4].float().sigmoid(), told[:, 4:]  # of the thermal luminance
            shift = share * (sharp - _luminance(base))              # B x 4: one for each pixel
            fused = (base + colour).unflatten(1, (3, 4)) + shift.unsqueeze(1)
            fused = fused.flatten(1, 2)
        if 'visible' in outputs or 'thermal' in outputs:
            told = self._decode(skips, 'restoration', routes)
            restored, heat = base + told[:, :12], sharp + told[:, 12:]
        return Outputs(fused, restored, heat, enhanced)

    def _encode(self, images: tuple[tuple[torch.Tensor, ...], ...],
                routes: Iterator[list[Folded]]) -> list[torch.Tensor]:
        per_branch = []
        for parts, stem, levels, downs in zip(images, self.stems, self.encoders, self.downs):
            x, skips = _stem(stem, parts), []
            for i, level in enumerate(levels):
                for block in level:
                    x = block(x, next(routes))
                skips.append(x)
                if i < len(downs):
                    x = downs[i](x)
            per_branch.append(skips)
        return [torch.cat(pair, dim=1) for pair in zip(*per_branch)]     # Eq. 13

    def _decode(self, skips: list[torch.Tensor], task: str,
                routes: dict[str, list[list[Folded]]]) -> torch.Tensor:
        folded = list(routes[task])
        x = self.joint(skips[-1])
        for i in reversed(range(len(self.decoder))):
            if i < len(skips) - 1:
                x = self.ups[i](x).add_(skips[i])                        # Eq. 14
            start = sum(len(level) for level in self.decoder[:i])
            for j, block in enumerate(self.decoder[i]):
                x = block(x, folded[start + j])
        return self.heads[task](x)


def _luminance(packed: torch.Tensor) -> torch.Tensor:
    """Packed RGB, B x 12, to packed BT.601 luma, B x 4."""
    red, green, blue = packed.chunk(3, dim=1)
    return _LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue


def _stem(stem: nn.Conv2d, parts: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Convolve cat(parts, 1) without making it."""
    weights = stem.weight.split([part.shape[1] for part in parts], dim=1)
    x = None
    for part, weight in zip(parts, weights):
        part, weight, bias = working(part, weight, stem.bias)
        x = functional.conv2d(part, weight, bias, padding=1) if x is None \
            else conv_add(part, weight, None, x)
    return x
