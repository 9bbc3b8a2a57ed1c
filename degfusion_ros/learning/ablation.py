# SPDX-License-Identifier: Apache-2.0
"""
A trained network with parts switched off, and which experts it picks.

This tells what the parts of one checkpoint do. The papers train a network anew without each part,
which tells what it could have learnt without: use `train` for that.
"""

from collections.abc import Iterable
import copy
from functools import partial

import numpy as np
import torch

from degfusion_ros.models.dgmoe import DgMoe, PARTS
from degfusion_ros.models.experts import DGME, EXPERTS, Gates
from degfusion_ros.models.network import FusionNetwork, OUTPUTS, Outputs


class Ablated(FusionNetwork):
    """
    A copy of `network` with switches, behind the same `steer` and `forward`; float32 alone.

    `pkdm`: pre-enhancement of both images. `experts`: the routed experts of every block, beside
    the common one. `guided`: the judged vector steers, else a neutral one (zeros, as before a
    first judgement). `deraining`: the network of its own for rain alone. `folded`: the experts as
    one convolution pair, else one by one as the paper writes them; routed, experts cannot be
    switched off.
    """

    def __init__(self, network: DgMoe, pkdm: bool = True, experts: bool = True,
                 guided: bool = True, deraining: bool = True, folded: bool = True):
        super().__init__()
        self.network = copy.deepcopy(network)
        self.kind, self.multiple, self.config = network.kind, network.multiple, network.config
        self.experts, self.guided, self.folded = experts, guided, folded
        if not pkdm:
            for stage in (self.network.enhance_visible, self.network.enhance_thermal):
                stage.stages = set()
        if not deraining:
            self.network.deraining = None
        if not folded:
            for block in self.network.modules():
                if isinstance(block, DGME):
                    block.forward = partial(_routed, block)

    def decide(self, gate: torch.Tensor, dtype: torch.dtype) -> dict[str, list]:
        """Choose the experts for one vector (1 x 512), folded or to be run one by one."""
        vector = self._told(gate)
        if self.folded:
            return self.network.route(vector, self.experts)
        state = self.network.state(vector)
        routes = {part: [(router(vector), state, task) for router in self.network.routers[part]]
                  for part, task in PARTS.items()}
        return {'judged': self.network.judged(vector), **routes}

    def _told(self, gate: torch.Tensor) -> torch.Tensor:
        return gate.float() if self.guided else torch.zeros_like(gate, dtype=torch.float32)

    def dries(self, gate: torch.Tensor, already: bool = False) -> bool:
        """Tell whether the derained picture is to be restored, as the network does."""
        return self.network.dries(self._told(gate), already)

    def dried(self, visible: torch.Tensor) -> torch.Tensor:
        """Return the derained picture, as the network does."""
        return self.network.dried(visible)

    def forward(self, visible: torch.Tensor, thermal: torch.Tensor, state: dict[str, list],
                outputs: tuple[str, ...] = ('fused',)) -> Outputs:
        """Fuse as the network does."""
        return self.network(visible, thermal, state, outputs)


def variants(network: DgMoe) -> dict[str, Ablated]:
    """Return the network whole and with each part that it has switched off, by name."""
    dry = {} if network.deraining is None else \
        {'without_deraining': Ablated(network, deraining=False)}
    return {'full': Ablated(network), 'without_pkdm': Ablated(network, pkdm=False),
            'without_dgme': Ablated(network, experts=False),
            'without_guidance': Ablated(network, guided=False), **dry,
            'routed': Ablated(network, folded=False)}


def layers(network: DgMoe) -> list[str]:
    """Name the routers, in the order of `activations`."""
    return [f'{part} {i + 1}' for part in PARTS for i in range(len(network.routers[part]))]


def activations(network: DgMoe, vectors: Iterable[np.ndarray]) -> np.ndarray:
    """
    Return how strongly every router picks every expert, layers x experts, 0..1.

    The mean weight of its gates over `vectors` (d_deg, float32 of 512 each); rows sum to 1.
    """
    vectors = torch.from_numpy(np.stack(list(vectors))).float()
    rows = []
    with torch.inference_mode():
        for part in PARTS:
            for router in network.routers[part]:
                gates = router(vectors)
                shares = torch.zeros(len(vectors), EXPERTS).scatter_(1, gates.index, gates.weight)
                rows.append(shares.mean(dim=0))
    return torch.stack(rows).numpy()


def largest_difference(network: DgMoe, vector: np.ndarray, visible: np.ndarray,
                       thermal: np.ndarray) -> float:
    """
    Return the largest difference of routed and folded form over all outputs of one pair, 0..1.

    Images are uint8 HxWx3 RGB and HxW, cropped here to the network's multiple.
    """
    h, w = (n // network.multiple * network.multiple for n in thermal.shape)
    colour = torch.from_numpy(visible[:h, :w]).permute(2, 0, 1)[None].float() / 255
    heat = torch.from_numpy(thermal[:h, :w])[None, None].float() / 255
    told = torch.from_numpy(vector)[None]
    with torch.inference_mode():
        one, other = (form(colour, heat, form.steer(told, None, None, torch.float32), OUTPUTS)
                      for form in (Ablated(network), Ablated(network, folded=False)))
        return max(float((one.unpacked(name) - other.unpacked(name)).abs().max())
                   for name in OUTPUTS)


def _routed(block: DGME, x: torch.Tensor, told: tuple[Gates, torch.Tensor, int]) -> torch.Tensor:
    return block.routed(x, *told)
