# SPDX-License-Identifier: Apache-2.0
"""Task prompts: what a small CNN finds wrong with an image, as a mix of learned words."""

import torch
from torch import nn

TONE = 5        # constant, linear, root, square; chroma gain


class Prompts(nn.Module):
    """
    A dictionary of learned prompts; a softmax over its entries, chosen by a CNN, mixes them.

    The CNN is shown imaging.views.guidance_view of the whole frame: a crop of it would tell
    neither night from shadow nor fog from sky.
    """

    def __init__(self, words: int = 32, size: int = 256, width: int = 32):
        super().__init__()
        self.look = nn.Sequential(
            nn.Conv2d(3, width, 4, stride=4), nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(2 * width, 3 * width, 3, stride=2, padding=1), nn.ReLU())
        # mean and maximum of each of the view's four tiles
        self.norm = nn.LayerNorm(24 * width)
        self.choose = nn.Linear(24 * width, words)
        # a fresh mix of all words is of the size of one number in a normalised layer
        self.dictionary = nn.Parameter(torch.randn(words, size) * words ** 0.5)

    def forward(self, views: torch.Tensor) -> torch.Tensor:
        """Judge uint8 views, F x 3 x 224 x 224; returns prompts, F x `size`, float32."""
        seen = self.look(views.to(self.dictionary.dtype).div(127.5).sub(1)).float()
        tiles = torch.cat([nn.functional.adaptive_avg_pool2d(seen, 2),
                           nn.functional.adaptive_max_pool2d(seen, 2)], dim=1).flatten(1)
        shares = self.choose(self.norm(tiles)).float().softmax(dim=1)
        with torch.autocast(views.device.type, enabled=False):
            return shares @ self.dictionary.float()


class Tone(nn.Module):
    """
    A curve for each image, a + (1 + b) y + c sqrt(y) + d y^2, before restoration proper.

    Ours, not the paper's: night, glare and weak contrast are mostly one curve over the frame, which
    a small network would spend itself on. Starts as the identity.
    """

    def __init__(self, prompt: int):
        super().__init__()
        self.gain = prompt ** -0.5      # a step of Adam moves a curve by hundredths
        self.curve = nn.Linear(prompt, TONE)
        nn.init.zeros_(self.curve.weight)
        nn.init.zeros_(self.curve.bias)

    def forward(self, prompts: torch.Tensor) -> torch.Tensor:
        """Return the coefficients of F prompts, F x TONE."""
        return self.curve(prompts) * self.gain


def toned(luminance: torch.Tensor, tone: torch.Tensor) -> torch.Tensor:
    """Apply a tone (B x TONE) to luminance, B x C x H x W in 0..1."""
    a, b, c, d = tone[:, :4, None, None, None].unbind(dim=1)
    return a + luminance * (1 + b + d * luminance) + c * luminance.clamp(min=0).sqrt()
