# SPDX-License-Identifier: Apache-2.0
"""
TG-ECNet: task-gated multi-expert collaboration for degraded multi-modal fusion (ICML 2025).

Stage one restores visible and thermal luminance through one network whose experts are gated by what
is wrong with the image. Stage two, stage one frozen, merges both modalities' features on every
level (alpha F_vis + beta F_ir), passes them through fusion-gated experts and a decoder of its own,
and adds theta and gamma times the restored images. Beyond the paper: colour is the chroma of the
degraded image, which a small head of stage one corrects (the public code takes the clean image's,
which no camera delivers); stage two uses the experts before level 1; its decoder sees both restored
images before its refinement.

`Size` tells the published size, gated per pixel, from the compact one, gated per image on a
pixel-unshuffled grid: the processor's matrix units want many channels and few pixels.
"""

from dataclasses import asdict
from typing import NamedTuple

import torch
from torch import nn
from torch.utils import _pytree as pytree

from degfusion_ros.imaging.views import guidance_view
from degfusion_ros.models.layers import working_dtype
from degfusion_ros.models.network import FusionNetwork, Outputs
from degfusion_ros.models.packing import Image, pack
from degfusion_ros.models.tg_colour import join, split
from degfusion_ros.models.tg_experts import Gated
from degfusion_ros.models.tg_prompts import Prompts
from degfusion_ros.models.tg_unet import Decoder, Encoder, mixed, Size, Steering
from degfusion_ros.models.tone import Tone, toned

# What the prompts of F frames decide, tensors alone. 'restoring' and 'fusing' steer the experts of
# each level, see Experts.forward; 'tone' is 2F x TONE where there is one. Of 2F, and of 2B images
# below, the visible ones come first, then the thermal ones.
State = dict[str, Steering | torch.Tensor]


class Restored(NamedTuple):
    """Results of stage one, packed."""

    luminance: torch.Tensor                 # 2B x f^2 x H/f x W/f
    chroma: torch.Tensor                    # B x 2f^2 x H/f x W/f
    features: list[torch.Tensor]            # of every level of the encoder, 2B
    gates: list[Gated]                      # of tokens; empty where gates are per image


class Restorer(nn.Module):
    """Stage one."""

    def __init__(self, size: Size):
        super().__init__()
        pixels, wide = size.factor ** 2, size.decoder_widths[0]
        self.prompts = Prompts(size.words, size.prompt)
        self.tone = Tone(size.prompt) if size.tone else None
        self.encoder = Encoder(size, 2 * pixels if size.tone else pixels)
        self.decoder = Decoder(size)
        self.head = _small(nn.Conv2d(wide, pixels, 3, padding=1))
        self.colour = nn.Sequential(
            nn.Conv2d(wide + 2 * pixels, wide // 2, 3, padding=1), nn.ReLU(inplace=True),
            _small(nn.Conv2d(wide // 2, 2 * pixels, 3, padding=1)))

    def forward(self, light: torch.Tensor, chroma: torch.Tensor, state: State) -> Restored:
        """Restore luminance (2B, visible then thermal) and the visible chroma (B), all packed."""
        base, tone = light, None
        x = light
        if self.tone is not None:
            tone = state['tone'].repeat_interleave(len(light) // len(state['tone']), dim=0)
            base = toned(light, tone)
            x = torch.cat([light, base], dim=1)
        gates: list[Gated] = []
        features = self.encoder(x.to(working_dtype(x)), _for_images(state['restoring'], len(light)),
                                gates)
        decoded = self.decoder(features)
        count = len(chroma)
        if tone is not None:
            chroma = chroma * (1 + tone[:count, 4, None, None, None])
        told = self.colour(torch.cat([decoded[:count], chroma.to(decoded.dtype)], dim=1))
        return Restored(base + self.head(decoded), chroma + told, features, gates)


class Fusion(nn.Module):
    """Stage two."""

    def __init__(self, size: Size):
        super().__init__()
        pixels, wide = size.factor ** 2, size.decoder_widths[0]
        self.alpha, self.beta = (nn.ParameterList(
            nn.Parameter(torch.full((w, 1, 1), 0.5)) for w in size.widths) for _ in range(2))
        # fusion-aware gates read both images' prompts
        self.mixtures = nn.ModuleList(size.mixture(i, 2 * size.prompt)
                                      for i in range(size.fusion_levels))
        self.decoder = Decoder(size)
        self.hint = nn.Conv2d(2 * pixels, wide, 3, padding=1)
        self.head = _small(nn.Conv2d(wide, pixels, 3, padding=1))
        self.theta, self.gamma = (nn.Parameter(torch.tensor(0.5)) for _ in range(2))

    def forward(self, restored: Restored, state: State) -> tuple[torch.Tensor, list[Gated]]:
        """Fuse; returns the packed luminance, B, and the gates of tokens."""
        gates: list[Gated] = []
        visible, thermal = restored.luminance.chunk(2)
        steering = _for_images(state['fusing'], len(visible))
        merged = []
        for i, both in enumerate(restored.features):
            one, other = both.chunk(2)
            alpha, beta = (p[i].to(one.dtype) for p in (self.alpha, self.beta))
            x = torch.addcmul(alpha * one, beta, other)
            merged.append(mixed(self.mixtures, i, x, steering, gates))
        hint = self.hint(torch.cat([visible, thermal], dim=1))
        told = self.head(self.decoder(merged, hint))
        return told + self.theta * visible + self.gamma * thermal, gates


class TgEcnet(FusionNetwork):
    """Both stages; `steer` now and then, `forward` every frame."""

    kind = 'tg_ecnet'

    def __init__(self, **size):
        super().__init__()
        self.size = Size(**size)
        self.config = asdict(self.size)
        self.factor = self.size.factor
        self.multiple = self.factor * 2 ** (len(self.size.widths) - 1)
        self.restorer, self.fusion = Restorer(self.size), Fusion(self.size)

    def at(self, dtype: torch.dtype) -> 'TgEcnet':
        """Cast the convolutions of every frame; gates, prompts and tone stay exact."""
        restorer = self.restorer
        for part in (restorer.encoder, restorer.decoder, restorer.head, restorer.colour,
                     self.fusion):
            for module in part.modules():
                if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                    module.to(dtype)
        return self

    def prompt(self, views: torch.Tensor) -> torch.Tensor:
        """Judge uint8 views, F x 2 x 3 x 224 x 224 (visible, thermal), to prompts, 2F x P."""
        return self.restorer.prompts(views.transpose(0, 1).flatten(0, 1))

    def steering(self, prompts: torch.Tensor, fusing: bool = True,
                 ) -> tuple[State, list[list[Gated]]]:
        """
        Decide for F frames by their `prompts` (2F x P, see `prompt`).

        Also returns the image gates of both stages, by level. Without `fusing` for stage one alone.
        """
        state: State = {} if self.restorer.tone is None else {'tone': self.restorer.tone(prompts)}
        gates = []
        for name, mixtures, told in (
                ('restoring', self.restorer.encoder.mixtures, prompts),
                ('fusing', self.fusion.mixtures, torch.cat(prompts.chunk(2), dim=1))):
            if name == 'fusing' and not fusing:
                continue
            if self.size.gate == 'pixel':
                state[name] = [told] * len(mixtures)
                continue
            gates.append([experts.gates(told) for experts in mixtures])
            state[name] = [[experts.fold(weights) for weights in gated.weights]
                           for experts, gated in zip(mixtures, gates[-1])]
        return state, gates

    def gate(self, vector: torch.Tensor, visible: torch.Tensor | None,
             thermal: torch.Tensor | None) -> torch.Tensor:
        """
        Judge a pair (1 x 3 and 1 x 1 x H x W, uint8 or 0..1): its prompts, 2 x P.

        They take the place of the degradation `vector`, which TG-ECNet doesn't read. Without a
        pair grey images are judged.
        """
        views = torch.stack([_view(x) for x in (visible, thermal)])[None].to(vector.device)
        return self.prompt(views)

    def decide(self, gate: torch.Tensor, dtype: torch.dtype) -> State:
        """Fold the experts that the prompts of one pair choose."""
        state, _ = self.steering(gate)
        return {name: part if name == 'tone' else pytree.tree_map(lambda t: _static(t, dtype), part)
                for name, part in state.items()}

    def restore(self, visible: Image, thermal: Image, state: State) -> Restored:
        """Run stage one on B x 3 x H x W and B x 1 x H x W, uint8 or 0..1; packed or not."""
        colours, heat = (_packed(x, self.size.factor) for x in (visible, thermal))
        light, chroma = split(colours)
        return self.restorer(torch.cat([light, heat]), chroma, state)

    def forward(self, visible: Image, thermal: Image, state: State,
                outputs: tuple[str, ...] = ('fused',)) -> Outputs:
        """
        Restore and fuse B x 3 x H x W and B x 1 x H x W, uint8 or 0..1.

        H and W are multiples of `multiple`; the B images fall into equal runs, one per frame of the
        state.
        """
        restored = self.restore(visible, thermal, state)
        light, heat = restored.luminance.chunk(2)
        fused = self.fusion(restored, state)[0] if 'fused' in outputs else None
        return Outputs(join(fused, restored.chroma) if 'fused' in outputs else None,
                       join(light, restored.chroma) if 'visible' in outputs else None,
                       heat if 'thermal' in outputs else None, self.size.factor)


def _small(conv: nn.Conv2d) -> nn.Conv2d:
    nn.init.normal_(conv.weight, std=1e-3)      # a fresh head changes nothing
    nn.init.zeros_(conv.bias)
    return conv


def _for_images(steering: Steering, count: int) -> Steering:
    """Prompts of frames become prompts of `count` images; folds know their runs."""
    return [level if isinstance(level, list)
            else level.repeat_interleave(count // len(level), dim=0) for level in steering]


def _packed(image: Image, factor: int) -> torch.Tensor:
    packed = pack(image, factor)
    return packed.float().mul(1 / 255) if packed.dtype == torch.uint8 else packed.float()


def _view(image: torch.Tensor | None) -> torch.Tensor:
    if image is None:
        return torch.full((3, 224, 224), 128, dtype=torch.uint8)
    if image.dtype != torch.uint8:
        image = (image.float().clamp(0, 1) * 255).round().to(torch.uint8)
    pixels = image[0].permute(1, 2, 0).cpu().contiguous().numpy()
    view = guidance_view(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    return torch.from_numpy(view).permute(2, 0, 1)


def _static(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    layout = torch.channels_last if tensor.dim() == 4 else torch.preserve_format
    return tensor.to(dtype, memory_format=layout)
