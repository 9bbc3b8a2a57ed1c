# SPDX-License-Identifier: Apache-2.0
"""`fuse-bag`: all that what comes out next hangs on; an interrupted run goes on from it."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from degfusion_ros.imaging.thermal import scaler, ThermalScaler
from degfusion_ros.node.lonely import StandIn
from degfusion_ros.stream.labels import LabelFilter
from degfusion_ros.stream.offsets import offsets_ns
from degfusion_ros.stream.pairing import Pairer
from degfusion_ros.stream.presence import Presence, STREAMS

NS = 1_000_000_000
WAIT_NS = NS // 2  # of the bag's time: longer than in the node, for here it delays nobody
CAPACITY = 128  # frames of a stream that may wait so long; decoded, they are a few MB each


class Frame(NamedTuple):
    """A frame that can be used: uint8 RGB, or thermal in the camera's own units."""

    time_ns: int  # recorded
    stamp_ns: int
    frame_id: str
    picture: np.ndarray


class Options(NamedTuple):
    """What was asked for; topics: of both images and of their camera_info ('': none)."""

    visible: str
    thermal: str
    infos: dict[str, str]  # by stream
    name: str
    outputs: tuple[str, ...]
    settings: dict[str, object]  # the node's parameters


def _pairer(options: Options) -> Pairer:
    told = options.settings
    return Pairer(told['sync.reference'], max_dt_ns=round(told['sync.max_dt_s'] * NS),
                  wait_ns=WAIT_NS, hold_ns=round(told['sync.hold_s'] * NS), capacity=CAPACITY,
                  presence=Presence(round(told['sync.lost_after_s'] * NS)),
                  offsets_ns=offsets_ns(told))


def new_scaler(options: Options) -> ThermalScaler:
    """Return the scaler of the parameters, with no frame behind it."""
    return scaler(*(value for name, value in options.settings.items()
                    if name.startswith('thermal.')))


def _filters(options: Options) -> dict[str, LabelFilter]:
    off, on = options.settings['degradation.hysteresis']
    return {name: LabelFilter(on, off, options.settings['degradation.count']) for name in STREAMS}


@dataclass
class State:
    """Everything that what comes out next hangs on, but the bag."""

    pairer: Pairer
    scaler: ThermalScaler
    filters: dict[str, LabelFilter]
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)  # written last
    scaled: tuple[Frame, np.ndarray] | None = None  # a thermal frame may be held
    refused: Frame | None = None  # the last thermal frame that was of no use to a pair
    misfit_ns: int = 0  # since when no pair fits the registration, 0: the last one did
    infos: dict[str, bytes] = field(default_factory=dict)  # the newest camera_info by stream
    stand_in: StandIn = field(default_factory=StandIn)
    missing: str = ''  # whose frames have stopped
    read: int = 0  # messages
    clock_ns: int = 0  # the latest recorded time
    judged_ns: int | None = None
    waiting: list[tuple] = field(default_factory=list)  # heap of (time, count, topic, type, raw)
    put: int = 0
    fused: int = 0
    alone: int = 0
    bad: int = 0
    ended: bool = False
    steering: tuple[np.ndarray, ...] | None = None  # the fuser's, when saved

    @classmethod
    def new(cls, options: Options) -> 'State':
        """Return the state before the first message."""
        return cls(_pairer(options), new_scaler(options), _filters(options))
