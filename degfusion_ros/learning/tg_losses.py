# SPDX-License-Identifier: Apache-2.0
"""Both stages of TG-ECNet as training tasks: a step's forward pass and its losses."""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from degfusion_ros.learning import losses
from degfusion_ros.models.labels import LABELS
from degfusion_ros.models.packing import unpack
from degfusion_ros.models.tg_colour import join
from degfusion_ros.models.tg_ecnet import TgEcnet
from degfusion_ros.models.tg_experts import balance_loss, Gated

_LOW_LIGHT = LABELS['visible'].index('low_light')
_NIGHT = 5.0        # times artefacts of the darkest frames count more


class Restoration(nn.Module):
    """
    Stage one: the paper's restoration, gradient and balance losses.

    Ours: `chroma`, which the paper does not restore; `structure` and `fidelity`, with which L1
    keeps texture; `decibel`, to which no condition's errors are the loudest; `degradation`, by
    which the prompts learn early what the experts need.
    """

    def __init__(self, network: TgEcnet, weights: dict[str, float]):
        super().__init__()
        self.network, self.weights = network, weights
        network.fusion.requires_grad_(False)
        self.severities = nn.ModuleDict({modality: nn.Linear(network.size.prompt, len(names))
                                         for modality, names in LABELS.items()})

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return the named losses of frames x crops x 4 x H x W bytes, and their sum 'total'."""
        visible, thermal, bad_visible, bad_thermal = crops(batch)
        prompts = self.network.prompt(batch['views'])
        state, chosen = self.network.steering(prompts, fusing=False)
        restored = self.network.restore(bad_visible, bad_thermal, state)
        factor = self.network.size.factor
        with torch.autocast(visible.device.type, enabled=False):
            light, heat = unpack(restored.luminance.float(), factor).chunk(2)
            colours = unpack(join(restored.luminance.chunk(2)[0].float(),
                                  restored.chroma.float()), factor)
            pairs = ((light, losses.luminance(visible)), (heat, thermal))
            return losses.weighted({
                'restoration': lambda: sum((x - y).abs().mean() for x, y in pairs),
                'gradient': lambda: sum(gradient_distance(x, y) for x, y in pairs),
                'decibel': lambda: sum(losses.decibel_loss(x, y) for x, y in pairs),
                'structure': lambda: sum(losses.structure_loss(x, y).mean() for x, y in pairs),
                'fidelity': lambda: sum(losses.fidelity_loss(y, x).mean() for x, y in pairs),
                'chroma': lambda: (losses.chroma(colours) - losses.chroma(visible)).abs().mean(),
                'degradation': lambda: self.misjudged(prompts.float(), batch['severity']),
                'balance': lambda: balance(restored.gates or chosen[0]),
            }, self.weights)

    def misjudged(self, prompts: torch.Tensor, severity: torch.Tensor) -> torch.Tensor:
        """Cross entropy of what a linear layer reads off the prompts, and the true severities."""
        told = torch.cat([self.severities[modality](part) for modality, part in
                          zip(LABELS, prompts.chunk(2))], dim=1)
        return functional.binary_cross_entropy_with_logits(told, severity)


class FusionStage(nn.Module):
    """
    Stage two over a frozen stage one: the paper's pixel, gradient, intensity and balance losses.

    Ours: `strongest`, `structure`, `fidelity`, `warmth`, `target` of learning.losses; `artefact`,
    gradients beyond both sources'; `range`, what clipping would cut.
    """

    def __init__(self, network: TgEcnet, weights: dict[str, float]):
        super().__init__()
        self.network, self.weights = network, weights
        network.restorer.requires_grad_(False)
        network.fusion.requires_grad_(True)

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return the named losses of frames x crops x 4 x H x W bytes, and their sum 'total'."""
        visible, thermal, bad_visible, bad_thermal = crops(batch)
        state, chosen = self.network.steering(self.network.prompt(batch['views']))
        with torch.no_grad():
            restored = self.network.restore(bad_visible, bad_thermal, state)
        packed, gates = self.network.fusion(restored, state)
        factor, frames = self.network.size.factor, len(batch['views'])
        with torch.autocast(visible.device.type, enabled=False):
            fused, light = unpack(packed.float(), factor), losses.luminance(visible)
            both = (light, thermal)

            # the noise of a night is amplified with it
            dark = 1 + _NIGHT * batch['severity'][:, _LOW_LIGHT].repeat_interleave(
                len(fused) // frames)

            def worse(loss: Callable[..., torch.Tensor]) -> torch.Tensor:
                return losses.worse_told(*(loss(source, fused).view(frames, -1)
                                           for source in both))
            return losses.weighted({
                'pixel': lambda: sum((fused - x).abs().mean() for x in both),
                'gradient': lambda: sum(gradient_distance(fused, x) for x in both),
                'max': lambda: losses.max_loss(fused, *both),
                'strongest': lambda: losses.gradient_loss(fused, *both),
                'structure': lambda: worse(losses.structure_loss),
                'fidelity': lambda: worse(losses.fidelity_loss),
                'warmth': lambda: losses.warmth_loss(fused, thermal),
                'target': lambda: losses.target_loss(
                    fused, thermal, batch['warm'].flatten(0, 1).float()),
                'artefact': lambda: losses.artefact_loss(fused, *both, dark),
                'range': lambda: (fused - fused.clamp(0, 1)).abs().mean(),
                'balance': lambda: balance(gates or chosen[1]),
            }, self.weights)


def crops(batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """Return clean visible and thermal, then degraded ones, N x 3 or 1 x H x W in 0..1."""
    images = (batch[k].flatten(0, 1).float().div(255) for k in ('clean', 'degraded'))
    return tuple(part for x in images for part in (x[:, :3], x[:, 3:]))


def balance(gates: list[Gated]) -> torch.Tensor:
    """Mean balance loss of all mixtures."""
    return sum(balance_loss(gated) for gated in gates) / len(gates)


def gradient_distance(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """L1 of Sobel gradients."""
    return (losses.gradients(x) - losses.gradients(y)).abs().mean()
