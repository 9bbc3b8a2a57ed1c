# SPDX-License-Identifier: Apache-2.0
"""
Packing: factor x factor pixels become channels, by which images meet the matrix units.

It is pixel-unshuffle with the colour innermost, (dy, dx, c), which leaves runs of memory whole: in
and out channels last, one copy.
"""

from typing import NamedTuple

import numpy as np
import torch


class Packed(NamedTuple):
    """An image that is packed already, B x factor^2 C x H/factor x W/factor."""

    cells: torch.Tensor
    factor: int


Image = torch.Tensor | Packed


def pack(image: Image, factor: int) -> torch.Tensor:
    """Return B x C x H x W packed, B x factor^2 C x H/factor x W/factor."""
    if isinstance(image, Packed):
        if image.factor == factor:
            return image.cells
        image = pixels(image)
    b, c, h, w = image.shape
    f = factor
    rows = image.permute(0, 2, 3, 1).reshape(b * (h // f), f, w // f, f * c)
    return rows.transpose(1, 2).reshape(b, h // f, w // f, f * f * c).permute(0, 3, 1, 2)


def unpack(packed: torch.Tensor, factor: int) -> torch.Tensor:
    """Undo `pack`; channels last in, channels last out."""
    b, c, h, w = packed.shape
    f = factor
    rows = packed.permute(0, 2, 3, 1).reshape(b * h, w, f, c // f).transpose(1, 2)
    return rows.reshape(b, h * f, w * f, c // (f * f)).permute(0, 3, 1, 2)


def pixels(image: Image) -> torch.Tensor:
    """Return an image as B x C x H x W, packed or not."""
    return unpack(*image) if isinstance(image, Packed) else image


def pack_array(image: np.ndarray, factor: int, out: np.ndarray) -> None:
    """
    Pack B x H x W x C into `out`, B x H/factor x W/factor x factor^2 C, both contiguous.

    NumPy copies a cell's row as one element; an engine transposes byte by byte.
    """
    b, h, w, c = image.shape
    f = factor
    rows = image.reshape(b * (h // f), f, w // f, f * c)
    np.copyto(_runs(out.reshape(b * (h // f), w // f, f, f * c)),
              _runs(rows).transpose(0, 2, 1))


def unpack_array(packed: np.ndarray, factor: int) -> np.ndarray:
    """Undo `pack_array`: B x h x w x factor^2 C to a new B x H x W x C."""
    b, h, w, c = packed.shape
    f = factor
    image = np.empty((b, h * f, w * f, c // (f * f)), packed.dtype)
    np.copyto(_runs(image.reshape(b * h, f, w, c // f)),
              _runs(packed.reshape(b * h, w, f, c // f)).transpose(0, 2, 1))
    return image


def _runs(image: np.ndarray) -> np.ndarray:
    """View the last axis as one element."""
    return image.view(np.dtype((np.void, image.shape[-1] * image.itemsize)))[..., 0]
