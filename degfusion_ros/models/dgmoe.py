# SPDX-License-Identifier: Apache-2.0
"""
The degradation-guided mixture-of-experts fusion network.

After Scientific Reports 10.1038/s41598-025-24436-3: PKDM, then a dual-branch U-Net of DGME blocks
with three heads. It works on the luminance of cells of 4x4 pixels (pixel-unshuffle), where few
and wide channels keep the processor's matrix units busy and its caches sufficient; colour is
changed cell by cell. Both branches share their plain convolutions, one network for two kinds of
light; their DGME blocks have experts in common too, but a router for each branch. So have the
decoder's blocks for each task (the fused image and both restored ones): a vector common to all
tasks tells them nothing apart, and the paper's mutual-information term would be zero. The decoder
therefore runs once per wanted output.
"""

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn import functional

from degfusion_ros.models.blocks import ConvBlock, TransformerBlock
from degfusion_ros.models.colour import Colour
from degfusion_ros.models.deraining import derained, Deraining, HALF
from degfusion_ros.models.enhancement import (
    Enhanced,
    FACTOR,
    JUDGED,
    STATISTICS,
    TOLD,
    VisibleEnhancement,
)
from degfusion_ros.models.experts import DGME, Folded, Router, STATE
from degfusion_ros.models.guidance import VECTOR_SIZE
from degfusion_ros.models.heads import COLOUR, GREY, Told, told
from degfusion_ros.models.layers import conv_add, Doubling, working
from degfusion_ros.models.network import OUTPUTS, Outputs, Seen, seen, Sum, unit
from degfusion_ros.models.packing import Image, pack, unpack
from degfusion_ros.models.rainy import DRY, RainyNetwork
from degfusion_ros.models.relighting import relight
from degfusion_ros.models.steady import hold
from degfusion_ros.models.thermal_enhancement import ThermalEnhancement

BRANCHES = ('visible_encoder', 'thermal_encoder')
# part of the network -> which of the common experts of its blocks is its own
PARTS = {name: i for group in (BRANCHES, OUTPUTS) for i, name in enumerate(group)}
# a part -> the folded blocks in their order; 'judged' -> N x 10 severities; STRETCH -> N x 2 (else
# each frame's own); DRY, see models/rainy.py
State = dict[str, list[Folded] | torch.Tensor | list]
Levels = list[torch.Tensor]
STRETCH = 'stretch'
_TINT = 8           # what the heads are told of colours
_HEADS = 4          # of attention


class DgMoe(RainyNetwork):
    """The network; `route` judges once per degradation vector, `forward` runs every frame."""

    kind = 'dgmoe'
    factor = FACTOR

    def __init__(self, widths: tuple[int, ...] = (96, 96, 128, 128),
                 plain: tuple[int, ...] = (0, 1, 2, 1), decoder: tuple[int, ...] = (2, 1, 1),
                 deraining: tuple[int, ...] = (), rain: int = 32, steady: bool = False):
        super().__init__()
        self.config = {'widths': list(widths), 'plain': list(plain), 'decoder': list(decoder),
                       'deraining': list(deraining), 'rain': rain, 'steady': steady}
        self.multiple = FACTOR * 2 ** (len(widths) - 1)
        if len(plain) < len(widths):
            raise ValueError(f'plain {list(plain)}: give a number for each of {len(widths)} levels')
        if HALF * 2 ** (len(deraining) - 1) > self.multiple:
            raise ValueError(f'deraining {list(deraining)}: too many levels for widths '
                             f'{list(widths)}; give at most {len(widths) + 1}')
        self.enhance_visible, self.enhance_thermal = \
            VisibleEnhancement(rain), ThermalEnhancement()
        self.colour = Colour(FACTOR)
        # the camera's own picture too: what PKDM clips is lost in its own
        self.stem = nn.Conv2d(2 * GREY, widths[0], 3, padding=1)
        # the coarsest level is small, and what looks across it mixes all of its channels
        self.encoder = nn.ModuleList(DGME(c, len(BRANCHES), steady and i < len(widths) - 1)
                                     for i, c in enumerate(widths))
        # the coarsest level looks across the whole frame
        self.plain = nn.ModuleList(nn.Sequential(*(
            TransformerBlock(c, _HEADS) if i == len(widths) - 1 else ConvBlock(c)
            for _ in range(n))) for i, (c, n) in enumerate(zip(widths, plain)))
        # how thick the fog is, or the veil of rain, shows in the frame, not in what a cell sees
        self.whole = nn.Sequential(nn.Linear(TOLD, 64), nn.ReLU(), nn.Linear(64, widths[-1]))
        nn.init.zeros_(self.whole[-1].weight)
        nn.init.zeros_(self.whole[-1].bias)
        # The text's pixel-unshuffle of halved channels and its inverse, as one strided convolution
        # each: a superset of them in a fraction of the time.
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2)
                                   for a, b in zip(widths, widths[1:]))
        # Eq. 13's concatenation, narrowed: one 1x1 convolution for each branch, added
        self.skips = nn.ModuleDict({way: nn.ModuleList(nn.ModuleList(
            nn.Conv2d(c, c, 1, bias=not other) for c in widths) for other in range(n))
            for way, n in (('fused', 2), ('restored', 1))})
        self.ups = nn.ModuleDict({way: nn.ModuleList(
            Doubling(b, a) for a, b in zip(widths, widths[1:])) for way in self.skips})
        self.decoder = nn.ModuleList(
            nn.ModuleList(DGME(c, len(OUTPUTS), steady and i < len(widths) - 1) for _ in range(n))
            for i, (c, n) in enumerate(zip(widths, decoder)))
        # per cell: 16 weights (fusion), 16 changes of luminance, and a change of colour
        sizes = {'fused': 2 * GREY + sum(COLOUR), 'visible': GREY + sum(COLOUR),
                 'thermal': GREY}
        self.heads = nn.ModuleDict({name: nn.Conv2d(widths[0], n, 3, padding=1)
                                    for name, n in sizes.items()})
        self.tints = nn.ModuleDict({name: nn.Conv2d(_TINT, n, 1, bias=False)
                                    for name, n in sizes.items() if n > GREY})
        for head in (*self.heads.values(), *self.tints.values()):
            nn.init.normal_(head.weight, std=1e-3)
            if head.bias is not None:
                nn.init.zeros_(head.bias)
        for name in self.tints:
            nn.init.constant_(self.heads[name].bias[-4:-3], -4.0)   # at first colour stays
        self.deraining = Deraining(deraining) if deraining else None
        if steady:
            hold(self)
        self.state = nn.Sequential(nn.Linear(VECTOR_SIZE, STATE), nn.Tanh())
        self.routers = nn.ModuleDict({
            part: nn.ModuleList(Router(VECTOR_SIZE) for _ in self.blocks(part))
            for part in PARTS})

    def blocks(self, part: str) -> list[DGME]:
        """DGME blocks that the routers of `part` (a branch or an output) steer, in their order."""
        return list(self.encoder) if part in BRANCHES else \
            [block for level in self.decoder for block in level]

    def route(self, vectors: torch.Tensor, experts: bool = True,
              outputs: Iterable[str] = OUTPUTS) -> State:
        """
        Fold the blocks that `outputs` need for `vectors` (frames x 512).

        Without `experts`, the common ones only.
        """
        state = self.state(vectors.float())
        return {'judged': self.judged(vectors),
                **{part: [block.fold(router(vectors), state, task, experts)
                          for block, router in zip(self.blocks(part), self.routers[part])]
                   for part, task in PARTS.items()
                   if part in BRANCHES or part in outputs}}

    def judged(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return the severities in N vectors, whose first entries are twice them: N x 10, 0..1."""
        return (vectors[:, :JUDGED].float() / 2).clamp(0, 1)

    def gate(self, vector: torch.Tensor, visible: torch.Tensor | None,
             thermal: torch.Tensor | None) -> torch.Tensor:
        """
        Return d_deg and the thermal frame's statistics that tell its stretch, 1 x 516.

        Its brightest and darkest change from frame to frame: by its own, each would pump.
        """
        seen = vector.new_zeros(1, STATISTICS[1]) if thermal is None else \
            self.enhance_thermal.statistics(unit(pack(thermal, FACTOR))).to(vector)
        return torch.cat([vector, seen], dim=1)

    def decide(self, gate: torch.Tensor, dtype: torch.dtype) -> State:
        """Fold for one vector (of 1 x 516, see `gate`), cast once and not once a frame."""
        vector, statistics = gate.split((VECTOR_SIZE, STATISTICS[1]), dim=1)
        state = {part: folded if part == 'judged' else [one.cast(dtype) for one in folded]
                 for part, folded in self.route(vector).items()}
        return {**state, STRETCH: self.enhance_thermal.stretch(statistics, state['judged']),
                DRY: self.dry(state['judged'])}

    def at(self, dtype: torch.dtype) -> 'DgMoe':
        """Cast what runs every frame, once; what is folded stays in float32."""
        for module in (self.enhance_visible, self.enhance_thermal, self.colour, self.stem,
                       self.downs, self.skips, self.ups, self.heads, self.tints):
            module.to(dtype)
        for module in self.plain.modules():
            if isinstance(module, nn.Conv2d):
                module.to(dtype)
        if self.deraining is not None:
            self.deraining.to(dtype)
        self.enhance_visible.air.float()
        self.enhance_visible.exposure.float()
        self.enhance_thermal.tone.float()
        for module in self.modules():
            if isinstance(module, DGME):
                module.settle(dtype)
        return self

    def forward(self, visible: Image, thermal: Image, state: State,
                outputs: tuple[str, ...] = ('fused',)) -> Outputs:
        """
        Fuse B x 3 x H x W and B x 1 x H x W with the folded experts of `steer` or `route`.

        Images are uint8, or floating point in 0..1, and may be packed already; H and W are
        multiples of `multiple`. The B images fall into equal runs, one per routed vector.
        """
        return self.enhance_and_fuse(visible, thermal, state, outputs)[0]

    def stages(self, visible: torch.Tensor, thermal: torch.Tensor,
               state: State) -> dict[str, torch.Tensor]:
        """Return PKDM's pictures, its transmission map and its air light (a picture of it)."""
        original, enhanced = self._enhanced(pack(visible, FACTOR), state, None, debug=True)
        chroma = self.colour.chroma(original)
        t = enhanced.transmission
        large = functional.interpolate(t, scale_factor=FACTOR, mode='bilinear')
        found = {'transmission': large, 'air_light': enhanced.air_light[..., None, None].expand(
            -1, -1, *visible.shape[2:])}
        opened, flat = enhanced.opened, torch.zeros_like(enhanced.shift)
        bright = torch.cat([enhanced.gain, enhanced.shift], dim=1)
        for name, cells in (('exposed', torch.cat([opened, flat], dim=1)),
                            ('dehazed', bright / (enhanced.gain / opened * t)),
                            ('brightened', bright), ('derained', bright)):
            light = getattr(enhanced, name)
            found[name] = unpack(self.colour.change(light, cells, chroma), FACTOR)
        sharpened = self.enhance_thermal(unit(pack(thermal, FACTOR)), state['judged'],
                                         state.get(STRETCH))
        return {**found, 'sharpened': unpack(sharpened, FACTOR)}

    def _enhanced(self, packed: torch.Tensor, state: State, statistics: torch.Tensor | None,
                  debug: bool = False) -> tuple[Seen, Enhanced]:
        original = seen(packed, self.stem.weight.dtype)
        return original, self.enhance_visible(packed, original, state['judged'], statistics, debug)

    def enhance_and_fuse(self, visible: Image, thermal: Image, state: State,
                         outputs: tuple[str, ...], statistics: torch.Tensor | None = None,
                         ) -> tuple[Outputs, Enhanced]:
        """As `forward`, and PKDM's pictures; `statistics` (B x 14) are those of whole frames."""
        light, heat = (None, None) if statistics is None else statistics.split(STATISTICS, dim=1)
        packed, warmth = pack(visible, FACTOR), unit(pack(thermal, FACTOR))
        original, enhanced = self._enhanced(packed, state, light)
        sharpened = self.enhance_thermal(warmth, state['judged'], state.get(STRETCH), heat)
        if not outputs:
            return Outputs(None, None, None, FACTOR), enhanced
        # PKDM learns to make pictures; what the network behind it would like better are none
        pictures, enhanced = enhanced, Enhanced(*(x if x is None else x.detach() for x in enhanced))
        base, sharp = enhanced.base, sharpened.to(enhanced.base.dtype)
        halves = zip(BRANCHES, OUTPUTS[1:], (base - enhanced.lift, warmth.to(sharp.dtype)),
                     (base, sharp))
        about = self.whole(enhanced.told)[..., None, None], None
        levels = {branch: self._encode(own, better, state[branch], whole)
                  for (branch, restored, own, better), whole in zip(halves, about)
                  if {'fused', restored} & set(outputs)}
        chroma, coarse = self.colour.chroma(original), self.colour.coarse(original)
        tint = torch.cat([coarse, enhanced.shift, enhanced.gain - 1, coarse[:, :1]], dim=1)
        made = dict.fromkeys(OUTPUTS)

        def coloured(lift: torch.Tensor, change: torch.Tensor, gain: torch.Tensor,
                     share: torch.Tensor, shift: torch.Tensor) -> Sum:
            gain = enhanced.gain * torch.exp(gain.float().clamp(-3, 1))
            share = share.float().sigmoid()
            near = gain * share * coarse + shift.float() + enhanced.shift
            cells = torch.cat([gain * (1 - share) - 1, near], dim=1)
            return Sum(packed, self.colour.change(lift + change, cells, chroma))
        if 'fused' in outputs:
            weight, change, *colour = self._decode(list(levels.values()), 'fused', state, tint)
            shift = functional.hardsigmoid(weight) * (sharp - base)     # to the thermal
            made['fused'] = coloured(enhanced.lift + shift, change, *colour)
        if 'visible' in outputs:
            change, *colour = self._decode([levels[BRANCHES[0]]], 'visible', state, tint)
            # in training it would learn to make up for what is averaged
            if not self.training:
                change = change + relight(enhanced, change, colour[-1])
            made['visible'] = coloured(enhanced.lift, change, *colour)
            if self.variant(state, outputs):
                made['visible'] = derained(self.deraining, visible, made['visible'],
                                           state['judged'])
        if 'thermal' in outputs:
            change, = self._decode([levels[BRANCHES[1]]], 'thermal', state)
            made['thermal'] = Sum(sharpened, change)
        return Outputs(**made, factor=FACTOR), pictures

    def _encode(self, own: torch.Tensor, better: torch.Tensor, folded: list[Folded],
                whole: torch.Tensor | None) -> Levels:
        x, levels = self.stem(torch.cat([own, better], dim=1)), []
        for i, (block, plain, fold) in enumerate(zip(self.encoder, self.plain, folded)):
            if whole is not None and i == len(self.downs):
                x = x + whole.to(x.dtype)
            x = plain(block(x, fold))
            levels.append(x)
            if i < len(self.downs):
                x = self.downs[i](x)
        return levels

    def _decode(self, images: list[Levels], output: str, state: State,
                tint: torch.Tensor | None = None) -> Told:
        way = 'fused' if output == 'fused' else 'restored'
        skips, ups, folded, x = self.skips[way], self.ups[way], list(state[output]), None
        for i in reversed(range(len(images[0]))):
            if x is not None:                                           # Eq. 14
                x = ups[i](x)
            for levels, skip in zip(images, skips):
                x = skip[i](levels[i]) if x is None else \
                    conv_add(*working(levels[i], skip[i].weight), skip[i].bias, x)
            start = sum(len(level) for level in self.decoder[:i])
            for j, block in enumerate(self.decoder[i] if i < len(self.decoder) else ()):
                x = block(x, folded[start + j])
        head = self.heads[output]
        if output not in self.tints:
            return [head(x)]
        return told(x, head, tint, self.tints[output])
