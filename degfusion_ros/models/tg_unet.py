# SPDX-License-Identifier: Apache-2.0
"""Encoder with experts before its levels, and decoder, of TG-ECNet."""

from dataclasses import asdict, dataclass

import torch
from torch import nn

from degfusion_ros.models.blocks import blocks, down, join, KINDS, up
from degfusion_ros.models.tg_experts import Experts, Folded, Gated, GATES

GATED_LEVELS = 3        # experts stand before levels 1 to 3, as published

Steering = list[list[Folded]] | list[torch.Tensor]


@dataclass(frozen=True)
class Size:
    """All that tells the paper's size from the compact one."""

    factor: int = 4                                 # pixels a side that become channels
    widths: tuple[int, ...] = (96, 96, 128, 128)    # of the encoder's levels
    decoder_widths: tuple[int, ...] = (96, 96, 128)
    kinds: tuple[str, ...] = ('conv', 'conv', 'conv', 'attention')
    encoder_blocks: tuple[int, ...] = (1, 1, 2, 2)
    decoder_blocks: tuple[int, ...] = (1, 1, 1)
    refinement: int = 1                             # more blocks on the finest level
    heads: tuple[int, ...] = (1, 2, 4, 4)
    gate: str = 'image'
    experts: int = 6
    top_k: int = 2
    expert_kernels: tuple[int, ...] = (3, 3, 1)
    expert_hidden: float = 0.5                      # times the level's width
    fusion_levels: int = GATED_LEVELS               # with experts in stage two; one is published
    words: int = 32
    prompt: int = 256
    tone: bool = True

    def __post_init__(self):
        for name, value in asdict(self).items():
            if isinstance(value, list):             # from JSON or YAML
                object.__setattr__(self, name, tuple(value))
        levels = len(self.widths)
        for name, count in {'kinds': levels, 'encoder_blocks': levels, 'heads': levels,
                            'decoder_widths': levels - 1, 'decoder_blocks': levels - 1,
                            'expert_kernels': GATED_LEVELS}.items():
            if len(getattr(self, name)) != count:
                raise ValueError(f'{name}: {count} entries are needed for {levels} levels')
        if levels <= GATED_LEVELS or self.gate not in GATES or set(self.kinds) - set(KINDS):
            raise ValueError(f'at least {GATED_LEVELS + 1} levels of kinds {KINDS}, and a gate of '
                             f'{GATES} are needed')
        if any(kind == 'conv' and w != d for kind, w, d in
               zip(self.kinds, self.widths, self.decoder_widths)):
            raise ValueError("decoder_widths: a level of kind 'conv' decodes at its own width")
        if not 1 <= self.fusion_levels <= GATED_LEVELS or not 1 <= self.top_k <= self.experts:
            raise ValueError(f'fusion_levels is 1 to {GATED_LEVELS}, top_k 1 to the experts')
        if self.gate == 'pixel' and set(self.expert_kernels) != {1}:
            raise ValueError('expert_kernels: experts of single pixels see no neighbours; give 1')

    def mixture(self, level: int, prompt: int) -> Experts:
        """Build the experts of a level."""
        width = self.widths[level]
        return Experts(width, round(width * self.expert_hidden), self.experts, self.top_k, prompt,
                       self.gate, self.expert_kernels[level])


def mixed(mixtures: nn.ModuleList, level: int, x: torch.Tensor, steering: Steering,
          found: list[Gated]) -> torch.Tensor:
    """Apply a level's experts where it has some; gates of tokens are added to `found`."""
    if level >= len(mixtures):
        return x
    x, gated = mixtures[level](x, steering[level])
    found += [gated] if gated else []
    return x


class Encoder(nn.Module):
    """Luminance, packed, to features of every level."""

    def __init__(self, size: Size, inputs: int):
        super().__init__()
        w = size.widths
        self.stem = nn.Conv2d(inputs, w[0], 3, padding=1)
        self.mixtures = nn.ModuleList(size.mixture(i, size.prompt) for i in range(GATED_LEVELS))
        self.levels = nn.ModuleList(blocks(size.kinds[i], size.encoder_blocks[i], w[i],
                                           size.heads[i]) for i in range(len(w)))
        self.downs = nn.ModuleList(down(size.kinds[i], w[i], w[i + 1]) for i in range(len(w) - 1))

    def forward(self, x: torch.Tensor, steering: Steering,
                found: list[Gated]) -> list[torch.Tensor]:
        """B x inputs x H x W to one B x widths[i] x H/2^i x W/2^i for each level."""
        x, features = self.stem(x), []
        for i, level in enumerate(self.levels):
            x = level(mixed(self.mixtures, i, x, steering, found))
            features.append(x)
            if i < len(self.downs):
                x = self.downs[i](x)
        return features


class Decoder(nn.Module):
    """Features of every level to those of the finest."""

    def __init__(self, size: Size):
        super().__init__()
        coarser = [*size.decoder_widths[1:], size.widths[-1]]
        self.ups = nn.ModuleList(up(kind, wide, w) for kind, wide, w in
                                 zip(size.kinds, coarser, size.widths))
        self.joins = nn.ModuleList(join(kind, w, d) for kind, w, d in
                                   zip(size.kinds, size.widths, size.decoder_widths))
        self.levels = nn.ModuleList(
            blocks(kind, n, d, heads) for kind, n, d, heads in
            zip(size.kinds, size.decoder_blocks, size.decoder_widths, size.heads))
        self.refinement = blocks(size.kinds[0], size.refinement, size.decoder_widths[0],
                                 size.heads[0])

    def forward(self, features: list[torch.Tensor],
                hint: torch.Tensor | None = None) -> torch.Tensor:
        """Decode; a `hint` of the finest level's shape is added before the refinement."""
        x = features[-1]
        for i in reversed(range(len(self.levels))):
            x = self.levels[i](self.joins[i](self.ups[i](x), features[i]))
        return self.refinement(x if hint is None else x + hint)
