# SPDX-License-Identifier: Apache-2.0
"""Packed colour pictures: their luminance, and changes of light and of colour told apart."""

import torch
from torch import nn
from torch.nn import functional

from degfusion_ros.models.layers import conv_add, working
from degfusion_ros.models.network import convolve, Seen

LUMA = (0.299, 0.587, 0.114)    # BT.601


class Colour(nn.Module):
    """
    Fixed convolutions on pictures packed by `factor`, B x 3 factor^2 x h x w, on the matrix units.

    A network of few channels cannot tell the noise of 48 numbers a cell. It need not: the eye sees
    luminance sharply and colour coarsely. A change of a picture is therefore a luminance for every
    pixel; a share by which each cell's chroma (RGB less luminance) stays; and three numbers a cell,
    smooth, that are added.
    """

    def __init__(self, factor: int):
        super().__init__()
        self.pixels = factor ** 2
        eye, weights = torch.eye(self.pixels), torch.tensor([LUMA])
        chroma = torch.eye(3) - weights     # RGB to RGB less luminance
        near = bilinear(factor)[:, 0]       # pixels x 3 x 3 cells
        # both read all four numbers of a cell: one channel alone takes four times as long
        spread = torch.einsum('pyx,cd->pcdyx', near, torch.eye(4)[1:]).flatten(0, 1)
        share = torch.einsum('pyx,cd->pcdyx', near, torch.eye(4)[:1].expand(3, 4)).flatten(0, 1)
        for name, kernel in (
                ('luma', torch.kron(eye, weights)[..., None, None]),
                ('grey', torch.kron(eye, torch.ones(3, 1))[..., None, None]),
                ('mean', chroma.repeat(1, self.pixels)[..., None, None] / self.pixels),
                ('bare', torch.kron(eye, chroma)[..., None, None]),
                ('spread', spread), ('share', share)):
            self.register_buffer(name, kernel, persistent=False)

    def forward(self, packed: torch.Tensor) -> torch.Tensor:
        """Return the luminance of every pixel, B x factor^2 x h x w."""
        return functional.conv2d(*working(packed, self.luma))

    def chroma(self, packed: Seen) -> torch.Tensor:
        """Return the picture less its luminance, of the same shape."""
        return convolve(packed, self.bare)

    def coarse(self, packed: Seen) -> torch.Tensor:
        """Return the mean chroma of every cell, float32, B x 3 x h x w."""
        return convolve(packed, self.mean, torch.float32)

    def change(self, light: torch.Tensor, cells: torch.Tensor,
               chroma: torch.Tensor) -> torch.Tensor:
        """
        Return a change of a picture: `light` + a share of its `chroma` + what is near.

        B x factor^2 x h x w; `cells` (B x 4 x h x w), the share and three numbers, is interpolated.
        """
        change = conv_add(*working(light, self.grey), None, over_cells(cells, self.spread))
        return torch.addcmul(change, over_cells(cells, self.share), chroma)


def luma(like: torch.Tensor) -> torch.Tensor:
    """Return the weights of R, G and B, made where `like` is: a CUDA graph copies none there."""
    return torch.stack([like.new_full((), weight) for weight in LUMA])


def bilinear(factor: int) -> torch.Tensor:
    """Return what interpolates cell centres to the pixels of a cell, factor^2 x 1 x 3 x 3."""
    place = (torch.arange(factor) + 0.5) / factor - 0.5          # of a pixel in its cell
    line = torch.stack([(-place).clamp(min=0), 1 - place.abs(), place.clamp(min=0)], dim=1)
    return torch.einsum('iy,jx->ijyx', line, line).flatten(0, 1)[:, None]


def over_cells(x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Convolve a map of cells by 3x3; beyond the border it goes on as it ends."""
    padded = functional.pad(x.to(kernel.dtype), (1, 1, 1, 1), mode='replicate')
    return functional.conv2d(*working(padded, kernel))
