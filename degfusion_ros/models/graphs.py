# SPDX-License-Identifier: Apache-2.0
"""A recorded frame on a GPU: a CUDA graph over buffers that stay where they are."""

from collections.abc import Callable
import threading

import torch

from degfusion_ros.models.transfers import URGENT

Tensors = tuple[torch.Tensor, ...]
# Takes the buffers; returns what runs the program over them, and the buffers that it fills.
Capture = Callable[[list[torch.Tensor]], tuple[Callable[[], None], Tensors]]
WARM_UP = 3     # runs before a capture, in which libraries choose and allocate


class Static:
    """
    A program over fixed buffers, called as a function.

    `images` leading inputs are copied in at every call, the others (what steers) only when other
    tensors are given: a refresh swaps them in place, and the program stays valid.
    """

    def __init__(self, capture: Capture, inputs: Tensors, images: int = 2):
        self._buffers = [x.clone() for x in inputs]
        self._images, self._state = images, inputs[images:]
        self._replay, self._outputs = capture(self._buffers)
        self._running = threading.Lock()

    def __call__(self, *inputs: torch.Tensor) -> Tensors:
        """Return the program's outputs for these inputs, as tensors of their own."""
        state = inputs[self._images:]
        with self._running:     # one set of buffers
            swapped = any(new is not old for new, old in zip(state, self._state))
            for buffer, x in zip(self._buffers, inputs if swapped else inputs[:self._images]):
                buffer.copy_(x)
            self._state = state
            self._replay()
            return tuple(x.clone() for x in self._outputs)


def cuda_graph(function: Callable[..., Tensors]) -> Capture:
    """Return a capture of `function` as a CUDA graph; other threads' work does not disturb it."""
    def capture(buffers: list[torch.Tensor]) -> tuple[Callable[[], None], Tensors]:
        # else the first GPU's stream is captured, on which nothing of another's happens
        with torch.cuda.device(buffers[0].device):
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(WARM_UP):
                    function(*buffers)
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            urgent = torch.cuda.Stream(priority=URGENT)     # what is captured keeps its priority
            with torch.cuda.graph(graph, stream=urgent, capture_error_mode='thread_local'):
                outputs = function(*buffers)
        return graph.replay, outputs
    return capture
