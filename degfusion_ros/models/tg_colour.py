# SPDX-License-Identifier: Apache-2.0
"""Luminance and chroma of packed images: TG-ECNet restores and fuses luminance."""

import torch

_LUMA = (0.299, 0.587, 0.114)


def split(rgb: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Packed RGB (B x 3n x H x W, colour innermost) to BT.601 luma (B x n) and chroma (B x 2n).

    Chroma is R - Y of all n pixels, then B - Y.
    """
    colours = rgb.permute(0, 2, 3, 1).unflatten(-1, (-1, 3))            # B x H x W x n x 3
    planes = colours.transpose(-1, -2).contiguous()
    red, green, blue = planes.unbind(dim=-2)
    y = _LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue
    chroma = torch.cat([red - y, blue - y], dim=-1)
    return y.permute(0, 3, 1, 2), chroma.permute(0, 3, 1, 2)


def join(y: torch.Tensor, chroma: torch.Tensor) -> torch.Tensor:
    """Undo `split`."""
    y, chroma = y.permute(0, 2, 3, 1), chroma.permute(0, 2, 3, 1)
    red, blue = chroma.chunk(2, dim=-1)
    green = (_LUMA[0] * red + _LUMA[2] * blue) * (-1 / _LUMA[1])
    return torch.stack([y + red, y + green, y + blue], dim=-1).flatten(-2).permute(0, 3, 1, 2)
