# SPDX-License-Identifier: Apache-2.0
"""Packed colour pictures: their luminance, and changes of light and of colour told apart."""

import torch
from torch import nn
from torch.nn import functional

from degfusion_ros.models.layers import conv_add, working

LUMA = (0.299, 0.587, 0.114)    # BT.601


class Colour(nn.Module):
    """
    Fixed convolutions on pictures packed by `factor`, B x 3 factor^2 x h x w, on the matrix units.

    A network of few channels cannot tell the noise of 48 numbers a cell. It need not: the eye sees
    luminance sharply and colour coarsely, so a change is a luminance for every pixel, a colour
    shift for every cell, and a share by which colour gives way to its smooth surroundings.
    """

    def __init__(self, factor: int):
        super().__init__()
        self.pixels = factor ** 2
        self.told = self.pixels + 4         # channels of a change: luminances, colour, share
        eye, luma = torch.eye(self.pixels), torch.tensor([LUMA])
        chroma = torch.eye(3) - luma        # RGB to RGB less luminance
        near = bilinear(factor)[:, 0]       # pixels x 3 x 3 cells
        shift = torch.einsum('pyx,cd->pcdyx', near, torch.eye(3)).flatten(0, 1)
        # a share and a shift of four channels: a convolution of one alone takes four times as long
        share = torch.einsum('pyx,cd->pcdyx', near, torch.eye(4)[3:].expand(3, 4)).flatten(0, 1)
        both = functional.pad(shift, (0, 0, 0, 0, 0, 1))
        for name, kernel in (
                ('luma', torch.kron(eye, luma)[..., None, None]),
                ('grey', torch.kron(eye, torch.ones(3, 1))[..., None, None]),
                ('mean', chroma.repeat(1, self.pixels)[..., None, None] / self.pixels),
                ('bare', -torch.kron(eye, chroma)[..., None, None]),
                ('near', shift), ('shift', both), ('share', share)):
            self.register_buffer(name, kernel, persistent=False)

    def forward(self, packed: torch.Tensor) -> torch.Tensor:
        """Return the luminance of every pixel, B x factor^2 x h x w."""
        return functional.conv2d(*working(packed, self.luma))

    def smoothing(self, packed: torch.Tensor) -> torch.Tensor:
        """Return what makes a picture's colour the mean of its surroundings, when added to it."""
        mean = functional.conv2d(*working(packed, self.mean))
        return conv_add(*working(packed, self.bare), None, over_cells(mean, self.near))

    def change(self, told: torch.Tensor, smoothing: torch.Tensor) -> torch.Tensor:
        """Return the change of a picture that B x `told` x h x w tells; `smoothing`: its own."""
        light, shift, share = told.split([self.pixels, 3, 1], dim=1)
        cells = torch.cat([shift, share.sigmoid()], dim=1)
        change = conv_add(*working(light, self.grey), None, over_cells(cells, self.shift))
        return torch.addcmul(change, over_cells(cells, self.share), smoothing)


def bilinear(factor: int) -> torch.Tensor:
    """Return what interpolates cell centres to the pixels of a cell, factor^2 x 1 x 3 x 3."""
    place = (torch.arange(factor) + 0.5) / factor - 0.5          # of a pixel in its cell
    line = torch.stack([(-place).clamp(min=0), 1 - place.abs(), place.clamp(min=0)], dim=1)
    return torch.einsum('iy,jx->ijyx', line, line).flatten(0, 1)[:, None]


def over_cells(x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Convolve a map of cells by 3x3; beyond the border it goes on as it ends."""
    padded = functional.pad(x.to(kernel.dtype), (1, 1, 1, 1), mode='replicate')
    return functional.conv2d(*working(padded, kernel))
