# SPDX-License-Identifier: Apache-2.0
"""
The degradation-guided mixture-of-experts fusion network.

After Scientific Reports 10.1038/s41598-025-24436-3: PKDM, then a dual-branch U-Net of DGME blocks
with three heads. It works on cells of 4x4 pixels (pixel-unshuffle), where few and wide channels
keep the processor's matrix units busy and its caches sufficient. Encoder blocks have one router;
decoder blocks have one for each task, fusion and restoration, over the same experts: a vector
common to both tasks tells them nothing apart, and the paper's mutual-information term would be
zero. The decoder therefore runs once per wanted task.
"""

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional

from degfusion_ros.models.colour import Colour
from degfusion_ros.models.enhancement import (
    Enhanced,
    FACTOR,
    STATISTICS,
    ThermalEnhancement,
    VisibleEnhancement,
)
from degfusion_ros.models.experts import DGME, Folded, Router, STATE
from degfusion_ros.models.guidance import VECTOR_SIZE
from degfusion_ros.models.labels import THERMAL_LABELS, VISIBLE_LABELS
from degfusion_ros.models.layers import conv_add, Doubling, working
from degfusion_ros.models.network import FusionNetwork, Outputs, pack, Sum, unit, unpack

TASKS = ('fusion', 'restoration')
# 'encoder' or a task -> the folded blocks in their order; 'contrast' -> see DgMoe.contrast
State = dict[str, list[Folded] | torch.Tensor]
_LOW_CONTRAST = len(VISIBLE_LABELS) + THERMAL_LABELS.index('low_contrast')
_FAINTEST = 0.6     # in d_deg, where it is twice the judged severity: from 0.3 on it is seen
_RGB, _GREY = 3 * FACTOR ** 2, FACTOR ** 2


class DgMoe(FusionNetwork):
    """The network; `route` judges once per degradation vector, `forward` runs every frame."""

    kind = 'dgmoe'

    def __init__(self, visible: tuple[int, ...] = (64, 96, 128, 128),
                 thermal: tuple[int, ...] = (48, 64, 96, 96),
                 decoder: tuple[int, ...] = (64, 128, 128, 160),
                 decoder_blocks: tuple[int, ...] = (1, 2, 2, 1)):
        super().__init__()
        self.config = {'visible': list(visible), 'thermal': list(thermal),
                       'decoder': list(decoder), 'decoder_blocks': list(decoder_blocks)}
        self.multiple = FACTOR * 2 ** (len(visible) - 1)
        self.enhance_visible, self.enhance_thermal = VisibleEnhancement(), ThermalEnhancement()
        self.colour = Colour(FACTOR)
        self.stems = nn.ModuleList(nn.Conv2d(n, widths[0], 3, padding=1)
                                   for n, widths in ((_RGB, visible), (_GREY, thermal)))
        # the camera's own picture too: what PKDM clips is lost in its own
        self.glance = nn.Conv2d(_RGB, visible[0], 1, bias=False)
        self.encoders = nn.ModuleList(nn.ModuleList(DGME(c) for c in widths)
                                      for widths in (visible, thermal))
        # The text's pixel-unshuffle of halved channels and its inverse, as one strided convolution
        # each: a superset of them in a fraction of the time.
        self.downs = nn.ModuleList(nn.ModuleList(nn.Conv2d(a, b, 2, stride=2)
                                                 for a, b in zip(widths, widths[1:]))
                                   for widths in (visible, thermal))
        # Eq. 13's concatenation, narrowed: one 1x1 convolution for each branch, added
        self.skips = nn.ModuleList(nn.ModuleList(
            nn.Conv2d(c, d, 1, bias=branch == 0) for c, d in zip(widths, decoder))
            for branch, widths in enumerate((visible, thermal)))
        self.decoder = nn.ModuleList(nn.ModuleList(DGME(d, len(TASKS)) for _ in range(n))
                                     for d, n in zip(decoder, decoder_blocks))
        self.ups = nn.ModuleList(Doubling(b, a) for a, b in zip(decoder, decoder[1:]))
        # per cell: 16 weights (fusion) or temperatures (restoration), and a change of colour
        self.heads = nn.ModuleDict({t: nn.ModuleList(
            nn.Conv2d(decoder[0], n, 3, padding=1) for n in (_GREY, self.colour.told))
            for t in TASKS})
        for grey, colour in self.heads.values():
            for head in (grey, colour):
                nn.init.normal_(head.weight, std=1e-3)
                nn.init.zeros_(head.bias)
            nn.init.constant_(colour.bias[-1:], -4.0)   # at first colour stays as it is
        self.state = nn.Sequential(nn.Linear(VECTOR_SIZE, STATE), nn.Tanh())
        self.routers = nn.ModuleDict({
            'encoder': nn.ModuleList(Router(VECTOR_SIZE) for _ in (*visible, *thermal)),
            **{t: nn.ModuleList(Router(VECTOR_SIZE) for _ in range(sum(decoder_blocks)))
               for t in TASKS}})

    def blocks(self, part: str) -> list[DGME]:
        """DGME blocks that the routers of `part` ('encoder' or a task) steer, in their order."""
        return [block for level in (self.encoders if part == 'encoder' else self.decoder)
                for block in level]

    def route(self, vectors: torch.Tensor, experts: bool = True) -> State:
        """Fold all blocks for `vectors` (frames x 512); without `experts`, the common ones only."""
        state = self.state(vectors.float())
        return {'contrast': self.contrast(vectors),
                **{part: [block.fold(router(vectors), state, task, experts)
                          for block, router in zip(self.blocks(part), self.routers[part])]
                   for part, task in (('encoder', 0), *((t, i) for i, t in enumerate(TASKS)))}}

    def contrast(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return how far the thermal contrast is to be stretched, 0..1, for N vectors: N."""
        return (vectors[:, _LOW_CONTRAST].float() / _FAINTEST).clamp(0, 1)

    def decide(self, gate: torch.Tensor, dtype: torch.dtype) -> State:
        """Fold for one vector (1 x 512), cast once and not once a frame."""
        return {part: folded if part == 'contrast' else
                [Folded(*(_static(t, dtype) for t in f)) for f in folded]
                for part, folded in self.route(gate).items()}

    def at(self, dtype: torch.dtype) -> 'DgMoe':
        """Cast what runs every frame, once; what is folded stays in float32."""
        for module in (self.enhance_visible, self.enhance_thermal, self.colour, self.stems,
                       self.glance, self.downs, self.skips, self.ups, self.heads):
            module.to(dtype)
        self.enhance_visible.air.float()
        self.enhance_thermal.tone.float()
        for module in self.modules():
            if isinstance(module, DGME):
                module.settle(dtype)
        return self

    def forward(self, visible: torch.Tensor, thermal: torch.Tensor, state: State,
                outputs: tuple[str, ...] = ('fused',)) -> Outputs:
        """
        Fuse B x 3 x H x W and B x 1 x H x W with the folded experts of `steer` or `route`.

        Images are uint8, or floating point in 0..1; H and W are multiples of `multiple`. The B
        images fall into equal runs, one per routed vector.
        """
        return self.enhance_and_fuse(visible, thermal, state, outputs)[0]

    def stages(self, visible: torch.Tensor, thermal: torch.Tensor,
               state: State) -> dict[str, torch.Tensor]:
        """Return PKDM's pictures, its transmission map and its air light (a picture of it)."""
        enhanced = self.enhance_visible(pack(visible, FACTOR), debug=True)
        t = functional.interpolate(enhanced.transmission, scale_factor=FACTOR, mode='bilinear')
        return {'transmission': t, 'air_light': enhanced.air_light[..., None, None].expand(
                    -1, -1, *visible.shape[2:]),
                **{name: unpack(getattr(enhanced, name), FACTOR)
                   for name in ('dehazed', 'brightened', 'derained')},
                'sharpened': unpack(self.enhance_thermal(pack(unit(thermal), FACTOR),
                                                         torch.ones(1)), FACTOR)}

    def enhance_and_fuse(self, visible: torch.Tensor, thermal: torch.Tensor, state: State,
                         outputs: tuple[str, ...], statistics: torch.Tensor | None = None,
                         ) -> tuple[Outputs, Enhanced]:
        """As `forward`, and PKDM's pictures; `statistics` (B x 14) are those of whole frames."""
        dtype = self.stems[0].weight.dtype
        light, heat = (None, None) if statistics is None else statistics.split(STATISTICS, dim=1)
        enhanced = self.enhance_visible(pack(visible, FACTOR), light)
        sharpened = self.enhance_thermal(pack(unit(thermal), FACTOR), state['contrast'], heat)
        base, sharp = enhanced.base, sharpened.to(dtype)
        stems = [stem(image) for stem, image in zip(self.stems, (base, sharp))]
        stems[0] = conv_add(*working(enhanced.original, self.glance.weight), None, stems[0])
        skips = self._encode(stems, iter(state['encoder']))
        fused = restored = heat = None
        smoothing = self.colour.smoothing(base)
        if 'fused' in outputs:
            share, told = self._decode(skips, 'fusion', state)
            shift = share.sigmoid() * (sharp - self.colour(base))       # towards the thermal
            told = torch.cat([told[:, :_GREY] + shift, told[:, _GREY:]], dim=1)
            fused = Sum(enhanced.derained, self.colour.change(told, smoothing))
        if 'visible' in outputs or 'thermal' in outputs:
            warmth, told = self._decode(skips, 'restoration', state)
            restored = Sum(enhanced.derained, self.colour.change(told, smoothing))
            heat = Sum(sharpened, warmth)
        return Outputs(fused, restored, heat, FACTOR), enhanced

    def _encode(self, stems: list[torch.Tensor],
                folded: Iterator[Folded]) -> list[tuple[torch.Tensor, ...]]:
        per_branch = []
        for x, blocks, downs in zip(stems, self.encoders, self.downs):
            levels = []
            for i, block in enumerate(blocks):
                x = block(x, next(folded))
                levels.append(x)
                if i < len(downs):
                    x = downs[i](x)
            per_branch.append(levels)
        return list(zip(*per_branch))

    def _decode(self, levels: list[tuple[torch.Tensor, ...]], task: str,
                state: State) -> tuple[torch.Tensor, ...]:
        folded, x = list(state[task]), None
        for i in reversed(range(len(levels))):
            (one, other), (branch, second) = levels[i], (skip[i] for skip in self.skips)
            if x is None:
                x = branch(one)
            else:                                                       # Eq. 14
                x = conv_add(*working(one, branch.weight, branch.bias), self.ups[i](x))
            x = conv_add(*working(other, second.weight), None, x)
            start = sum(len(level) for level in self.decoder[:i])
            for j, block in enumerate(self.decoder[i]):
                x = block(x, folded[start + j])
        return tuple(head(x) for head in self.heads[task])


def _static(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    if tensor.dim() != 5:
        return tensor.to(dtype)
    return tensor[0].to(dtype, memory_format=torch.channels_last)[None]

