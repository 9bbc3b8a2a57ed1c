# SPDX-License-Identifier: Apache-2.0
"""Functions of tensors recorded as TorchScript, which goes when nobody holds it any more."""

from collections.abc import Callable
import warnings

import torch


def traced(function: Callable[..., tuple[torch.Tensor, ...]], *inputs: torch.Tensor,
           ) -> Callable[..., tuple[torch.Tensor, ...]]:
    """
    Return what `function` does with tensors like `inputs`, as a program.

    As torch.jit.trace, which keeps what it has traced, weights and all, as long as the process
    lives: again whenever a node is configured.
    """
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')     # of sizes that become constants, as meant
        graph, _ = torch._C._create_graph_by_tracing(function, inputs, lambda _: '', True, False)
    return torch._C._create_function_from_graph('traced', graph)
