# SPDX-License-Identifier: Apache-2.0
"""
Tone curves of whole frames, a + (1 + b) y + c sqrt(y) + d y^2, before restoration proper.

Ours, not the papers': night, glare and weak contrast are mostly one curve over the frame, which a
small network of few pixels around would spend itself on. They start as the identity.
"""

import torch
from torch import nn

TERMS = 4       # constant, linear, root, square
LIMITS = 0.5, 14.0, 6.0, 6.0        # of an exposure's terms; a night may need 14 times the light


def toned(luminance: torch.Tensor, tone: torch.Tensor) -> torch.Tensor:
    """Apply a tone (B x TERMS or more) to luminance, B x C x H x W in 0..1."""
    a, b, c, d = tone[:, :TERMS, None, None, None].unbind(dim=1)
    return a + luminance * (1 + b + d * luminance) + c * luminance.clamp(min=0).sqrt()


def top(tone: torch.Tensor, steps: int = 65) -> torch.Tensor:
    """
    Return the luminance, in 0..1, for which tones (B x TERMS) are highest, B x 1 x 1 x 1.

    A curve that fits a dark scene may fall again where only lamps are, and would hollow them out:
    what is toned is to be cut here.
    """
    # finer towards black, where the root rises steeply
    grid = torch.linspace(0, 1, steps, device=tone.device).square().view(1, 1, 1, -1)
    curve = toned(grid, tone)
    return torch.where(curve >= curve.amax(dim=3, keepdim=True), grid, 0).amax(dim=3, keepdim=True)


def slope(luminance: torch.Tensor, tone: torch.Tensor, darkest: float = 0.01) -> torch.Tensor:
    """Return a tone's derivative: what the curve, taken channel by channel, makes of chroma."""
    _, b, c, d = tone[:, :TERMS, None, None, None].unbind(dim=1)
    return 1 + b + 2 * d * luminance + 0.5 * c * luminance.clamp(min=darkest).rsqrt()


class Tone(nn.Module):
    """A tone read off a prompt, with a gain of chroma for its last number."""

    def __init__(self, prompt: int):
        super().__init__()
        self.gain = prompt ** -0.5      # a step of Adam moves a curve by hundredths
        self.curve = nn.Linear(prompt, TERMS + 1)
        nn.init.zeros_(self.curve.weight)
        nn.init.zeros_(self.curve.bias)

    def forward(self, prompts: torch.Tensor) -> torch.Tensor:
        """Return the coefficients of F prompts, F x (TERMS + 1)."""
        return self.curve(prompts) * self.gain


def about(statistics: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """
    Return what is told of whole frames, B x (2 n + m).

    Their statistics (B x n, 0..1), also as logarithms, for a night's all lie near 0 and what tells
    nights apart is their ratio; and labels (B x m, 0 absent .. 1 there).
    """
    return torch.cat([3 * statistics - 1, torch.log(statistics + 0.01) + 1.5, seen], dim=1)


class Exposure(nn.Sequential):
    """
    A tone read off what is told of a whole frame (`about`).

    How dark a frame is tells which curve darkened it, within what daylight scenes look like.
    """

    def __init__(self, told: int, width: int = 128):
        super().__init__(nn.Linear(told, width), nn.ReLU(),
                         nn.Linear(width, width), nn.ReLU(), nn.Linear(width, TERMS))
        nn.init.zeros_(self[-1].weight)
        nn.init.zeros_(self[-1].bias)
        self.register_buffer('limits', torch.tensor(LIMITS), persistent=False)

    def forward(self, told: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
        """B x `told` to `share` (B x 1, 0..1) of a tone."""
        limits = self.limits.float()
        return limits * torch.tanh(super().forward(told) / limits) * share
