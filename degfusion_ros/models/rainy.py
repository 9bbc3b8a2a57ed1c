# SPDX-License-Identifier: Apache-2.0
"""
What a network with a deraining network of its own does in rain.

In rain alone the derained picture nearly is the restored visible image, in the same frame. With
more at fault the picture is derained first, and judged again: rain hides what else is wrong.
"""

from collections.abc import Hashable

import torch
from torch import nn

from degfusion_ros.models.deraining import rain_alone, rain_and_more
from degfusion_ros.models.network import FusionNetwork, unit

DRY = 'dry'     # of a State: a list, empty in rain; a recorded frame keeps the structure of it


class RainyNetwork(FusionNetwork):
    """A network whose `deraining` (or None) takes rain off its restored visible image."""

    deraining: nn.Module | None

    def judged(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return the severities in N vectors, or in what `gate` made of them: N x 10, 0..1."""
        raise NotImplementedError

    def dry(self, judged: torch.Tensor) -> list:
        """Return what a State says at DRY for severities N x 10: empty if a frame is derained."""
        wet = self.deraining is not None and bool((rain_alone(judged) > 0).any())
        return [] if wet else [[]]

    def variant(self, state: dict, outputs: tuple[str, ...]) -> Hashable:
        """Tell frames that are to be derained from frames that are not."""
        return self.deraining is not None and 'visible' in outputs and not state.get(DRY)

    def complete(self, state: dict) -> dict:
        """Return a state with which frames are derained, should it come to rain."""
        return {**state, DRY: []}

    def dries(self, gate: torch.Tensor, already: bool = False) -> bool:
        """Tell whether it rains, but not alone."""
        return self.deraining is not None and \
            bool(rain_and_more(self.judged(gate), already).any())

    def dried(self, visible: torch.Tensor) -> torch.Tensor:
        """Return B x 3 x H x W, uint8, derained, in the same form."""
        image = unit(visible, self.deraining.head.weight.dtype)
        dry = unit(visible) + self.deraining(image).float()
        return dry.mul(255).round().clamp(0, 255).to(torch.uint8)
