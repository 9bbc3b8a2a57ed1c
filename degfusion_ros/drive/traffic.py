# SPDX-License-Identifier: Apache-2.0
"""
Who moves where, and when: the script of the drive.

All times are seconds from the start; meeting times say when the ego car is level with someone.
"""

from dataclasses import dataclass

import numpy as np

from degfusion_ros.drive.camera import LANE

CROSSINGS = (9.5, 20.0, 35.0, 43.5)  # when the ego car reaches each zebra crossing
ONCOMING = (3.0, 11.4, 13.6, 22.0, 25.0, 28.5, 30.0, 37.2, 46.0, 49.0)
OVERTAKEN_CYCLISTS = (7.8, 17.5, 31.5, 41.0)
MET_CYCLISTS = (5.2, 23.6, 34.0)
WALKERS = (1.8, 3.6, 5.4, 6.9, 8.6, 10.8, 12.9, 15.2, 16.4, 18.9, 21.3, 23.1, 26.0, 27.4, 29.4,
           32.4, 33.7, 36.4, 38.6, 40.2, 42.2, 45.0, 46.5, 48.0)


def ego_position(t: float) -> float:
    """Return metres driven at time t: about 9 m/s, slower and faster in turn."""
    return 9.0 * t - 8.0 * (1 - np.cos(0.2 * t)) * 0.5


@dataclass(frozen=True)
class Mover:
    """Someone on the move: kind is walker, crosser, cyclist or car."""

    kind: str
    s: float
    d: float
    look: int
    phase: int  # step of the stride
    leftwards: bool = False
    oncoming: bool = False


def _stride(metres: float, length: float) -> int:
    return int(metres / length * 8) % 8


def _walkers(t: float) -> list[Mover]:
    found = []
    for i, met in enumerate(WALKERS):
        speed = 1.2 + 0.1 * (i % 4)
        towards = i % 3 != 0
        s = ego_position(met) + (-speed if towards else speed) * (t - met)
        d = (6.3 + 0.35 * (i % 5)) if i % 3 != 1 else -4.35 - 0.3 * (i % 4)
        # Odd looks face the camera.
        found.append(Mover('walker', s, d, (2 * i + towards) % 12, _stride(speed * t + i, 1.5)))
    return found


def _crossers(t: float) -> list[Mover]:
    found = []
    for i, met in enumerate(CROSSINGS):
        for j, speed in enumerate((1.4, 1.3)[:1 + i % 2]):
            walked = speed * (t - met + 9.3 - 0.8 * j)
            if -1.0 < walked < 13.5:
                leftwards = i % 2 == 0
                d = 7.2 - walked if leftwards else -5.8 + walked
                s = ego_position(met) + 1.0 + 1.1 * j
                found.append(Mover('crosser', s, d, 3 * i + j + 1, _stride(walked, 1.5), leftwards))
    return found


def _cyclists(t: float) -> list[Mover]:
    found = []
    for i, met in enumerate(OVERTAKEN_CYCLISTS):
        s = ego_position(met) + 4.6 * (t - met)
        found.append(Mover('cyclist', s, 3.35, 2 * i, _stride(4.6 * t, 4.5)))
    for i, met in enumerate(MET_CYCLISTS):
        s = ego_position(met) - 4.9 * (t - met)
        found.append(Mover('cyclist', s, -3.2, 2 * i + 1, _stride(4.9 * t, 4.5), oncoming=True))
    return found


def _cars(t: float) -> list[Mover]:
    found = []
    for i, met in enumerate(ONCOMING):
        s = ego_position(met) - 11.0 * (t - met)
        found.append(Mover('car', s, -LANE, i, 0, oncoming=True))
    gap = 23 + 7 * np.sin(0.21 * t + 0.6) + max(t - 33, 0) * 4.0  # the car ahead pulls away
    found.append(Mover('car', ego_position(t) + gap, LANE - 0.05, 2, 0))
    return found


def movers(t: float) -> list[Mover]:
    """Return everyone on the move at time t, wherever they are."""
    return _walkers(t) + _crossers(t) + _cyclists(t) + _cars(t)
