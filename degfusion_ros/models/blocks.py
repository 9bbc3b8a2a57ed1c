# SPDX-License-Identifier: Apache-2.0
"""
Blocks of both networks: Restormer's transformer block, a plain convolution block, changes of scale.

Restormer (Zamir et al., CVPR 2022) attends over channels, so its cost grows with the pixels and not
with their square. The processor still prefers convolutions where there are many pixels: each level
of a network is of one of two KINDS.
"""

import torch
from torch import nn
from torch.nn import functional

from degfusion_ros.models.layers import conv_add, conv_relu, working

KINDS = ('conv', 'attention')
_EXPANSION = 2.66   # of the feed-forward network, as published


class ChannelNorm(nn.LayerNorm):
    """Normalise the channels of every pixel, B x C x H x W."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Keep shape and layout."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Attention(nn.Module):
    """Multi-head transposed attention: C/heads x C/heads weights mix the channels of a head."""

    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.near = nn.Conv2d(3 * channels, 3 * channels, 3, padding=1, groups=3 * channels,
                              bias=False)
        self.out = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """B x C x H x W to the same."""
        b, c, h, w = x.shape
        qkv = self.near(self.qkv(x)).reshape(b, 3, self.heads, c // self.heads, h * w)
        q, k, v = qkv.unbind(1)                                     # B x heads x C/heads x HW
        q, k = functional.normalize(q, dim=-1), functional.normalize(k, dim=-1)
        mix = (q @ k.transpose(-2, -1) * self.temperature).softmax(dim=-1)
        return self.out((mix.to(v.dtype) @ v).reshape(b, c, h, w))


class FeedForward(nn.Module):
    """Gated feed-forward network with depthwise convolution."""

    def __init__(self, channels: int):
        super().__init__()
        hidden = int(channels * _EXPANSION)
        self.inner = nn.Conv2d(channels, 2 * hidden, 1, bias=False)
        self.near = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=False)
        self.out = nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """B x C x H x W to the same."""
        gate, value = self.near(self.inner(x)).chunk(2, dim=1)
        return self.out(functional.gelu(gate) * value)


class TransformerBlock(nn.Module):
    """Attention, then the feed-forward network, each around a residual."""

    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.norms = nn.ModuleList(ChannelNorm(channels) for _ in range(2))
        self.attention, self.feed = Attention(channels, heads), FeedForward(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """B x C x H x W to the same."""
        x = x + self.attention(self.norms[0](x))
        return x + self.feed(self.norms[1](x))


class ConvBlock(nn.Module):
    """x + 1x1(relu(3x3(x))): no norm, nothing but what the matrix units do."""

    def __init__(self, channels: int):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 1)
        nn.init.normal_(self.second.weight, std=0.5 * channels ** -0.5)
        nn.init.zeros_(self.second.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """B x C x H x W to the same."""
        x, w1, b1, w2, b2 = working(x, self.first.weight, self.first.bias, self.second.weight,
                                    self.second.bias)
        return conv_add(conv_relu(x, w1, b1), w2, b2, x)


def blocks(kind: str, count: int, channels: int, heads: int) -> nn.Sequential:
    """Stack `count` blocks of one kind."""
    return nn.Sequential(*(ConvBlock(channels) if kind == 'conv' else
                           TransformerBlock(channels, heads) for _ in range(count)))


def down(kind: str, channels: int, wider: int) -> nn.Module:
    """Halve the resolution; `kind` is the finer level's."""
    if kind == 'conv':
        return nn.Conv2d(channels, wider, 2, stride=2)
    return nn.Sequential(nn.Conv2d(channels, wider // 4, 3, padding=1, bias=False),
                         nn.PixelUnshuffle(2))


def up(kind: str, wider: int, channels: int) -> nn.Module:
    """Double the resolution; `kind` is the finer level's."""
    if kind == 'conv':
        return nn.ConvTranspose2d(wider, channels, 2, stride=2)
    return nn.Sequential(nn.Conv2d(wider, 4 * channels, 3, padding=1, bias=False),
                         nn.PixelShuffle(2))


class Concatenation(nn.Module):
    """Restormer's join: both halves side by side, on coarse levels brought back by 1x1."""

    def __init__(self, channels: int, out: int):
        super().__init__()
        self.reduce = nn.Identity() if out == 2 * channels else \
            nn.Conv2d(2 * channels, out, 1, bias=False)

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """Two B x C x H x W to B x out x H x W."""
        return self.reduce(torch.cat([x, skip], dim=1))


class Sum(nn.Module):
    """The same for a transposed convolution, which needs no second matrix of its own."""

    def __init__(self, channels: int):
        super().__init__()
        self.skip = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """Two B x C x H x W to one."""
        skip, weight, bias, x = working(skip, self.skip.weight, self.skip.bias, x)
        return conv_add(skip, weight, bias, x)


def join(kind: str, channels: int, out: int) -> nn.Module:
    """Join the upsampled features with the encoder's."""
    return Sum(channels) if kind == 'conv' else Concatenation(channels, out)
