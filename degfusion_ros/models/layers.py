# SPDX-License-Identifier: Apache-2.0
"""Convolutions as the processor likes them: fused with ReLU or a sum."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

import torch
from torch import nn
from torch.nn import functional

# oneDNN's fused convolutions, where this build of torch has them
_FUSED = getattr(torch.ops.mkldnn, '_convolution_pointwise', None) \
    if torch.backends.mkldnn.is_available() else None
_FUSED_SUM = None if _FUSED is None else torch.ops.mkldnn._convolution_pointwise_.binary


_PORTABLE: ContextVar[torch.dtype | None] = ContextVar('portable', default=None)


@contextmanager
def portable(dtype: torch.dtype) -> Iterator[None]:
    """
    Within, nothing is computed in a way that only torch on a CPU knows: for other engines.

    `dtype` is what the engine will convolve in, whatever the network's own is.
    """
    token = _PORTABLE.set(dtype)
    try:
        yield
    finally:
        _PORTABLE.reset(token)


def for_engine() -> bool:
    """Tell whether it is another engine that will compute."""
    return _PORTABLE.get() is not None


def eager(x: torch.Tensor) -> bool:
    """Tell whether x is computed on this machine's CPU, now or recorded, without gradients."""
    return x.device.type == 'cpu' and not torch.is_grad_enabled() \
        and not torch.compiler.is_compiling() and not for_engine()


def engines_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return what the engine will convolve in where torch would in `dtype`."""
    return _PORTABLE.get() or dtype


# Recording takes no list of `Scalar?`, which the fused operators have; spelt out, it does.
_PROGRAMS = {'relu': """graph(%x : Tensor, %w : Tensor, %b : Tensor?, %p : int, %d : int):
    %one : int = prim::Constant[value=1]()
    %pad : int[] = prim::ListConstruct(%p, %p)
    %stride : int[] = prim::ListConstruct(%one, %one)
    %dilation : int[] = prim::ListConstruct(%d, %d)
    %relu : str = prim::Constant[value="relu"]()
    %no : str = prim::Constant[value=""]()
    %scalars : Scalar?[] = prim::ListConstruct()
    %y : Tensor = mkldnn::_convolution_pointwise(
        %x, %w, %b, %pad, %stride, %dilation, %one, %relu, %scalars, %no)
    return (%y)""", 'add': """graph(%z : Tensor, %x : Tensor, %w : Tensor, %b : Tensor?, %p : int):
    %one : int = prim::Constant[value=1]()
    %alpha : float = prim::Constant[value=1.]()
    %no : NoneType = prim::Constant()
    %pad : int[] = prim::ListConstruct(%p, %p)
    %stride : int[] = prim::ListConstruct(%one, %one)
    %add : str = prim::Constant[value="add"]()
    %scalars : Scalar?[] = prim::ListConstruct()
    %y : Tensor = mkldnn::_convolution_pointwise_(
        %z, %x, %w, %b, %pad, %stride, %stride, %one, %add, %alpha, %no, %scalars, %no)
    return (%y)"""}


@lru_cache
def _program(name: str) -> Callable[..., torch.Tensor]:
    graph = torch._C.parse_ir(_PROGRAMS[name])
    return torch._C._create_function_from_graph(f'conv_{name}', graph)


def _fusible(x: torch.Tensor, weight: torch.Tensor) -> bool:
    return _FUSED is not None and x.dtype == weight.dtype and eager(x) and _known(x.dtype)


@lru_cache
def _known(dtype: torch.dtype) -> bool:
    # processors without AVX-512 convolve in 16 bits too, slowly, but not by the fused operators
    told = {torch.bfloat16: '_is_mkldnn_bf16_supported', torch.float16: '_is_mkldnn_fp16_supported'}
    return getattr(torch.ops.mkldnn, told[dtype])() if dtype in told else dtype == torch.float32


def conv_relu(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None,
              dilation: int = 1) -> torch.Tensor:
    """Return relu(conv(x)) of an odd square kernel, the size kept."""
    pad = dilation * (weight.shape[2] // 2)
    if _fusible(x, weight):
        if torch.jit.is_tracing():
            return _program('relu')(x, weight, bias, pad, dilation)
        return _FUSED(x, weight, bias, [pad, pad], [1, 1], [dilation] * 2, 1, 'relu', [], '')
    return functional.conv2d(x, weight, bias, padding=pad, dilation=dilation).relu_()


def conv_add(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None,
             other: torch.Tensor) -> torch.Tensor:
    """Return conv(x) + other of an odd square kernel, the size kept; `other` may be overwritten."""
    pad = weight.shape[2] // 2
    if _fusible(x, weight) and other.dtype == x.dtype:
        if torch.jit.is_tracing():
            return _program('add')(other, x, weight, bias, pad)
        return _FUSED_SUM(other, x, weight, bias, [pad, pad], [1, 1], [1, 1], 1, 'add', 1.0,
                          None, [], None)
    return functional.conv2d(x, weight, bias, padding=pad) + other


def working_dtype(x: torch.Tensor) -> torch.dtype:
    """Return the dtype in which autocast would convolve x; without autocast its own."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


def working(x: torch.Tensor, *parameters: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """
    Cast to the working dtype, images and kernels channels last; no copy where they are.

    The fused operators do not ask autocast by themselves.
    """
    dtype = working_dtype(x)
    return tuple(t.to(dtype, memory_format=torch.channels_last) if t.dim() == 4 else t.to(dtype)
                 for t in (x, *parameters))


class Doubling(nn.ConvTranspose2d):
    """
    Double the resolution by a transposed convolution of stride 2.

    On large maps its four kernels are one 1x1 convolution, whose channels then become pixels:
    less than half the time there, more on small ones.
    """

    LARGE = 4096        # pixels

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs, 2, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """B x inputs x H x W to B x outputs x 2H x 2W."""
        if x.shape[2] * x.shape[3] < self.LARGE:
            return super().forward(x)
        n, c = self.weight.shape[:2]
        kernels = self.weight.permute(2, 3, 1, 0).reshape(4 * c, n, 1, 1)
        y = functional.conv2d(*working(x, kernels, self.bias.repeat(4)))
        b, _, h, w = y.shape
        split = y.permute(0, 2, 3, 1).reshape(b, h, w, 2, 2, c).transpose(2, 3)
        return split.reshape(b, 2 * h, 2 * w, c).permute(0, 3, 1, 2)


class SmallNet(nn.Sequential):
    """Three 3x3 convolutions with ReLU in between; the second is dilated to see further."""

    def __init__(self, inputs: int, width: int, outputs: int):
        super().__init__(nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(inplace=True),
                         nn.Conv2d(width, width, 3, padding=2, dilation=2),
                         nn.ReLU(inplace=True), nn.Conv2d(width, outputs, 3, padding=1))
        nn.init.zeros_(self[-1].bias)
        nn.init.normal_(self[-1].weight, std=1e-3)    # every stage starts as the identity

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """B x inputs x H x W to B x outputs x H x W."""
        first, second = self[0], self[2]
        x, w1, b1, w2, b2 = working(x, first.weight, first.bias, second.weight, second.bias)
        return self[4](conv_relu(conv_relu(x, w1, b1), w2, b2, dilation=2))
