# SPDX-License-Identifier: Apache-2.0
"""One network in three forms: folded as it runs, routed as the paper writes it, dense without."""

import copy
from typing import NamedTuple

import torch
from torch import nn

from degfusion_ros.models.dgmoe import PARTS, STRETCH
from degfusion_ros.models.experts import DGME, Folded, Router
from degfusion_ros.models.guidance import VECTOR_SIZE
from degfusion_ros.models.layers import conv_add, conv_relu
from degfusion_ros.models.rainy import DRY

FORMS = ('folded', 'routed', 'dense')


def forms_of(network: nn.Module) -> tuple[str, ...]:
    """Return the forms a network can be run in; one without DGME routes as it always does."""
    return FORMS if any(isinstance(m, DGME) for m in network.modules()) else ('routed',)


def in_form(network: nn.Module, form: str, dtype: torch.dtype) -> nn.Module:
    """
    Return a copy of a float32 network in a form, for the same calls, its mixtures in `dtype`.

    folded: as it is. routed: every frame asks the routers and runs the chosen experts one by one,
    which no recorded program can do.
    dense: the same U-Net with two plain convolutions of the fold's size in place of each mixture.
    """
    network = copy.deepcopy(network)
    if form == 'folded' or not any(isinstance(m, DGME) for m in network.modules()):
        return network
    wrap = _Routed if form == 'routed' else _Dense
    for name, block in list(network.named_modules()):
        if isinstance(block, DGME):
            network.set_submodule(name, wrap(block, dtype))
    network.recordable = form == 'dense'    # which experts run is decided in every frame
    network.decide = (lambda *given: _routes(network, *given)) if form == 'routed' else \
        (lambda gate, *given: {**_told(network, gate), **{
            part: [torch.empty(0)] * len(routers) for part, routers in network.routers.items()}})
    return network


class _Route(NamedTuple):
    """All that a mixture needs to choose its experts anew."""

    router: Router
    vector: torch.Tensor
    state: torch.Tensor
    task: int


class _Routed(nn.Module):
    def __init__(self, block: DGME, dtype: torch.dtype):
        super().__init__()
        self.block = block.to(dtype, memory_format=torch.channels_last)

    def forward(self, x: torch.Tensor, route: _Route) -> torch.Tensor:
        return self.block.routed(x, route.router(route.vector), route.state, route.task)


class _Dense(nn.Module):
    def __init__(self, block: DGME, dtype: torch.dtype):
        super().__init__()
        folded = _folded(block)
        hidden, channels = folded.first.shape[1:3]
        self.first = nn.Conv2d(channels, hidden, folded.first.shape[3:], padding='same')
        self.second = nn.Conv2d(hidden, channels, 1)
        self.to(dtype, memory_format=torch.channels_last)

    def forward(self, x: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        hidden = conv_relu(x, self.first.weight, self.first.bias)
        return conv_add(hidden, self.second.weight, self.second.bias, x)


def _folded(block: DGME) -> Folded:
    """Return what a block folds into, whatever the gates: it is the size that counts."""
    router = Router(1)
    state = torch.zeros(1, block.steer.shape[-1])
    return block.fold(router.eval()(torch.zeros(1, 1)), state)


def _routes(network: nn.Module, gate: torch.Tensor,
            dtype: torch.dtype) -> dict[str, list[_Route]]:
    vector = gate[:, :VECTOR_SIZE]
    state = network.state(vector.float()).to(dtype)
    routes = {part: [_Route(router, vector, state, PARTS[part]) for router in routers]
              for part, routers in network.routers.items()}
    return {**_told(network, gate), **routes}


def _told(network: nn.Module, gate: torch.Tensor) -> dict[str, object]:
    judged = network.judged(gate)
    return {'judged': judged, DRY: network.dry(judged),     # derained when the folded form is
            STRETCH: network.enhance_thermal.stretch(gate[:, VECTOR_SIZE:], judged)}
