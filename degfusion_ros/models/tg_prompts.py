# SPDX-License-Identifier: Apache-2.0
"""Task prompts: what a small CNN finds wrong with an image, as a mix of learned words."""

import torch
from torch import nn


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
