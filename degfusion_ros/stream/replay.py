# SPDX-License-Identifier: Apache-2.0
"""Play simulated frames through a pairing and measure what it made of them."""

from bisect import bisect_left, bisect_right
from collections import Counter
from statistics import mean
from typing import NamedTuple

from degfusion_ros.stream.pairing import Pair, Pairer, RELEASE
from degfusion_ros.stream.presence import Presence
from degfusion_ros.stream.scenarios import Event, MS, Scenario
from degfusion_ros.stream.skew import SkewMeter

# As the node has them by default.
DEFAULTS = {'max_dt_ns': 50 * MS, 'wait_ns': 150 * MS, 'hold_ns': 300 * MS, 'capacity': 16,
            'release': RELEASE}
LOST_AFTER_NS = 300 * MS


class Made(NamedTuple):
    """A pair, or a single frame (then one of both is None), and when it was made."""

    visible: Event | None
    thermal: Event | None
    made_ns: int
    held: bool = False


def through_pairer(scenario: Scenario, events: list[Event]) -> tuple[list[Made], dict]:
    """Return what our pairing makes of the events, and its counts."""
    pairer = Pairer(presence=Presence(LOST_AFTER_NS), **(DEFAULTS | scenario.options))
    made = []

    def take(done, now):
        for one in done:
            if isinstance(one, Pair):
                made.append(Made(one.reference, one.other, now, one.held))
            else:
                both = {'visible': None, 'thermal': None} | {one.stream: one.item}
                made.append(Made(**both, made_ns=now))

    def run_to(now):
        while (due := pairer.next_due_ns()) is not None and due <= now:
            take(pairer.poll(due), due)

    for event in events:
        run_to(event.arrival_ns)
        take(pairer.add(event.stream, event.stamp_ns, event, event.arrival_ns), event.arrival_ns)
    run_to(events[-1].arrival_ns + 1000 * MS)
    received = Counter(event.stream for event in events)
    used = {'visible': pairer.paired, 'thermal': pairer.paired - pairer.reused}
    accounted = all(
        received[name] == used[name] + pairer.singles[name] + pairer.waiting[name]
        + sum(pairer.dropped[name].values()) for name in used)
    return made, {'dropped': pairer.dropped, 'waiting': pairer.waiting, 'accounted': accounted}


def measure(scenario: Scenario, events: list[Event], made: list[Made]) -> dict:
    """
    Return figures of one policy in one scenario, times in ms.

    `fused_share`: pairs by visible frames. `nearest_ms`: the mean distance of the nearest partner
    that the rules allow (max_dt_ns, hold_ns, arrived within wait_ns), for the same pairs: no
    pairing gets below it. `recovery`: visible frames before the first pair after each jump back.
    """
    options = DEFAULTS | {'offsets_ns': {'visible': 0, 'thermal': 0}} | scenario.options
    pairs = [one for one in made if one.visible and one.thermal]
    shift = options['offsets_ns']['thermal'] - options['offsets_ns']['visible']
    deltas = [abs(one.thermal.stamp_ns + shift - one.visible.stamp_ns) for one in pairs]
    waits = sorted((one.made_ns - (one.visible or one.thermal).arrival_ns) / MS for one in made)
    visible = len({(e.stamp_ns, _lap(scenario, e)) for e in events
                   if e.stream == 'visible' and e.stamp_ns > 0})
    return {
        'visible': visible, 'pairs': len(pairs), 'held': sum(one.held for one in pairs),
        'single': len(made) - len(pairs), 'fused_share': len(pairs) / visible,
        'delta_ms': {'mean': _ms(deltas), 'max': max(deltas, default=0) / MS},
        'nearest_ms': _ms(_nearest(scenario, events, pairs, options, shift)),
        'wait_ms': {'p50': waits[len(waits) // 2] if waits else None,
                    'max': waits[-1] if waits else None},
        'recovery': _recovery(scenario, events, pairs),
        'gap': scenario.visible.gap != scenario.thermal.gap}


def clocks(events: list[Event]) -> dict:
    """Return what the skew meter tells of these events."""
    meter = SkewMeter()
    for event in events:
        if event.stamp_ns > 0:
            meter.seen(event.stream, event.stamp_ns, event.arrival_ns)
    skew = meter.skew()
    return {'offset_ms': None if skew.offset_ns is None else skew.offset_ns / MS,
            'drift_ppm': skew.drift_ppm, 'error_ppm': skew.error_ppm}


def _ms(values):
    return mean(values) / MS if values else None


def _lap(scenario, event) -> int:
    """Return how often the bag had been played when a frame was taken, nearly."""
    if scenario.loop_s is None:
        return 0
    delay = getattr(scenario, event.stream).delay * MS
    return int((event.arrival_ns - delay) // (scenario.loop_s * 1000 * MS))


def _nearest(scenario, events, pairs, options, shift) -> list[int]:
    laps: dict[int, list[tuple[int, int]]] = {}
    for event in events:
        if event.stream == 'thermal' and event.stamp_ns > 0:
            laps.setdefault(_lap(scenario, event), []).append(
                (event.stamp_ns + shift, event.arrival_ns))
    for lap in laps.values():
        lap.sort()
    found = []
    for one in pairs:
        stamp, latest = one.visible.stamp_ns, one.visible.arrival_ns + options['wait_ns']
        lap = laps.get(_lap(scenario, one.visible), [])
        reach = max(options['max_dt_ns'], options['hold_ns'])
        near = lap[bisect_left(lap, (stamp - reach,)):
                   bisect_right(lap, (stamp + options['max_dt_ns'], 1 << 62))]
        found.append(min((abs(at - stamp) for at, arrival in near if arrival <= latest),
                         default=abs(one.thermal.stamp_ns + shift - stamp)))
    return found


def _recovery(scenario, events, pairs) -> list[int] | None:
    if scenario.loop_s is None:
        return None
    paired = {one.visible for one in pairs}
    laps: dict[int, list[bool]] = {}
    for event in events:
        if event.stream == 'visible':
            laps.setdefault(_lap(scenario, event), []).append(event in paired)
    return [lap.index(True) if True in lap else len(lap) for lap in list(laps.values())[1:]]
