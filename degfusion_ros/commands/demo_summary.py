# SPDX-License-Identifier: Apache-2.0
"""Sum a demo up: every pair that was sent is fused or dropped with a cause."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from degfusion_ros.commands.demo_pairs import DEFAULT, dropped, fused_pairs, planned_pairs, Sync
from degfusion_ros.drive.recording import stamp_to_time
from degfusion_ros.drive.schedule import Segment, segment_at
from degfusion_ros.stream.presence import other_of

if TYPE_CHECKING:
    from degfusion_ros.node.demo import Flight

# A condition is held against the labels from so long after it began to come (the ramp, then two
# judgements in a row at 2 Hz) until so long before it has gone.
SETTLE_S, LEAVE_S = 1.75, 0.6


def summarise(flight: 'Flight', enough: float, plan: tuple[Segment, ...] | None,
              sync: Sync = DEFAULT, rate: float = 1.0) -> dict:
    """
    Return what summary.json holds.

    enough: share of pairs that has to be fused for passed = True; further_fused frames, which had
    the partner of another or went alone, are none of them. plan: the built-in drive's schedule;
    with it comes the agreement of the labels. sync: the node's. rate: times the recorded speed.
    """
    pairs = planned_pairs(flight.sent, sync)
    fused = fused_pairs(flight, pairs)
    start = min((min(s) for s in flight.sent.values() if s), default=0)
    apart = sync.offsets_ns[other_of(sync.reference)] - sync.offsets_ns[sync.reference]
    delta = np.array([abs(pairs[s] - s + apart) / 1e6 for s in flight.fused if s in pairs] or [0.0])
    latency = _latencies(flight, pairs, sync.reference)
    arrivals = sorted(flight.fused.values())
    seconds = (arrivals[-1] - arrivals[0]) / 1e9 if len(arrivals) > 1 else 0.0
    share = fused / len(pairs) if pairs else 0.0
    losses = dropped(flight, pairs, sync)
    summary = {
        'passed': share >= enough,
        'verdict': _verdict(fused, len(pairs), losses, enough, rate),
        'pairs_sent': len(pairs),
        'fused': fused,
        'further_fused': len(flight.fused) - fused,
        'dropped': losses,
        'rate_hz': round((len(arrivals) - 1) / seconds, 3) if seconds else 0.0,
        'latency_ms': {'p50': _percentile(latency, 50), 'p99': _percentile(latency, 99)},
        'delta_t_ms': {'mean': round(float(delta.mean()), 3), 'max': round(float(delta.max()), 3)},
        'degradation': [{'t': round((v.stamp_ns - start) / 1e9, 3), **v.severities,
                         **{f'{m}_labels': found for m, found in v.labels.items()}}
                        for v in flight.verdicts],
        'start_stamp_ns': start,
        'latencies': [[round((s - start) / 1e9, 3), round(ms, 1)] for s, ms in latency.items()],
        'node': flight.node,
    }
    if plan is not None:
        summary['agreement'] = agreement(flight, plan)
    return summary


def agreement(flight: 'Flight', plan: tuple[Segment, ...]) -> dict:
    """
    Hold the labels to the schedule, where a condition has come and is not all but gone.

    labels_found: by modality, the share of due labels that were active (None: none was due).
    exact: the share of judgements with just the due labels. segments: the same one by one, with
    the labels seen there.
    """
    by_name = {s.name: {'name': s.name, 'judged': 0, 'due': {**s.visible, **s.thermal},
                        'seen': {}} for s in plan}
    due_count, found_count, exact, judged = {}, {}, {}, {}
    for verdict in flight.verdicts:
        t = stamp_to_time(verdict.stamp_ns)
        segment = segment_at(t, plan)
        if not segment.t0 + SETTLE_S <= t <= segment.t1 - LEAVE_S:
            continue
        entry = by_name[segment.name]
        entry['judged'] += 1
        for modality, due in (('visible', set(segment.visible)), ('thermal', set(segment.thermal))):
            active = set(verdict.labels.get(modality, [])) - {'clean'}
            due_count[modality] = due_count.get(modality, 0) + len(due)
            found_count[modality] = found_count.get(modality, 0) + len(due & active)
            exact[modality] = exact.get(modality, 0) + (due == active)
            judged[modality] = judged.get(modality, 0) + 1
            for label in verdict.labels.get(modality, []):
                key = f'{modality} {label}'
                entry['seen'][key] = entry['seen'].get(key, 0) + 1
    return {'labels_found': {m: _share(found_count[m], n) for m, n in due_count.items()},
            'exact': {m: _share(exact[m], n) for m, n in judged.items()},
            'segments': list(by_name.values())}


def _verdict(fused: int, pairs: int, losses: dict[str, int], enough: float,
             rate: float) -> str:
    if not pairs:
        return 'FAILED: the bag holds no visible and thermal frames that make a pair'
    share = fused / pairs
    text = f'{fused} of {pairs} pairs fused ({100 * share:.1f} %)'
    if share >= enough:
        return f'passed: {text}'
    cause = max(losses, key=losses.get)
    text = f'FAILED: {text}, {100 * enough:.0f} % are asked for; most were lost by: {cause}'
    if cause == 'busy':  # a slower replay is what shows all of it on this machine
        text += f' (too slow here for this rate; try --rate {max(0.8 * share * rate, 0.01):.2g})'
    return text


def _latencies(flight: 'Flight', pairs: Mapping[int, int], reference: str) -> dict[int, float]:
    """Return for each fused stamp the ms from its pair's last frame sent to its arrival."""
    found = {}
    for stamp, arrived in sorted(flight.fused.items()):
        if stamp in pairs:
            ready = max(flight.sent[reference][stamp],
                        flight.sent[other_of(reference)][pairs[stamp]])
            found[stamp] = (arrived - ready) / 1e6
    return found


def _percentile(latency: dict[int, float], share: float) -> float:
    return round(float(np.percentile(list(latency.values()) or [0.0], share)), 2)


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 3) if whole else None
