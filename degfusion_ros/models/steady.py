# SPDX-License-Identifier: Apache-2.0
"""
A first channel of 1 everywhere, on all levels but the coarsest, that the mixtures' biases ride on.

What steers are inputs of a compiled frame, and an engine fuses no bias that is one: of each it
makes a pass over the picture, two a block. In a kernel, on a channel of 1, it costs nothing (see
experts.Steady).
"""

import torch
from torch import nn


@torch.no_grad()
def hold(network: nn.Module) -> None:
    """Make a dgmoe's first channels 1, whatever its weights were, and let no gradient change it."""
    finest = len(network.downs)
    _set(network.stem, 1)
    for down in network.downs[:-1]:
        _set(down, 1)
    for level in network.plain[:finest]:
        for block in level:
            _set(block.second, 0)
    for way, skips in network.skips.items():
        for up in network.ups[way]:
            _pin(up.weight, (slice(None), 0), 0)
            _pin(up.bias, 0, 0)
        for n, levels in enumerate(skips):
            for skip in levels[:finest]:
                _set(skip, 1 if n == 0 else 0)


def _set(conv: nn.Conv2d, value: float) -> None:
    """Let its first output be `value`."""
    _pin(conv.weight, 0, 0)
    if conv.bias is not None:
        _pin(conv.bias, 0, value)


def _pin(parameter: nn.Parameter, place: object, value: float) -> None:
    parameter[place] = value

    def still(gradient: torch.Tensor) -> torch.Tensor:
        gradient = gradient.clone()
        gradient[place] = 0
        return gradient
    if not getattr(parameter, 'pinned', False):
        parameter.pinned = True
        parameter.register_hook(still)
