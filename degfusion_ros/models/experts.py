# SPDX-License-Identifier: Apache-2.0
"""DGME: experts of three shapes behind noisy top-2 gates, and their exact fold."""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from degfusion_ros.models.layers import conv_add, conv_relu, for_engine

EXPERTS, TOP_K = 8, 2
# The paper's three structures (1xk, kx1, kxk; count, height, width). All lie in one 3x3 box, so
# that the fold of any two costs what one plain 3x3 convolution costs; the four scales of the U-Net
# give the longer reach.
SHAPES = ((2, 1, 3), (2, 3, 1), (1, 1, 1), (3, 3, 3))
BOX = 3
STATE = 32      # size of the guidance state that shifts the hidden biases


class Gates(NamedTuple):
    """The chosen experts of N frames and their weights, which sum to 1."""

    index: torch.Tensor     # N x K, int64
    weight: torch.Tensor    # N x K, float32


class Folded(NamedTuple):
    """The experts of N frames as one convolution pair each: y = x + second(relu(first(x)))."""

    first: torch.Tensor         # N x h x C x 3 x 3
    first_bias: torch.Tensor    # N x h
    second: torch.Tensor        # N x C x h x 1 x 1
    second_bias: torch.Tensor   # N x C

    def cast(self, dtype: torch.dtype) -> 'Folded | Steady':
        """Return it as convolutions in `dtype` like it; of one frame, channels last."""
        return type(self)(*(
            x.to(dtype) if x.dim() < 5 else
            x[0].to(dtype, memory_format=torch.channels_last)[None] for x in self))


class Steady(NamedTuple):
    """
    As Folded, of a block whose first channel is 1 everywhere: it carries the hidden biases.

    An engine fuses no bias that is an input: each would be a pass over the picture.
    """

    first: torch.Tensor         # N x h x C x 3 x 3, the bias in the middle of its first channel
    second: torch.Tensor        # N x C x h x 1 x 1, nothing for the first channel

    cast = Folded.cast


class Router(nn.Module):
    """Noisy top-K gating on d_deg (Eq. 8-9); one per block and task."""

    def __init__(self, vector_size: int):
        super().__init__()
        self.gate = nn.Linear(vector_size, EXPERTS)
        self.noise = nn.Linear(vector_size, EXPERTS)

    def logits(self, vector: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return clean logits and the noise's standard deviation, both N x 8."""
        # a floor: without any noise the load's gradient divides by zero
        return self.gate(vector), functional.softplus(self.noise(vector) - 2.0) + 1e-2

    def forward(self, vector: torch.Tensor) -> Gates:
        """Choose for each of N vectors; noise is added in training only."""
        clean, spread = self.logits(vector.float())
        noisy = clean + torch.randn_like(clean) * spread if self.training else clean
        top = noisy.topk(TOP_K, dim=1)
        return Gates(top.indices, top.values.softmax(dim=1))


class DGME(nn.Module):
    """
    Mixture of eight conv-ReLU-conv experts around a residual (Eq. 10); keeps the shape of F.

    Expert e maps C to h channels with its own kernel shape, and back with 1x1. Beyond the paper, a
    common expert is always there, one for each of `tasks` (each expert alone sees but a quarter of
    the training data); and the guidance state shifts the hidden biases. All of it folds into one
    convolution pair: steering costs nothing per frame.

    A `steady` block is given 1 in the first channel and leaves it so; nothing but hidden biases
    reads it, and there is no second bias (see Steady).
    """

    def __init__(self, channels: int, tasks: int = 1, steady: bool = False):
        super().__init__()
        self.channels, self.tasks, self.steady = channels, tasks, steady
        self.common_hidden, self.hidden = channels // 2, channels // 4
        h, m = self.hidden, self.common_hidden
        self.common = nn.Parameter(torch.empty(tasks * m, channels, BOX, BOX))
        self.common_bias = nn.Parameter(torch.zeros(tasks, m))
        self.common_steer = nn.Parameter(torch.zeros(tasks, m, STATE))
        self.common_second = nn.Parameter(torch.empty(tasks, channels, m))
        self.first = nn.ParameterList(
            nn.Parameter(torch.empty(n * h, channels, *s)) for n, *s in SHAPES)
        self.first_bias = nn.Parameter(torch.zeros(EXPERTS, h))
        self.steer = nn.Parameter(torch.zeros(EXPERTS, h, STATE))
        self.second = nn.Parameter(torch.empty(EXPERTS, channels, h))
        self.second_bias = None if steady else nn.Parameter(torch.zeros(EXPERTS, channels))
        self.register_buffer('rows', None, persistent=False)
        for weight in (self.common, *self.first):
            nn.init.kaiming_normal_(weight, nonlinearity='relu')
        for weight in (self.common_second, self.second):
            nn.init.normal_(weight, std=0.5 * channels ** -0.5)

    def settle(self, dtype: torch.dtype) -> None:
        """Lay all kernels out for `fold` once, for weights that stay as they are."""
        self.rows = self._rows().to(dtype)

    def _rows(self) -> torch.Tensor:
        # a row for each hidden channel, the common experts' first: to choose is to copy rows
        kernels = (self.common, *(boxed(kernels) for kernels in self.first))
        return torch.cat([k.permute(0, 2, 3, 1).flatten(1) for k in kernels])

    def fold(self, gates: Gates, state: torch.Tensor, task: int = 0,
             experts: bool = True) -> Folded | Steady:
        """
        Join the hidden channels of the common and the chosen experts of N frames.

        The gates scale the second convolution. `state` is N x STATE; without `experts` the common
        one is left alone.
        """
        n, c, m, h = len(state), self.channels, self.common_hidden, self.hidden
        bias = self.common_bias[task] + state @ self.common_steer[task].T
        back = self.common_second[task].expand(n, -1, -1)
        common = torch.arange(m, device=state.device) + task * m
        chosen, end = common.expand(n, m), state.new_zeros(n, c)
        if experts:
            own = torch.arange(h, device=state.device) + self.tasks * m
            chosen = torch.cat([chosen, (gates.index[..., None] * h + own).flatten(1)], dim=1)
            told = self.first_bias + torch.einsum('nk,ehk->neh', state, self.steer)
            told = told[torch.arange(n, device=state.device)[:, None], gates.index]
            bias = torch.cat([bias, told.flatten(1)], dim=1)
            weight = gates.weight[..., None]
            second = (weight[..., None] * self.second[gates.index]).transpose(1, 2)     # N C K h
            back = torch.cat([back, second.flatten(2)], dim=2)
            if not self.steady:
                end = (weight * self.second_bias[gates.index]).sum(dim=1)
        rows = self._rows() if self.rows is None else self.rows
        first = rows.index_select(0, chosen.flatten()).view(n, -1, BOX, BOX, c)
        if self.steady:
            carried = first.new_zeros(*first.shape[:-1], 1)
            carried[:, :, BOX // 2, BOX // 2, 0] = bias
            first = torch.cat([carried, first[..., 1:]], dim=4)
            return Steady(first.permute(0, 1, 4, 2, 3), _but_first(back, 1)[..., None, None])
        return Folded(first.permute(0, 1, 4, 2, 3), bias, back[..., None, None], end)

    def routed(self, x: torch.Tensor, gates: Gates, state: torch.Tensor,
               task: int = 0) -> torch.Tensor:
        """Run one frame's experts one by one, as the paper writes it; the fold's reference."""
        def expert(kernel, bias, back, end):
            pad = (kernel.shape[2] // 2, kernel.shape[3] // 2)
            if self.steady:
                kernel, back = _but_first(kernel, 1), _but_first(back, 0)
            hidden = functional.conv2d(x, kernel, bias, padding=pad).relu()
            return functional.conv2d(hidden, back[..., None, None], end)
        common = self.common.unflatten(0, (self.tasks, -1))[task]
        out = x + expert(common, self.common_bias[task] + self.common_steer[task] @ state[0],
                         self.common_second[task], None)
        kernels = [kernel for group in self.first for kernel in group.split(self.hidden)]
        for weight, e in zip(gates.weight[0], gates.index[0].tolist()):
            out = out + weight * expert(kernels[e], self.first_bias[e] + self.steer[e] @ state[0],
                                        self.second[e],
                                        None if self.steady else self.second_bias[e])
        return out

    def forward(self, x: torch.Tensor, folded: Folded | Steady) -> torch.Tensor:
        """Apply to x (B x C x H x W); its B images fall into equal runs, one per folded frame."""
        frames = list(zip(*(part.unbind() for part in folded)))
        apply = apply_steady if self.steady else apply_folded
        if len(frames) == 1:
            return apply(x, *frames[0])
        return torch.cat([apply(part, *f) for part, f in zip(x.chunk(len(frames)), frames)])


def apply_steady(x: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return x + second(relu(first(x))), whose biases are in it."""
    return conv_add(conv_relu(x, first, None), second, None, x)


def apply_folded(x: torch.Tensor, first: torch.Tensor, first_bias: torch.Tensor,
                 second: torch.Tensor, second_bias: torch.Tensor) -> torch.Tensor:
    """Return x + second(relu(first(x)))."""
    hidden = conv_relu(x, first, first_bias)
    if for_engine():    # it fuses a sum with a convolution, but no bias that is an input
        return conv_add(hidden, second, None, x + second_bias.view(1, -1, 1, 1))
    return conv_add(hidden, second, second_bias, x)


def _but_first(x: torch.Tensor, dim: int) -> torch.Tensor:
    """Return x, zeros in the first place of a dimension; gradients of the others pass."""
    return torch.cat([torch.zeros_like(x.narrow(dim, 0, 1)),
                      x.narrow(dim, 1, x.shape[dim] - 1)], dim=dim)


def boxed(kernels: torch.Tensor) -> torch.Tensor:
    """Lay kernels of any shape into the middle of BOX x BOX zeros."""
    dy, dx = ((BOX - k) // 2 for k in kernels.shape[2:])
    return functional.pad(kernels, (dx, dx, dy, dy))


def balance_loss(router: Router, vectors: torch.Tensor) -> torch.Tensor:
    """CV^2 of the experts' importance plus CV^2 of their load (Shazeer et al., 2017)."""
    clean, spread = router.logits(vectors)
    noisy = clean + torch.randn_like(clean) * spread
    top = noisy.topk(TOP_K + 1, dim=1).values
    chosen = noisy >= top[:, TOP_K - 1:TOP_K]
    gates = noisy.masked_fill(~chosen, float('-inf')).softmax(dim=1)
    # P(expert stays in the top K if its noise were drawn again)
    bar = torch.where(chosen, top[:, TOP_K:], top[:, TOP_K - 1:TOP_K])
    load = torch.special.ndtr((clean - bar) / spread)
    return sum(_squared_variation(x.sum(dim=0)) for x in (gates, load))


def _squared_variation(x: torch.Tensor) -> torch.Tensor:
    return x.var(unbiased=False) / (x.mean() ** 2 + 1e-8)


def mutual_information(routers: list[Router], vectors: torch.Tensor) -> torch.Tensor:
    """I(E; T) of experts and equally likely tasks, one router a task; 0 to log(tasks) nats."""
    given = torch.stack([r.logits(vectors)[0].softmax(dim=1).mean(dim=0) for r in routers])
    mean = given.mean(dim=0, keepdim=True)
    return (given * (given.clamp(min=1e-8).log() - mean.clamp(min=1e-8).log())).sum(dim=1).mean()
