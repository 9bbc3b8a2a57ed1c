# SPDX-License-Identifier: Apache-2.0
"""What every fusion network takes and gives; packing, by which images meet the matrix units."""

from typing import NamedTuple

import torch


class Outputs(NamedTuple):
    """
    Images in about 0..1 (not clipped); None where not asked for.

    They are packed by `factor`: B x factor^2 C x H/factor x W/factor, see `pack`.
    """

    fused: torch.Tensor | None      # RGB
    visible: torch.Tensor | None    # RGB
    thermal: torch.Tensor | None
    factor: int

    def unpacked(self, name: str) -> torch.Tensor:
        """Return an image as B x 3 or 1 x H x W."""
        return unpack(getattr(self, name), self.factor)

    def bytes(self, name: str) -> torch.Tensor:
        """Return an image rounded to uint8, B x H x W x 3 or 1; packed still, it is less work."""
        # round_, not + 0.5: from 128 on bfloat16 holds integers only
        image = getattr(self, name).mul(255).round_().clamp_(0, 255).to(torch.uint8)
        return unpack(image, self.factor).permute(0, 2, 3, 1)


def pack(image: torch.Tensor, factor: int) -> torch.Tensor:
    """
    Move every factor x factor pixels into channels: B x factor^2 C x H/factor x W/factor.

    Pixel-unshuffle with the colour innermost, (dy, dx, c), which leaves runs of memory whole: in
    and out channels last, one copy.
    """
    b, c, h, w = image.shape
    f = factor
    split = image.permute(0, 2, 3, 1).reshape(b, h // f, f, w // f, f, c).transpose(2, 3)
    return split.reshape(b, h // f, w // f, f * f * c).permute(0, 3, 1, 2)


def unpack(packed: torch.Tensor, factor: int) -> torch.Tensor:
    """Undo `pack`; channels last in, channels last out."""
    b, c, h, w = packed.shape
    f = factor
    split = packed.permute(0, 2, 3, 1).reshape(b, h, w, f, f, c // (f * f)).transpose(2, 3)
    return split.reshape(b, h * f, w * f, c // (f * f)).permute(0, 3, 1, 2)


def unit(image: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return an image as `dtype` in 0..1; bytes are divided by 255."""
    return image.to(dtype).mul_(1 / 255) if image.dtype == torch.uint8 else image.to(dtype)
