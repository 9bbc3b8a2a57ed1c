# SPDX-License-Identifier: Apache-2.0
"""
TG-ECNet's gates and experts, per pixel as published or per image.

The output is F + sum_i G_i E_i(F) over the K experts with the highest gates (the formula has no
residual; with it a fresh level passes its input on). A gate reads the task prompt and, `pixel`,
also the token it gates: the choice changes from pixel to pixel and frame to frame, and every expert
runs on the tokens that chose it. A gate of kind `image` reads the prompt alone; then the K chosen
experts of an image fold into one pair of convolutions, exactly, once per prompt.
"""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from degfusion_ros.models.layers import conv_add, conv_relu, working

GATES = ('pixel', 'image')


class Folded(NamedTuple):
    """The chosen experts of an image as one pair: F + second(relu(first(F)))."""

    first: torch.Tensor         # K h x C x k x k
    first_bias: torch.Tensor    # K h
    second: torch.Tensor        # C x K h x 1 x 1
    second_bias: torch.Tensor   # C


class Gated(NamedTuple):
    """Gates of tokens or images, and what they were chosen from; both sum to 1 over experts."""

    weights: torch.Tensor       # ... x N, zero but for K
    chances: torch.Tensor       # ... x N, before the choice


def choose(logits: torch.Tensor, k: int) -> Gated:
    """Softmax over the K largest of ... x N logits."""
    top = logits.topk(k, dim=-1)
    weights = torch.zeros_like(logits).scatter(-1, top.indices, top.values.softmax(dim=-1))
    return Gated(weights, logits.softmax(dim=-1))


class Experts(nn.Module):
    """A mixture of N experts behind one gate; keeps the shape of F, B x C x H x W."""

    def __init__(self, channels: int, hidden: int, experts: int, k: int, prompt: int, gate: str,
                 kernel: int = 1):
        super().__init__()
        self.k = k
        # all experts' kernels in one tensor of four dimensions, which may lie channels last
        self.first = nn.Parameter(torch.empty(experts * hidden, channels, kernel, kernel))
        self.first_bias = nn.Parameter(torch.zeros(experts, hidden))
        self.second = nn.Parameter(torch.empty(experts, channels, hidden))
        self.second_bias = nn.Parameter(torch.zeros(experts, channels))
        nn.init.kaiming_normal_(self.first, nonlinearity='relu')
        nn.init.normal_(self.second, std=0.5 * hidden ** -0.5)
        self.task = nn.Linear(prompt, experts)
        self.gain = prompt ** -0.5      # many numbers that Adam moves together: no rash choices
        # [token; prompt] times one matrix, in two parts: the prompt's is the same for all tokens
        self.token = nn.Linear(channels, experts, bias=False) if gate == 'pixel' else None

    def gates(self, prompts: torch.Tensor) -> Gated:
        """Gate whole images by their prompts, F x P."""
        return choose(self.task(prompts.float()) * self.gain, self.k)

    def fold(self, weights: torch.Tensor) -> Folded:
        """Join the chosen experts of one image; `weights` (N) are its gates."""
        chosen = weights.detach().topk(self.k).indices.sort().values
        scaled = weights[chosen].view(-1, 1, 1) * self.second[chosen]           # K x C x h
        first = self.first.unflatten(0, self.first_bias.shape)[chosen]          # K x h x C x k x k
        return Folded(first.flatten(0, 1), self.first_bias[chosen].flatten(),
                      scaled.transpose(0, 1).flatten(1)[..., None, None],
                      weights[chosen] @ self.second_bias[chosen])

    def forward(self, x: torch.Tensor, steering: list[Folded] | torch.Tensor,
                ) -> tuple[torch.Tensor, Gated | None]:
        """
        Mix; `steering` is a fold for each of the equal runs of images in x, or, per pixel, prompts.

        Prompts are B x P. Returns the gates of the tokens too, None where gates are per image.
        """
        if self.token is None:
            parts = [apply_folded(part, f) for part, f in zip(x.chunk(len(steering)), steering)]
            return parts[0] if len(parts) == 1 else torch.cat(parts), None
        tokens = x.permute(0, 2, 3, 1)                                          # B x H x W x C
        logits = self.token(tokens).float() \
            + self.task(steering)[:, None, None].float() * self.gain
        gated = choose(logits, self.k)
        flat, weights = tokens.flatten(0, 2), gated.weights.flatten(0, 2)
        out, kernels = flat.clone(), self.first.unflatten(0, self.first_bias.shape)[..., 0, 0]
        for i, weight in enumerate(weights.unbind(dim=-1)):
            mine = weight.nonzero().squeeze(-1)                                 # tokens of expert i
            hidden = functional.linear(flat[mine], kernels[i], self.first_bias[i])
            told = functional.linear(functional.gelu(hidden), self.second[i], self.second_bias[i])
            out.index_add_(0, mine, (weight[mine].unsqueeze(-1) * told).to(out.dtype))
        return out.view(tokens.shape).permute(0, 3, 1, 2), gated


def apply_folded(x: torch.Tensor, folded: Folded) -> torch.Tensor:
    """Return x + second(relu(first(x)))."""
    x, *weights = working(x, *folded)
    return conv_add(conv_relu(x, *weights[:2]), *weights[2:], x)


def balance_loss(gated: Gated) -> torch.Tensor:
    """CV^2 of the experts' importance (their gates) plus CV^2 of their chances to be chosen."""
    return sum(_squared_variation(x.flatten(0, -2).mean(dim=0)) for x in gated)


def _squared_variation(x: torch.Tensor) -> torch.Tensor:
    return x.var(unbiased=False) / (x.mean() ** 2 + 1e-8)
