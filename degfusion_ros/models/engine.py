# SPDX-License-Identifier: Apache-2.0
"""
A fusion network as one static ONNX graph, and ONNX Runtime to run it.

The graph has the camera's own layout: `visible` uint8 1xHxWx3, `thermal` float32 1xHxW in 0..1; out
come `fused`, `visible_restored` (1xHxWx3) and `thermal_restored` (1xHxWx1), float32, about 0..1.
The gate state, all tensors that `steer` folds, are graph inputs with a value of their own
(`encoder.0.first` and so on): fed, they steer; left out, the state of the export does. So a refresh
rebuilds nothing.
"""

from collections.abc import Callable
import importlib
import io
import warnings

import numpy as np
import torch
from torch import nn
from torch.utils import _pytree as pytree

from degfusion_ros.models.guidance import VECTOR_SIZE
from degfusion_ros.models.network import FusionNetwork, Outputs
from degfusion_ros.models.recorded import KEPT

OPSET = 17
NAMES = {'fused': 'fused', 'visible': 'visible_restored', 'thermal': 'thermal_restored'}
PROVIDERS = {'cpu': ('CPUExecutionProvider',),
             'cuda': ('CUDAExecutionProvider', 'CPUExecutionProvider'),
             'tensorrt': ('TensorrtExecutionProvider', 'CUDAExecutionProvider',
                          'CPUExecutionProvider')}


class EngineError(RuntimeError):
    """An engine that cannot be had or built; one line says which, why and what to do."""


def leaves(state: object) -> dict[str, torch.Tensor]:
    """Return the tensors of a network's State by name, in a fixed order."""
    found, _ = pytree.tree_flatten_with_path(state)
    return {'.'.join(str(getattr(key, 'key', getattr(key, 'idx', getattr(key, 'name', ''))))
                     for key in path): tensor for path, tensor in found}


class _Graph(nn.Module):
    def __init__(self, network: FusionNetwork, state: object, outputs: tuple[str, ...]):
        super().__init__()
        self.network, self.outputs = network, outputs
        self._spec = pytree.tree_structure(state)

    def forward(self, visible: torch.Tensor, thermal: torch.Tensor,
                tensors: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        colour = visible.permute(0, 3, 1, 2).float() * (1 / 255)
        made = self.network(colour, thermal[:, None], pytree.tree_unflatten(tensors, self._spec),
                            self.outputs)
        return tuple(made.unpacked(name).permute(0, 2, 3, 1) for name in self.outputs)


def graph(network: FusionNetwork, state: object, size: tuple[int, int],
          outputs: tuple[str, ...] = tuple(NAMES), frozen: bool = False) -> object:
    """
    Return the network as an onnx.ModelProto for images of (height, width), batch 1.

    network: in float32, on the CPU. state: as its `steer` gives it, float32; the graph's default.
    frozen: make it constant, which an engine runs faster. Raises EngineError.
    """
    onnx, = _needed('onnx')
    if any(side % network.multiple for side in size):
        wanted = 'x'.join(str(-(-side // network.multiple) * network.multiple)
                          for side in reversed(size))
        raise EngineError(f'size {size[1]}x{size[0]}: width and height must be multiples of '
                          f'{network.multiple}; use {wanted}')
    if not frozen:      # a constant one never comes to need what it leaves out
        state = network.complete(state)
    with torch.inference_mode(False), torch.enable_grad():  # layers then convolve as ONNX does
        tensors = {name: tensor.detach().clone() for name, tensor in leaves(state).items()}
        images = (torch.zeros(1, *size, 3, dtype=torch.uint8), torch.zeros(1, *size))
        file = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            # the older exporter: a second in place of ten, and every torch from 2.4 on has it
            torch.onnx.export(
                _Graph(network, state, outputs).eval(), (*images, list(tensors.values())), file,
                dynamo=False, opset_version=OPSET, input_names=['visible', 'thermal', *tensors],
                output_names=[NAMES[name] for name in outputs])
    model = onnx.load_model_from_string(file.getvalue())
    used = {name for node in model.graph.node for name in node.input}
    kept = {i.name: i for i in model.graph.input
            if i.name not in tensors or (i.name in used and not frozen)}
    # the exporter leaves out a camera that no output is made from
    cameras = [onnx.helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in (
        ('visible', onnx.TensorProto.UINT8, (1, *size, 3)),
        ('thermal', onnx.TensorProto.FLOAT, (1, *size)))]
    del model.graph.input[:]
    model.graph.input.extend({**{i.name: i for i in cameras}, **kept}.values())
    model.graph.initializer.extend(onnx.numpy_helper.from_array(tensor.numpy(), name)
                                   for name, tensor in tensors.items() if name in used)
    onnx.checker.check_model(model)
    return model


def start(model: bytes | str, providers: str = 'cpu', threads: int = 0) -> object:
    """
    Return an onnxruntime.InferenceSession of a serialised graph or of a file.

    threads: 0 for as many as there are cores. Raises EngineError, also where a provider that
    onnxruntime has cannot be loaded: it would go on without.
    """
    runtime, chosen = _runtime(providers)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        session = runtime.InferenceSession(model, options, providers=list(chosen))
    except Exception as error:      # its own have no base class but this
        raise EngineError(f'onnxruntime, providers {providers!r}: cannot run '
                          f'{model if isinstance(model, str) else "the graph"}: '
                          f'{" ".join(str(error).split())}; use another engine') from error
    lacking = [name for name in chosen if name not in session.get_providers()]
    if lacking:
        raise EngineError(f'providers {providers!r}: {", ".join(lacking)} cannot be loaded; '
                          'install onnxruntime-gpu and the CUDA that it is built for, or set '
                          'providers to cpu')
    return session


class OnnxNetwork(FusionNetwork):
    """
    A network whose frames ONNX Runtime computes; steered and called as any fusion network.

    Graph and session are built for every image size, at its first frame: seconds. Of as many sizes
    as `Recorded` keeps programs; the oldest gives way.
    """

    recordable = False

    def __init__(self, network: FusionNetwork, providers: str, threads: int):
        super().__init__()
        # laid out once: a refresh takes half the time
        self.network = network.eval().requires_grad_(False).at(torch.float32)
        self.kind, self.multiple, self.config = network.kind, network.multiple, network.config
        self._start: Callable[[bytes], object] = lambda model: start(model, providers, threads)
        self._runtime, _ = _runtime(providers)
        _needed('onnx')     # now, and not at the first frame
        self._sessions: dict[tuple[int, int], tuple[object, list[str]]] = {}

    def forget(self) -> None:
        """Let go of all sessions: each has an arena of its own."""
        self._sessions = {}

    def gate(self, vector: torch.Tensor, visible: torch.Tensor | None,
             thermal: torch.Tensor | None) -> torch.Tensor:
        """Judge as the network does."""
        return self.network.gate(vector, visible, thermal)

    def decide(self, gate: torch.Tensor, dtype: torch.dtype) -> dict[str, object]:
        """Fold, in float32, into what the sessions are fed: {name: OrtValue}."""
        state = self.network.decide(gate, torch.float32)
        return {name: self._value(tensor) for name, tensor in leaves(state).items()}

    def dries(self, gate: torch.Tensor, already: bool = False) -> bool:
        """Tell it as the network does."""
        return self.network.dries(gate, already)

    def dried(self, visible: torch.Tensor) -> torch.Tensor:
        """Return what the network does, by torch."""
        return self.network.dried(visible)

    def forward(self, visible: torch.Tensor, thermal: torch.Tensor, state: dict[str, object],
                outputs: tuple[str, ...] = ('fused',)) -> Outputs:
        """Fuse one pair, 1 x 3 x H x W uint8 and 1 x 1 x H x W uint8 or float 0..1."""
        session, steered = self._session(tuple(visible.shape[2:]))
        scale = 1 / 255 if thermal.dtype == torch.uint8 else 1.0
        feeds = {name: state[name] for name in steered}
        feeds['visible'] = self._value(visible.permute(0, 2, 3, 1))
        feeds['thermal'] = self._value(thermal[:, 0].float() * scale)
        options = self._runtime.RunOptions()
        options.only_execute_path_to_fetches = True     # no head that nobody asked for
        made = session.run_with_ort_values([NAMES[name] for name in outputs], feeds, options)
        images = {name: torch.from_numpy(value.numpy()).permute(0, 3, 1, 2)
                  for name, value in zip(outputs, made)}
        return Outputs(*(images.get(name) for name in NAMES), factor=1)

    def _value(self, tensor: torch.Tensor) -> object:
        return self._runtime.OrtValue.ortvalue_from_numpy(
            np.ascontiguousarray(tensor.numpy(force=True)))

    def _session(self, size: tuple[int, int]) -> tuple[object, list[str]]:
        found = self._sessions.get(size)
        if found is None:
            neutral = self.network.steer(torch.zeros(1, VECTOR_SIZE), None, None, torch.float32)
            session = self._start(graph(self.network, neutral, size).SerializeToString())
            found = session, [i.name for i in session.get_overridable_initializers()]
            # a new dictionary: frames of another thread may be looking something up
            kept = list(self._sessions.items())[-(KEPT - 1):]
            self._sessions = {**dict(kept), size: found}
        return found


def _runtime(providers: str) -> tuple[object, tuple[str, ...]]:
    """Return onnxruntime and the providers' names, if it has them."""
    runtime, = _needed('onnxruntime')
    if providers not in PROVIDERS:
        raise EngineError(f'providers {providers!r}: choose from {", ".join(PROVIDERS)}')
    chosen, there = PROVIDERS[providers], runtime.get_available_providers()
    if chosen[0] not in there:
        raise EngineError(f'providers {providers!r}: this onnxruntime has no {chosen[0]} (it has '
                          f'{", ".join(there)}); install onnxruntime-gpu, or use cpu')
    return runtime, chosen


def _needed(*names: str) -> list[object]:
    try:
        return [importlib.import_module(name) for name in names]
    except ImportError as error:
        raise EngineError(f'no Python package {error.name}: '
                          'pip install onnx onnxruntime') from error
