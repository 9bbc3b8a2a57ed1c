# SPDX-License-Identifier: Apache-2.0
"""DGME: experts of three shapes behind noisy top-2 gates, and their exact fold."""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from degfusion_ros.models.layers import conv_add, conv_relu

EXPERTS, TOP_K = 8, 2
# The paper's three structures (1xk, kx1, kxk). All lie in one 3x3 box, so that the fold of any two
# costs what one plain 3x3 convolution costs; the four scales of the U-Net give the longer reach.
SHAPES = ((1, 3), (1, 3), (3, 1), (3, 1), (1, 1), (3, 3), (3, 3), (3, 3))
BOX = 3
STATE = 16      # size of the guidance state that shifts the experts' biases


class Gates(NamedTuple):
    """The two chosen experts of a frame and their weights, which sum to 1."""

    index: torch.Tensor     # K, int64
    weight: torch.Tensor    # K, float32


class Folded(NamedTuple):
    """Two experts as one convolution pair: y = second(relu(first(x)))."""

    first: torch.Tensor         # K h x C x 3 x 3
    first_bias: torch.Tensor    # K h
    second: torch.Tensor        # C x K h x 1 x 1
    second_bias: torch.Tensor   # C


class Router(nn.Module):
    """Noisy top-K gating on d_deg (Eq. 8-9); one per block and task."""

    def __init__(self, vector_size: int):
        super().__init__()
        self.gate = nn.Linear(vector_size, EXPERTS)
        self.noise = nn.Linear(vector_size, EXPERTS)

    def logits(self, vector: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return clean logits and the noise's standard deviation, both N x 8."""
        return self.gate(vector), functional.softplus(self.noise(vector) - 2.0)

    def forward(self, vector: torch.Tensor) -> list[Gates]:
        """Choose for each of N vectors; noise is added in training only."""
        clean, spread = self.logits(vector.float())
        noisy = clean + torch.randn_like(clean) * spread if self.training else clean
        top = noisy.topk(TOP_K, dim=1)
        return [Gates(i, w) for i, w in zip(top.indices, top.values.softmax(dim=1))]


class DGME(nn.Module):
    """
    Mixture of eight conv-ReLU-conv experts around a residual (Eq. 10); keeps the shape of F.

    Expert e maps C to h channels with its own kernel shape, and back with 1x1. The guidance state
    shifts the hidden biases: steering by severity that costs nothing per frame once folded.
    """

    def __init__(self, channels: int, hidden: int | None = None):
        super().__init__()
        self.channels, self.hidden = channels, hidden or channels // 2
        h = self.hidden
        self.first = nn.ParameterList(nn.Parameter(torch.empty(h, channels, *s)) for s in SHAPES)
        self.first_bias = nn.Parameter(torch.zeros(EXPERTS, h))
        self.steer = nn.Parameter(torch.zeros(EXPERTS, h, STATE))
        self.second = nn.Parameter(torch.empty(EXPERTS, channels, h))
        self.second_bias = nn.Parameter(torch.zeros(EXPERTS, channels))
        for weight in self.first:
            nn.init.kaiming_normal_(weight, nonlinearity='relu')
        nn.init.normal_(self.second, std=0.5 * h ** -0.5)

    def fold(self, gates: Gates, state: torch.Tensor) -> Folded:
        """Concatenate the chosen experts' hidden channels; gates scale the second convolution."""
        chosen = gates.index.tolist()
        kernels = [_boxed(self.first[e]) for e in chosen]
        bias = [self.first_bias[e] + self.steer[e] @ state for e in chosen]
        back = [w * self.second[e] for w, e in zip(gates.weight, chosen)]
        end = sum(w * self.second_bias[e] for w, e in zip(gates.weight, chosen))
        return Folded(torch.cat(kernels), torch.cat(bias), torch.cat(back, dim=1)[..., None, None],
                      end)

    def routed(self, x: torch.Tensor, gates: Gates, state: torch.Tensor) -> torch.Tensor:
        """Run the chosen experts one by one, as the paper writes it; the fold's reference."""
        out = x
        for weight, e in zip(gates.weight, gates.index.tolist()):
            kernel = self.first[e]
            pad = (kernel.shape[2] // 2, kernel.shape[3] // 2)
            hidden = functional.conv2d(x, kernel, self.first_bias[e] + self.steer[e] @ state,
                                       padding=pad).relu()
            back = self.second[e][..., None, None]
            out = out + weight * functional.conv2d(hidden, back, self.second_bias[e])
        return out

    def forward(self, x: torch.Tensor, folded: list[Folded]) -> torch.Tensor:
        """Apply to x (N x C x H x W); its N images fall into len(folded) equal runs of frames."""
        if len(folded) == 1:
            return apply_folded(x, folded[0])
        return torch.cat([apply_folded(part, f)
                          for part, f in zip(x.chunk(len(folded)), folded)])


def apply_folded(x: torch.Tensor, f: Folded) -> torch.Tensor:
    """Return x + second(relu(first(x)))."""
    return conv_add(conv_relu(x, f.first, f.first_bias), f.second, f.second_bias, x)


def _boxed(kernel: torch.Tensor) -> torch.Tensor:
    dy, dx = ((BOX - k) // 2 for k in kernel.shape[2:])
    return functional.pad(kernel, (dx, dx, dy, dy))


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
