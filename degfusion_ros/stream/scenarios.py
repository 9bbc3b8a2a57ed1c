# SPDX-License-Identifier: Apache-2.0
"""Two cameras as they are on real robots, simulated: the cases that pairing has to bear."""

from dataclasses import dataclass, field
import random
from typing import NamedTuple

MS, S = 1_000_000, 1_000_000_000
START_NS = 1_700_000_000 * S  # a stamp of our days


class Event(NamedTuple):
    """A frame that arrives."""

    arrival_ns: int
    stream: str
    stamp_ns: int


@dataclass(frozen=True)
class Camera:
    """
    One camera. Times in ms: `delay` of the transport, `spread` of it at random (exponential),
    `jitter` of the capture (normal); its clock is `behind` and falls behind by `drift_ppm`.

    Shares of the frames that are `repeated`, that have `zero` stamps, that come `swapped` with
    the one after. `gap`: from and to which second nothing comes.
    """

    hz: float
    phase: float = 0.0
    delay: float = 2.0
    spread: float = 0.0
    jitter: float = 0.0
    behind: float = 0.0
    drift_ppm: float = 0.0
    repeated: float = 0.0
    zero: float = 0.0
    swapped: float = 0.0
    gap: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Scenario:
    """Two cameras and how they are paired; `loop_s`: the stamps begin anew so often."""

    name: str
    visible: Camera
    thermal: Camera
    options: dict = field(default_factory=dict)  # of the Pairer, beside the node's defaults
    loop_s: float | None = None


VISIBLE = Camera(30)
HOLD, NO_HOLD = {'hold_ns': 300 * MS}, {'hold_ns': 0}
SCENARIOS = (
    Scenario('one trigger for both', VISIBLE, VISIBLE),
    Scenario('30 Hz and 30 Hz', VISIBLE, Camera(30, phase=4)),
    Scenario('9 Hz thermal, hold', VISIBLE, Camera(9, phase=4)),
    Scenario('9 Hz thermal, no hold', VISIBLE, Camera(9, phase=4), NO_HOLD),
    Scenario('25 Hz thermal, hold', VISIBLE, Camera(25, phase=4)),
    Scenario('25 Hz thermal, no hold', VISIBLE, Camera(25, phase=4), NO_HOLD),
    Scenario('60 Hz thermal', VISIBLE, Camera(60, phase=4)),
    Scenario('60 Hz thermal, 30 ms late', VISIBLE, Camera(60, phase=4, delay=30)),
    Scenario('thermal 100 ms late', VISIBLE, Camera(30, phase=4, delay=100)),
    Scenario('visible 100 ms late', Camera(30, delay=100), Camera(30, phase=4)),
    Scenario('capture jitter 4 ms', Camera(30, jitter=4), Camera(30, phase=4, jitter=4)),
    Scenario('transport spread 15 ms', Camera(30, spread=15), Camera(30, phase=4, spread=15)),
    Scenario('thermal clock 35 ms behind, offset set', VISIBLE, Camera(30, phase=4, behind=35),
             {'offsets_ns': {'visible': 0, 'thermal': 35 * MS}}),
    Scenario('thermal clock drifts by 300 ppm', VISIBLE, Camera(30, phase=4, drift_ppm=300)),
    Scenario('out of order, repeated, zero stamps',
             Camera(30, swapped=0.05, repeated=0.05, zero=0.02),
             Camera(30, phase=4, swapped=0.05, repeated=0.05, zero=0.02)),
    Scenario('bag of 4 s in a loop', VISIBLE, Camera(30, phase=4), loop_s=4.0),
    Scenario('bag of 4 s in a loop, thermal 80 ms late', VISIBLE, Camera(30, phase=4, delay=80),
             loop_s=4.0),
    Scenario('bag of 4 s in a loop, 60 Hz thermal', VISIBLE, Camera(60, phase=4), loop_s=4.0),
    Scenario('thermal lost for 5 s', VISIBLE, Camera(30, phase=4, gap=(5, 10))),
    Scenario('visible lost for 5 s', Camera(30, gap=(5, 10)), Camera(30, phase=4)),
    Scenario('shutter closed for 1 s, hold of 1.2 s', VISIBLE, Camera(30, phase=4, gap=(5, 6)),
             {'hold_ns': 1200 * MS}),
)


def play(scenario: Scenario, seconds: float, seed: int = 0) -> list[Event]:
    """Return what arrives, in order of arrival; the same for the same seed."""
    chance = random.Random(f'{scenario.name} {seed}')
    events = []
    for stream in ('visible', 'thermal'):
        events += _one(getattr(scenario, stream), stream, seconds, scenario.loop_s, chance)
    return sorted(events)


def _one(camera: Camera, stream: str, seconds: float, loop_s: float | None,
         chance: random.Random) -> list[Event]:
    events = []
    for index in range(int(seconds * camera.hz)):
        at_s = index / camera.hz + camera.phase / 1e3
        if camera.gap[0] <= at_s < camera.gap[1]:
            continue
        taken = at_s * S + chance.gauss(0, 1) * camera.jitter * MS
        arrival = taken + camera.delay * MS
        arrival += chance.expovariate(1 / camera.spread) * MS if camera.spread else 0
        if chance.random() < camera.swapped:
            arrival += 1.2 * S / camera.hz
        shown = taken if loop_s is None else taken % (loop_s * S)
        stamp = START_NS + round(shown - camera.behind * MS - camera.drift_ppm * 1e-6 * taken)
        stamp = 0 if chance.random() < camera.zero else stamp
        events.append(Event(round(arrival), stream, stamp))
        if chance.random() < camera.repeated:
            events.append(Event(round(arrival) + 1, stream, stamp))
    return events
