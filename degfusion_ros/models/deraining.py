# SPDX-License-Identifier: Apache-2.0
"""
A deraining network of its own, for frames with which nothing but rain is wrong: ours, no paper's.

A streak is a pixel or two wide. The fusion network's cells of 4x4 pixels tell it from a leaf only
by what they learnt of textures under every other degradation, too; this one works at half the
resolution, on rain alone. Only who asks for the restored visible image pays for it, and only while
it rains.
"""

import torch
from torch import nn
from torch.nn import functional

from degfusion_ros.models.enhancement import FACTOR, FAINTEST, scene_statistics, STATISTICS
from degfusion_ros.models.labels import VISIBLE_LABELS
from degfusion_ros.models.network import Sum, unit
from degfusion_ros.models.packing import Image, pack, pixels

WIDTHS = 40, 64, 96, 96
SHARE = 0.95        # of the restored image; two that err in ways of their own err less together
HALF = 2                            # pixels a side of what becomes channels
_RAIN = VISIBLE_LABELS.index('rain')
_STAYS = 0.3                        # of the way from not there to there
# what else makes the restored image another one than a dry picture; blur does not, little can be
# done about it, and soft drops look like it
_OTHERS = [i for i, name in enumerate(VISIBLE_LABELS) if name not in ('rain', 'blur')]
_LEAST = 0.06                       # severity up to which it is dry
_CLEAR = 0.15, 0.3                  # severities from which on others count, and count in full


class Residual(nn.Module):
    """Two 3x3 convolutions around a leaky ReLU, and a way past them; keeps the shape."""

    def __init__(self, channels: int):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """B x C x H x W to the same."""
        return x + self.second(functional.leaky_relu(self.first(x), 0.1))


class Deraining(nn.Module):
    """
    A plain U-Net from RGB to what rain added to it, four levels from half the resolution on.

    Its coarsest level is told what the whole frame is like: how thick the veil of far drops is
    shows in whether anything is dark still. It starts by changing nothing.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS):
        super().__init__()
        numbers = 3 * HALF ** 2
        pairs = list(zip(widths, widths[1:]))
        self.open = nn.Conv2d(numbers, widths[0], 3, padding=1)
        self.encoder = nn.ModuleList(nn.Sequential(Residual(c), Residual(c)) for c in widths)
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairs)
        self.ups = nn.ModuleList(nn.Conv2d(b, 4 * a, 1) for a, b in pairs)
        self.whole = nn.Sequential(nn.Linear(STATISTICS[0], 32), nn.ReLU(),
                                   nn.Linear(32, widths[-1]))
        nn.init.zeros_(self.whole[-1].weight)
        nn.init.zeros_(self.whole[-1].bias)
        self.decoder = nn.ModuleList(Residual(a) for a, _ in pairs)
        self.head = nn.Conv2d(widths[0], numbers, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def _load_from_state_dict(self, state: dict, prefix: str, *rest: object) -> None:
        for name, value in self.whole.state_dict(prefix=f'{prefix}whole.').items():
            state.setdefault(name, value)       # of before it was told: what it starts with is 0
        super()._load_from_state_dict(state, prefix, *rest)

    def forward(self, image: torch.Tensor, statistics: torch.Tensor | None = None) -> torch.Tensor:
        """
        B x 3 x H x W in 0..1 to the change of it; H and W are multiples of 2^levels.

        `statistics` (B x 10) are those of the frame that the image is a crop of; its own if None.
        """
        if statistics is None:
            statistics = scene_statistics(image)
        x, levels = self.open(functional.pixel_unshuffle(image - 0.5, HALF)), []
        for i, blocks in enumerate(self.encoder):
            if i == len(self.downs):
                told = self.whole(statistics.to(self.head.weight.dtype))
                x = x + told[..., None, None].to(x.dtype)
            x = blocks(x)
            if i < len(self.downs):
                levels.append(x)
                x = self.downs[i](x)
        for i in reversed(range(len(levels))):
            x = self.decoder[i](functional.pixel_shuffle(self.ups[i](x), 2) + levels[i])
        return functional.pixel_shuffle(self.head(x), HALF)


def rain_alone(judged: torch.Tensor) -> torch.Tensor:
    """Return how far rain, blurred or not, is all that is wrong, 0..1, of severities N x 10."""
    share = _there(judged[:, _RAIN], _LEAST, FAINTEST)
    for i in _OTHERS:
        share = share * (1 - _there(judged[:, i], *_CLEAR))
    return share


def rain_and_more(judged: torch.Tensor, already: bool = False) -> torch.Tensor:
    """
    Tell of severities N x 10 whether it rains and more than rain and blur is wrong, N bools.

    What was so `already` stays so for a little less of either: else pictures would flicker.
    """
    less = _STAYS if already else 0.0
    return (_there(judged[:, _RAIN], _LEAST, FAINTEST) >= 0.5 - less) & \
        (rain_alone(judged) < 0.5 + less)


def _there(severity: torch.Tensor, least: float, full: float) -> torch.Tensor:
    return ((severity - least) / (full - least)).clamp(0, 1)


def derained(deraining: Deraining, image: Image, restored: Sum,
             judged: torch.Tensor) -> Sum:
    """
    Let the deraining network's picture take the place of `restored`, nearly, if it rains alone.

    `image` is B x 3 x H x W, bytes or 0..1, packed or not; `restored` a change of it by cells;
    `judged` (F x 10) the severities of each of F equal runs of images.
    """
    change = deraining(unit(pixels(image), deraining.head.weight.dtype))
    share = rain_alone(judged).repeat_interleave(len(change) // len(judged), dim=0)
    cells = torch.lerp(restored.change.float(), pack(change, FACTOR).float(),
                       SHARE * share.view(-1, 1, 1, 1))
    return Sum(restored.picture, cells)
