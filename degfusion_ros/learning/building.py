# SPDX-License-Identifier: Apache-2.0
"""A fresh network of a training file's settings, held against the crops that it is to see."""

from collections.abc import Iterable

from degfusion_ros.learning.loop import TrainingError
from degfusion_ros.models.checkpoint import UNFIT
from degfusion_ros.models.network import FusionNetwork


def build(kind: type[FusionNetwork], settings: dict, crops: Iterable[int]) -> FusionNetwork:
    """Return a `kind` of `settings`; TrainingError where that, or a side of `crops`, can't be."""
    try:
        network = kind(**settings)
    except UNFIT as error:
        reason = str(error).partition('\n')[0]
        raise TrainingError(f'network: {settings}: makes none ({reason}); see config/train') \
            from error
    for crop in crops:
        if crop % network.multiple:
            fitting = -(-crop // network.multiple) * network.multiple
            raise TrainingError(f'crop: {crop}: this network takes multiples of '
                                f'{network.multiple}: give {fitting}')
    return network
