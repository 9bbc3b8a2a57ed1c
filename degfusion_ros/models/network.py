# SPDX-License-Identifier: Apache-2.0
"""What every fusion network takes and gives."""

from collections.abc import Callable, Hashable
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from degfusion_ros.models.layers import eager, engines_dtype, working
from degfusion_ros.models.packing import Image, unpack

BAND = 24           # rows that `banded` works on at a time
OUTPUTS = ('fused', 'visible', 'thermal')
State = object      # what `steer` decides: tensors in lists, dicts and named tuples


class FusionNetwork(nn.Module):
    """
    A fusion network: `steer` now and then, `forward` every frame.

    `kind` names it in checkpoints, `multiple` is what H and W must be multiples of, `config` its
    constructor's arguments, ready for JSON.
    """

    kind: str
    multiple: int
    config: dict
    recordable = True       # what forward does hangs on sizes alone, see models/recorded.py
    factor = 1              # pixels a side that it packs images by, and its Outputs are packed by

    def at(self, dtype: torch.dtype) -> 'FusionNetwork':
        """Get ready to run every frame in `dtype`, once; autocast does the rest."""
        return self

    def gate(self, vector: torch.Tensor, visible: torch.Tensor | None,
             thermal: torch.Tensor | None) -> torch.Tensor:
        """
        Return the numbers that steer, which may be mixed with those of the judgement before.

        `vector` is d_deg, 1 x 512 float32, of the pair `visible` (1 x 3 x H x W) and `thermal`
        (1 x 1 x H x W), uint8; None where no pair was judged yet. It steers by itself, unless a
        network judges the pair on its own.
        """
        return vector

    def decide(self, gate: torch.Tensor, dtype: torch.dtype) -> State:
        """
        Decide for all later frames by what `gate` returned; slow, off the frame's path.

        The State's tensors are `dtype`, their shapes are always the same; its structure is the
        same for each `variant`.
        """
        raise NotImplementedError

    def forget(self) -> None:
        """Let go of what was made for sizes of images so far, and of the memory that it holds."""

    def variant(self, state: State, outputs: tuple[str, ...]) -> Hashable:
        """Tell apart what a frame does: what is the same for two states is one program."""
        return None

    def complete(self, state: State) -> State:
        """Return the state for a program that serves every other state too, leaving nothing out."""
        return state

    def dries(self, gate: torch.Tensor, already: bool = False) -> bool:
        """
        Tell whether the restored visible image is to be made of the `dried` picture.

        `gate` is what it returned, `already` what this said of the last one; the dried picture is
        then judged by itself.
        """
        return False

    def dried(self, visible: torch.Tensor) -> torch.Tensor:
        """Return B x 3 x H x W, uint8, without rain, in the same form."""
        raise NotImplementedError

    def steer(self, vector: torch.Tensor, visible: torch.Tensor | None,
              thermal: torch.Tensor | None, dtype: torch.dtype) -> State:
        """Decide by one pair alone, see `gate` and `decide`."""
        return self.decide(self.gate(vector, visible, thermal), dtype)

    def forward(self, visible: Image, thermal: Image, state: State,
                outputs: tuple[str, ...] = ('fused',)) -> 'Outputs':
        """Fuse B x 3 x H x W and B x 1 x H x W, uint8 or floating point in 0..1; packed or not."""
        raise NotImplementedError

    def stages(self, visible: torch.Tensor, thermal: torch.Tensor,
               state: State) -> dict[str, torch.Tensor]:
        """Return what it makes of a pair on the way, by name: 1 x 1 or 3 x H x W in 0..1."""
        return {}


class Sum(NamedTuple):
    """A picture told as another one, bytes or 0..1, and its change, which need not be exact."""

    picture: torch.Tensor
    change: torch.Tensor


class Outputs(NamedTuple):
    """
    Images in about 0..1 (not clipped); None where not asked for.

    They are packed by `factor`: B x factor^2 C x H/factor x W/factor, see models/packing.py.
    """

    fused: torch.Tensor | Sum | None    # RGB
    visible: torch.Tensor | Sum | None  # RGB
    thermal: torch.Tensor | Sum | None
    factor: int

    def unpacked(self, name: str) -> torch.Tensor:
        """Return an image as B x 3 or 1 x H x W."""
        image = getattr(self, name)
        if isinstance(image, Sum):
            image = unit(image.picture) + image.change.float()
        return unpack(image, self.factor)

    def bytes(self, name: str) -> torch.Tensor:
        """Return an image rounded to uint8, B x H x W x 3 or 1."""
        return unpack(self.packed_bytes(name), self.factor).permute(0, 2, 3, 1)

    def packed_bytes(self, name: str) -> torch.Tensor:
        """Return an image rounded to uint8, packed still."""
        image = getattr(self, name)
        parts = image if isinstance(image, Sum) else (image,)
        whole, = banded(_rounded, *parts, dtypes=(torch.uint8,))
        return whole


def _rounded(image: torch.Tensor, *change: torch.Tensor) -> tuple[torch.Tensor]:
    scaled = _as_it_lies(image, torch.float32) if image.dtype == torch.uint8 else image.mul(255)
    for x in change:
        scaled = torch.add(scaled, x.float(), alpha=255)
    return scaled.round().clamp(0, 255),


def unit(image: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return an image as `dtype` in 0..1; bytes are divided by 255."""
    if image.dtype != torch.uint8:
        return image.to(dtype)
    return (_as_it_lies(image, engines_dtype(dtype)) * (1 / 255)).to(dtype)


class Seen(NamedTuple):
    """A picture as convolutions read it, see `seen`."""

    image: torch.Tensor
    scale: float


def seen(image: torch.Tensor, dtype: torch.dtype = torch.float32) -> Seen:
    """
    Return bytes or 0..1 as `dtype` for `convolve`.

    Bytes are exact in bfloat16 too; to divide them is left to what is made of them, which is less.
    """
    if image.dtype != torch.uint8:
        return Seen(image.to(dtype), 1.0)
    return Seen(_as_it_lies(image, engines_dtype(dtype)).to(dtype), 1 / 255)


def convolve(picture: Seen, kernel: torch.Tensor,
             dtype: torch.dtype | None = None) -> torch.Tensor:
    """Convolve a picture as one in 0..1, without padding; scaled in `dtype`, if given."""
    if picture.scale == 1:
        found = functional.conv2d(*working(picture.image, kernel))
        return found if dtype is None else found.to(dtype)
    # a power of two keeps the kernel what it is, in any precision
    found = functional.conv2d(*working(picture.image, kernel / 256))
    return (found if dtype is None else found.to(dtype)) * (256 * picture.scale)


def _as_it_lies(image: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Convert channels-last bytes in the order of memory: engines take a permuted view for work."""
    return image.permute(0, 2, 3, 1).to(dtype).permute(0, 3, 1, 2)


def banded(function: Callable[..., tuple[torch.Tensor, ...]], *images: torch.Tensor,
           dtypes: tuple[torch.dtype, ...]) -> tuple[torch.Tensor, ...]:
    """
    Return `function(*images)` of an elementwise function, B x C x H x W each, in `dtypes`.

    On a CPU it goes from band to band of rows, which stay in the cache from the function's first
    step to its last: passes over whole pictures wait for memory.
    """
    height = images[0].shape[2]
    if not eager(images[0]) or height <= BAND:
        return tuple(x.to(dtype) for x, dtype in zip(function(*images), dtypes))
    whole: tuple[torch.Tensor, ...] = ()
    for top in range(0, height, BAND):
        rows = slice(top, top + BAND)
        band = function(*(image[:, :, rows] for image in images))
        whole = whole or tuple(
            x.new_empty(len(x), height, x.shape[3], x.shape[1], dtype=dtype).permute(0, 3, 1, 2)
            for x, dtype in zip(band, dtypes))
        for out, x in zip(whole, band):
            out[:, :, rows] = x
    return whole
