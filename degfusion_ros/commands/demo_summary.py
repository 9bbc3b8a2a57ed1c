# SPDX-License-Identifier: Apache-2.0
"""Sum a demo up: every pair that was sent is fused or dropped with a cause."""

from bisect import bisect_left
from typing import TYPE_CHECKING

import numpy as np

from degfusion_ros.drive.recording import stamp_to_time
from degfusion_ros.drive.schedule import Segment, segment_at

if TYPE_CHECKING:
    from degfusion_ros.node.demo import Flight

MAX_DT_NS = 50_000_000  # the node's default for what may be a pair
# A condition is held against the labels from so long after it began to come (the ramp, then two
# judgements in a row at 2 Hz) until so long before it has gone.
SETTLE_S, LEAVE_S = 1.75, 0.6


def summarise(flight: 'Flight', enough: float, plan: tuple[Segment, ...] | None) -> dict:
    """
    Return what summary.json holds.

    enough: share of pairs that has to be fused for passed = True. plan: the built-in drive's
    schedule; with it comes the agreement of the labels.
    """
    pairs = planned_pairs(list(flight.sent['visible']), list(flight.sent['thermal']))
    fused = len(flight.fused)
    start = min((min(s) for s in flight.sent.values() if s), default=0)
    delta = np.array([abs(pairs[s] - s) / 1e6 for s in flight.fused if s in pairs] or [0.0])
    latency = _latencies(flight, pairs)
    arrivals = sorted(flight.fused.values())
    seconds = (arrivals[-1] - arrivals[0]) / 1e9 if fused > 1 else 0.0
    share = fused / len(pairs) if pairs else 0.0
    losses = dropped(flight, len(pairs))
    summary = {
        'passed': share >= enough,
        'verdict': _verdict(fused, len(pairs), losses, enough),
        'pairs_sent': len(pairs),
        'fused': fused,
        'dropped': losses,
        'rate_hz': round((fused - 1) / seconds, 3) if seconds else 0.0,
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


def planned_pairs(visible: list[int], thermal: list[int]) -> dict[int, int]:
    """
    Return {visible stamp: thermal stamp} of the pairs a bag holds, stamps in ns.

    A pair is two frames that are nearest to each other, no further apart than MAX_DT_NS. Found
    here from all stamps at once, not as the node does it.
    """
    visible, thermal = sorted(visible), sorted(thermal)
    pairs = {}
    for stamp in visible:
        partner = _nearest(thermal, stamp)
        if partner is not None and abs(partner - stamp) <= MAX_DT_NS \
                and _nearest(visible, partner) == stamp:
            pairs[stamp] = partner
    return pairs


def dropped(flight: 'Flight', pairs: int) -> dict[str, int]:
    """
    Return how many pairs were lost by each cause; with the fused ones they make all pairs.

    Causes are the node's own, and: lost_in_transport, frames that never reached the node or took
    their partner with them; lost_on_the_way_back, fused but not received here; still_waiting.
    """
    node = {k: int(v) for k, v in flight.node.items()
            if k.startswith(('received.', 'dropped.', 'waiting.', 'fused', 'in_progress'))}
    lost = {s: len(flight.sent[s]) - node.get(f'received.{s}', 0) for s in flight.sent}
    causes: dict[str, int] = {}
    for key, count in node.items():
        if key.startswith(('dropped.visible.', 'dropped.pairs.')):
            cause = key.rpartition('.')[2]
            causes[cause] = causes.get(cause, 0) + count
    # Frames that had no partner in the bag are no lost pairs.
    alone = len(flight.sent['visible']) - pairs
    causes['no_partner'] = causes.get('no_partner', 0) - alone
    # A thermal frame that was lost, or refused, leaves its visible frame without a partner.
    orphans = max(causes['no_partner'], 0)
    widowed = min(orphans, max(lost['thermal'], 0))
    causes['no_partner'] -= widowed
    for key, count in node.items():
        if key.startswith('dropped.thermal.') and not key.endswith('.unused'):
            moved = min(count, max(causes['no_partner'], 0))
            causes['no_partner'] -= moved
            cause = f'thermal_{key.rpartition(".")[2]}'
            causes[cause] = causes.get(cause, 0) + moved
    causes['lost_in_transport'] = lost['visible'] + widowed
    causes['lost_on_the_way_back'] = node.get('fused', 0) - len(flight.fused)
    causes['still_waiting'] = node.get('in_progress', 0) + node.get('waiting.visible', 0)
    causes = {cause: n for cause, n in causes.items() if n}
    unaccounted = pairs - len(flight.fused) - sum(causes.values())
    return {**causes, **({'unaccounted': unaccounted} if unaccounted else {})}


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


def _verdict(fused: int, pairs: int, losses: dict[str, int], enough: float) -> str:
    if not pairs:
        return 'FAILED: the bag holds no visible and thermal frames that make a pair'
    share = fused / pairs
    text = f'{fused} of {pairs} pairs fused ({100 * share:.1f} %)'
    if share >= enough:
        return f'passed: {text}'
    cause = max(losses, key=losses.get)
    text = f'FAILED: {text}, {100 * enough:.0f} % are asked for; most were lost by: {cause}'
    if cause == 'busy':  # a slower replay is what shows all of it on this machine
        text += f' (too slow here for this rate; try --rate {max(0.8 * share, 0.01):.2g})'
    return text


def _nearest(stamps: list[int], stamp: int) -> int | None:
    at = bisect_left(stamps, stamp)
    return min(stamps[max(at - 1, 0):at + 1], key=lambda s: abs(s - stamp), default=None)


def _latencies(flight: 'Flight', pairs: dict[int, int]) -> dict[int, float]:
    """Return for each fused stamp the ms from its pair's last frame sent to its arrival."""
    found = {}
    for stamp, arrived in sorted(flight.fused.items()):
        if stamp in pairs:
            ready = max(flight.sent['visible'][stamp], flight.sent['thermal'][pairs[stamp]])
            found[stamp] = (arrived - ready) / 1e6
    return found


def _percentile(latency: dict[int, float], share: float) -> float:
    return round(float(np.percentile(list(latency.values()) or [0.0], share)), 2)


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 3) if whole else None
