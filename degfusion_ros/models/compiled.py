# SPDX-License-Identifier: Apache-2.0
"""
A network's frame compiled by OpenVINO, which lays whole graphs out for x86-64 processors.

Same arithmetic as torch's, both by oneDNN, but in other kernels and with fewer passes over memory.
What steers are inputs of the graph: a refresh hands over new tensors and rebuilds nothing.
"""

from collections import Counter
from collections.abc import Callable
import functools
import importlib
import importlib.util
import platform
import sys
import threading

import numpy as np
import torch
from torch import nn
from torch.utils import _pytree as pytree

from degfusion_ros.models.layers import portable
from degfusion_ros.models.network import FusionNetwork
from degfusion_ros.models.packing import pack_array, Packed, unpack_array
from degfusion_ros.models.tracing import traced

Images = tuple[torch.Tensor, ...]
CLOSE = 1.0     # levels of 255, on average: bfloat16 has 8 bits, and rounds where torch does not


@functools.cache
def fault() -> str:
    """Return why OpenVINO cannot be used, with the remedy; '' if it can."""
    if importlib.util.find_spec('openvino') is None:
        return 'no Python package openvino: pip install openvino'
    try:
        openvino().Core()
    except Exception as error:      # of a wheel that does not fit the system, whatever it lacks
        reason = ' '.join(str(error).split()) or type(error).__name__
        return f'openvino is installed and cannot be loaded ({reason}): install it again'
    return ''


def available() -> bool:
    """Tell whether OpenVINO is there, on a processor of the kind on which it was found faster."""
    return platform.machine() in ('x86_64', 'AMD64') and not fault()


def openvino() -> object:
    """Import OpenVINO, less its telemetry, which tells a server of every import."""
    name = 'openvino_telemetry'
    loaded = sys.modules.get(name)
    sys.modules[name] = None    # as if it were not installed: it is meant to do without
    try:
        return importlib.import_module('openvino')
    finally:
        if loaded is None:
            del sys.modules[name]
        else:
            sys.modules[name] = loaded


class _Frame(nn.Module):
    def __init__(self, network: FusionNetwork, structure: pytree.TreeSpec,
                 outputs: tuple[str, ...], size: tuple[int, int]):
        super().__init__()
        self.network, self.structure, self.outputs = network, structure, outputs
        self.size = size

    def forward(self, visible: torch.Tensor, thermal: torch.Tensor,
                *leaves: torch.Tensor) -> Images:
        state = pytree.tree_unflatten([x.float() for x in leaves], self.structure)
        pair = [x.unflatten(1, self.size).permute(0, 3, 1, 2) for x in (visible, thermal)]
        if self.network.factor > 1:
            pair = [Packed(x, self.network.factor) for x in pair]
        made = self.network(*pair, state, self.outputs)
        return tuple(made.packed_bytes(name).permute(0, 2, 3, 1) for name in self.outputs)


class Compiler:
    """Compiles frames of one network, which it takes in float32, to run in `dtype`."""

    def __init__(self, network: FusionNetwork, dtype: torch.dtype, threads: int):
        self._dtype = dtype
        self._network = network.eval().requires_grad_(False)
        self._options = {
            'INFERENCE_PRECISION_HINT': 'bf16' if dtype == torch.bfloat16 else 'f32',
            'INFERENCE_NUM_THREADS': threads, 'NUM_STREAMS': 1, 'ENABLE_CPU_PINNING': False}
        self._core = openvino().Core()

    def __call__(self, visible: torch.Tensor, thermal: torch.Tensor, state: object,
                 outputs: tuple[str, ...]) -> Callable[..., Images]:
        """
        Return the frame of this size and these outputs as a program; takes about a second.

        The program is called as program(visible, thermal, *leaves of the state), with images as
        the network takes them, and returns its outputs' bytes, B x H x W x 3 or 1.
        """
        leaves, structure = pytree.tree_flatten(state)
        # packed and unpacked by NumPy, which is faster at it
        cells = tuple(_cells(x, self._network.factor) for x in (visible, thermal))
        # rows end to end: of a picture as it lies OpenVINO would transpose the bytes, one by one
        given = (*(torch.from_numpy(x).flatten(1, 2) for x in cells), *leaves)
        h, w = cells[0].shape[1:3]
        with torch.inference_mode(False), torch.no_grad(), portable(self._dtype), \
                torch.autocast('cpu', enabled=False):
            model = _converted(_Frame(self._network, structure, outputs, (h, w)),
                               tuple(x.clone(memory_format=torch.contiguous_format)
                                     for x in given))
        return _Program(self._core.compile_model(model, 'CPU', self._options), cells,
                        self._network.factor)


class _Program:
    def __init__(self, compiled: object, cells: tuple[np.ndarray, ...], factor: int):
        self._cells, self._factor = cells, factor       # of an image each; written at every frame
        self._request = compiled.create_infer_request()
        self._count = len(compiled.outputs)
        self._state: tuple[torch.Tensor, ...] = ()
        self._held: dict[int, np.ndarray] = {}
        self._openvino = openvino()
        self._running = threading.Lock()
        for i, array in enumerate(cells):
            self._set(i, torch.from_numpy(array).flatten(1, 2))

    def __call__(self, visible: torch.Tensor, thermal: torch.Tensor,
                 *leaves: torch.Tensor) -> Images:
        with self._running:     # one set of buffers
            for image, cells in zip((visible, thermal), self._cells):
                pack_array(_pixels(image), self._factor, cells)
            if len(leaves) != len(self._state) or \
                    any(new is not old for new, old in zip(leaves, self._state)):
                for i, leaf in enumerate(leaves, start=2):
                    self._set(i, leaf)
                self._state = leaves
            self._request.infer()
            return tuple(torch.from_numpy(unpack_array(self._request.get_output_tensor(i).data,
                                                       self._factor)) for i in range(self._count))

    def _set(self, index: int, tensor: torch.Tensor) -> None:
        ov, tensor, kind = self._openvino, tensor.contiguous(), None
        if tensor.dtype == torch.bfloat16:      # unknown to NumPy
            tensor, kind = tensor.view(torch.int16), ov.Type.bf16
        array = tensor.numpy(force=True)
        self._request.set_input_tensor(
            index, ov.Tensor(array, shared_memory=True) if kind is None else
            ov.Tensor(array, ov.Shape(array.shape), kind))
        self._held[index] = array       # the request only points at it


def _pixels(image: torch.Tensor) -> np.ndarray:
    return image.permute(0, 2, 3, 1).contiguous().numpy(force=True)


def _cells(image: torch.Tensor, factor: int) -> np.ndarray:
    b, c, h, w = image.shape
    pixels = _pixels(image)
    cells = np.empty((b, h // factor, w // factor, factor ** 2 * c), pixels.dtype)
    pack_array(pixels, factor, cells)
    return cells


def _converted(frame: nn.Module, given: tuple[torch.Tensor, ...]) -> object:
    # by the frontend itself: openvino.convert_model reports what is converted, too
    openvino()
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
    program = traced(frame.eval(), *given)
    frontend = FrontEndManager().load_by_framework('pytorch')
    # a name of its own: the frontend does not keep it alive
    decoder = TorchScriptPythonDecoder(program, example_input=given, shared_memory=False)
    model = frontend.convert(frontend.load(decoder))
    model.reshape({i: list(x.shape) for i, x in enumerate(given)})
    _own_biases(model)
    return model


def _own_biases(model: object) -> None:
    """
    Give every convolution a bias of its own.

    A layer that a frame passes twice, once for each image, has one bias in the graph, and OpenVINO
    adds what several convolutions share in a pass over the picture. It shares equal constants, too:
    the last bit of one number tells them apart.
    """
    constant = importlib.import_module('openvino.opset13').constant
    met: Counter[str] = Counter()
    for add in model.get_ordered_ops():
        if add.get_type_name() != 'Add' or \
                add.input_value(0).get_node().get_type_name() != 'Convolution':
            continue
        bias = add.input_value(1).get_node()
        while bias.get_type_name() in ('Reshape', 'Convert', 'ConvertLike'):
            bias = bias.input_value(0).get_node()
        if bias.get_type_name() != 'Constant':
            continue
        own = bias.data.astype(np.float32).reshape(add.input_value(1).get_shape())
        for _ in range(met[bias.get_friendly_name()]):
            own.flat[0] = np.nextafter(own.flat[0], np.float32(np.inf))
        add.input(1).replace_source_output(constant(own).output(0))
        met[bias.get_friendly_name()] += 1
