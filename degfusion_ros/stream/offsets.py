# SPDX-License-Identifier: Apache-2.0
"""How far the cameras' clocks are apart, as the parameters `sync.offset_*_s` tell."""

from typing import Protocol

from degfusion_ros.stream.presence import STREAMS

NS = 1_000_000_000


class Parameters(Protocol):
    """Values of the node's parameters by their names."""

    def __getitem__(self, name: str) -> object:
        """Return the value of a parameter."""


def offsets_ns(parameters: Parameters) -> dict[str, int]:
    """Return what is added to either stream's stamps before they are compared."""
    # int() makes 2009999999 of 2.01 s: stamps may have to be equal
    return {name: round(parameters[f'sync.offset_{name}_s'] * NS) for name in STREAMS}


def to_reference_ns(parameters: Parameters, stream: str) -> int:
    """Return what makes a stamp of `stream` one by the clock of the reference, as pairs have it."""
    found = offsets_ns(parameters)
    return found[stream] - found[parameters['sync.reference']]
