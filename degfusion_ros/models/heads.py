# SPDX-License-Identifier: Apache-2.0
"""What a dgmoe's heads say of a cell: pictures of 16 pixels, then its change of colour."""

import torch
from torch import nn
from torch.nn import functional

from degfusion_ros.models.enhancement import FACTOR
from degfusion_ros.models.layers import conv_add, for_engine, working

GREY = FACTOR ** 2
COLOUR = 1, 1, 3    # of the chroma a gain, how much of it gives way to its surroundings', a shift
Told = list[torch.Tensor]


def told(x: torch.Tensor, head: nn.Conv2d, tint: torch.Tensor, own: nn.Conv2d) -> Told:
    """
    Return head(x) + own(tint) in parts: pictures of GREY channels, and COLOUR.

    An engine splits in a pass over all channels, so there each picture is a convolution of its own.
    """
    sizes = [GREY] * (head.out_channels // GREY) + [sum(COLOUR)]
    kernels = head.weight, head.bias, own.weight
    apart = for_engine()
    parts = [conv_add(*working(tint, mine), None,
                      functional.conv2d(*working(x, weight, bias), padding=1))
             for weight, bias, mine in (zip(*(k.split(sizes) for k in kernels)) if apart
                                        else [kernels])]
    *pictures, colour = parts if apart else parts[0].split(sizes, dim=1)
    return [*pictures, *colour.split(COLOUR, dim=1)]
