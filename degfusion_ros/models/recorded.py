# SPDX-License-Identifier: Apache-2.0
"""
A network's frame as one recorded program.

A frame is some four hundred operators. Called one by one from Python they cost a fifth of the
frame's time on a CPU, and at each of them another thread may take Python's lock and keep it. A
program, made once for a size, is one call, during which the lock is free: compiled by OpenVINO
where that is wanted and works, else recorded as TorchScript. On a GPU it is a CUDA graph.
"""

from collections import Counter
from collections.abc import Callable

import torch
from torch.utils import _pytree as pytree

from degfusion_ros.models import tracing
from degfusion_ros.models.allocation import give_back
from degfusion_ros.models.compiled import CLOSE, Compiler
from degfusion_ros.models.graphs import cuda_graph, Static
from degfusion_ros.models.network import FusionNetwork, State

OPERATORS = 'operators'     # of a frame that is no program
KEPT = 16       # programs; the oldest gives way
MANY = 30       # frames of one size after which its program will pay
_RUNS = 3       # until the program has seen what it may rely on, and is fast

Images = tuple[torch.Tensor, ...]       # B x H x W x 3 or 1, uint8


class Recorded:
    """Runs frames by the programs that `record` made, others operator by operator."""

    def __init__(self, network: FusionNetwork, compiler: Compiler | None = None):
        self._network, self._compiler = network, compiler
        # what made it and the program, None where none can be
        self._programs: dict[tuple, tuple[str, Callable[..., Images]] | None] = {}
        self._met: Counter[tuple] = Counter()
        self.way = OPERATORS    # the last frame's: openvino, torch, cuda_graph, OPERATORS

    def __call__(self, visible: torch.Tensor, thermal: torch.Tensor, state: State,
                 outputs: tuple[str, ...]) -> Images:
        """Return the `outputs` of a pair as bytes; images as the network takes them."""
        key = self._key(visible, thermal, state, outputs)
        found = self._programs.get(key)
        if found is None:
            self.way = OPERATORS
            if len(self._met) > KEPT:       # sizes that come and go
                self._met.clear()
            self._met[key] += 1
            return self._frame(visible, thermal, state, outputs)
        self.way, program = found
        # the program knows no autocast: it was recorded with every cast in it
        with torch.autocast(visible.device.type, enabled=False):
            return program(visible, thermal, *pytree.tree_leaves(state))

    def record(self, visible: torch.Tensor, thermal: torch.Tensor, state: State,
               outputs: tuple[str, ...]) -> bool:
        """
        Make the program for images of this size and these outputs; False where it cannot be.

        Call it under the autocast that frames run under. A program that does not give the same
        picture, the very same if torch runs it, is thrown away.
        """
        key = self._key(visible, thermal, state, outputs)
        programs = self._programs
        if key not in programs:
            program = self._made(visible, thermal, state, outputs)
            # a new dictionary: other threads may be looking something up, or forget all of it
            kept = list(self._programs.items())[-(KEPT - 1):]
            programs = self._programs = {**dict(kept), key: program}
            give_back()
        return programs[key] is not None

    def record_what_pays(self, state: State) -> None:
        """Record what MANY frames with states like this asked for, if anything; as `record`."""
        for key, count in list(self._met.items()):
            shape, kind, heat_kind, variant, outputs = key
            if count >= MANY and key not in self._programs and \
                    variant == self._network.variant(state, outputs):
                self._met.clear()
                self.record(*self._pair(shape, kind, heat_kind), state, outputs)
                return

    def forget(self) -> None:
        """Let go of all programs, and of the memory that they hold."""
        self._programs = {}
        self._met.clear()
        give_back()

    def _pair(self, shape: tuple[int, ...], *kinds: torch.dtype) -> list[torch.Tensor]:
        # as cameras give it, of any content: what is fused now may be of another size
        device = next(self._network.parameters()).device
        b, _, h, w = shape
        noise = [torch.rand(b, h, w, c, device=device) for c in (3, 1)]
        return [(x if kind.is_floating_point else x * 255).to(kind).permute(0, 3, 1, 2)
                for x, kind in zip(noise, kinds)]

    def _made(self, visible: torch.Tensor, thermal: torch.Tensor, state: State,
              outputs: tuple[str, ...]) -> tuple[str, Callable[..., Images]] | None:
        leaves, structure = pytree.tree_flatten(state)
        # a second pair: a program may give the first one's picture for ever
        pairs = (visible, thermal), (visible.flip(3), thermal.flip(3))
        wanted = [self._frame(*pair, state, outputs) for pair in pairs]

        def frame(visible, thermal, *leaves):
            return self._frame(visible, thermal, pytree.tree_unflatten(leaves, structure), outputs)

        def graph():
            return Static(cuda_graph(frame), (visible, thermal, *leaves))

        def traced():
            return tracing.traced(frame, visible, thermal, *leaves)

        def compiled():
            return self._compiler(visible, thermal, state, outputs)
        ways = {'cuda_graph': graph} if visible.is_cuda else {
            **({'openvino': compiled} if self._compiler else {}), 'torch': traced}
        for way, make in ways.items():
            try:
                program = make()
                with torch.autocast(visible.device.type, enabled=False):
                    for _ in range(_RUNS):
                        found = [program(*pair, *leaves) for pair in pairs]
            except Exception:   # it lacks an operator, or room: engines have errors of all kinds
                continue
            if all(_same(a, b, make is compiled) for one, other in zip(found, wanted)
                   for a, b in zip(one, other, strict=True)):
                return way, program
        return None

    def _key(self, visible: torch.Tensor, thermal: torch.Tensor, state: State,
             outputs: tuple[str, ...]) -> tuple:
        return (tuple(visible.shape), visible.dtype, thermal.dtype,
                self._network.variant(state, outputs), outputs)

    def _frame(self, visible: torch.Tensor, thermal: torch.Tensor, state: State,
               outputs: tuple[str, ...]) -> Images:
        made = self._network(visible, thermal, state, outputs)
        return tuple(made.bytes(name).contiguous() for name in outputs)


def _same(found: torch.Tensor, wanted: torch.Tensor, nearly: bool) -> bool:
    """Tell whether two pictures are equal; `nearly`: but for roundings."""
    if not nearly or found.shape != wanted.shape:
        return torch.equal(found, wanted)
    return float((found.float() - wanted.float()).abs().mean()) <= CLOSE
