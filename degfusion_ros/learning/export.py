# SPDX-License-Identifier: Apache-2.0
"""Export a network to a file for other engines, held against torch before it is handed over."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from degfusion_ros.files import write_whole
from degfusion_ros.models import engine

TOLERANCE = 1e-3


class ExportError(RuntimeError):
    """An export that does not compute what torch does; one line says by how much."""


def export_onnx(network: nn.Module, gate: torch.Tensor, images: tuple[np.ndarray, np.ndarray],
                outputs: tuple[str, ...], frozen: bool, path: Path) -> float:
    """
    Write the network to ONNX for the size of `images` (uint8 HxWx3 RGB, float32 HxW in 0..1).

    gate: what the network's `gate` returned; its state is the graph's own. Compares all outputs
    with torch, for that state and, unless it is frozen in, for another that is fed; returns the
    largest difference.
    Raises ExportError above 1e-3, and EngineError; the file is written only if all is well.
    """
    network = network.float().cpu().eval().requires_grad_(False)
    gate = gate.detach().cpu()
    state = network.decide(gate, torch.float32)
    model = engine.graph(network, state, images[1].shape, outputs, frozen)
    session = engine.start(model.SerializeToString())
    difference = _difference(network, session, state, {}, images, outputs)
    if not frozen:
        # not of another vector, which a network that judges on its own doesn't read
        other = network.decide(gate + torch.randn_like(gate), torch.float32)
        steered = {i.name for i in session.get_overridable_initializers()}
        fed = {name: tensor.numpy() for name, tensor in engine.leaves(other).items()
               if name in steered}
        difference = _largest(difference,
                              _difference(network, session, other, fed, images, outputs))
    if not difference <= TOLERANCE:
        raise ExportError(f'{path}: not written: ONNX Runtime differs from torch by '
                          f'{difference:.2g}, where {TOLERANCE:g} is allowed')
    write_whole(path, model.SerializeToString())
    return difference


def _difference(network: nn.Module, session: object, state: object, fed: dict[str, np.ndarray],
                images: tuple[np.ndarray, np.ndarray], outputs: tuple[str, ...]) -> float:
    visible, thermal = (image[None] for image in images)
    found = session.run(None, {'visible': visible, 'thermal': thermal, **fed})
    with torch.inference_mode():
        made = network(torch.from_numpy(visible).permute(0, 3, 1, 2),
                       torch.from_numpy(thermal)[:, None], state, outputs)
        expected = [made.unpacked(name).permute(0, 2, 3, 1).numpy() for name in outputs]
    return _largest(*(np.abs(a - b).max() for a, b in zip(found, expected)))


def _largest(*differences: float) -> float:
    return float(np.max(differences))   # Python's max() loses a NaN that is not the first
