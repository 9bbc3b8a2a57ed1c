# SPDX-License-Identifier: Apache-2.0
"""Which pairs a bag holds, found from all stamps at once, and what became of each."""

from bisect import bisect_left
from collections.abc import Mapping
from typing import NamedTuple, TYPE_CHECKING

from degfusion_ros.stream.offsets import offsets_ns
from degfusion_ros.stream.presence import other_of, STREAMS

if TYPE_CHECKING:
    from degfusion_ros.node.demo import Flight


class Sync(NamedTuple):
    """What makes two frames a pair, as the node's parameters say."""

    reference: str = 'visible'
    max_dt_ns: int = 50_000_000
    offsets_ns: Mapping[str, int] = dict.fromkeys(STREAMS, 0)


DEFAULT = Sync()


def sync_of(parameters: Mapping[str, object]) -> Sync:
    """Return that of all of the node's parameters."""
    exact = parameters['sync.policy'] == 'exact'
    return Sync(parameters['sync.reference'],
                0 if exact else round(parameters['sync.max_dt_s'] * 1e9), offsets_ns(parameters))


def planned_pairs(sent: Mapping[str, Mapping[int, int]], sync: Sync) -> dict[int, int]:
    """
    Return {stamp of the reference: its partner's} of the pairs a bag holds, stamps in ns.

    sent: of each stream the stamps that were. A pair is two frames that are nearest to each other,
    no further apart than they may be. Found from all stamps at once, not as the node does it.
    """
    stamps = {name: sorted(s + sync.offsets_ns[name] for s in sent[name]) for name in STREAMS}
    reference, other = sync.reference, other_of(sync.reference)
    pairs = {}
    for stamp in stamps[reference]:
        partner = _nearest(stamps[other], stamp)
        if partner is not None and abs(partner - stamp) <= sync.max_dt_ns \
                and _nearest(stamps[reference], partner) == stamp:
            pairs[stamp - sync.offsets_ns[reference]] = partner - sync.offsets_ns[other]
    return pairs


def fused_pairs(flight: 'Flight', pairs: Mapping[int, int]) -> int:
    """
    Return how many of `pairs` were fused, each frame with its own partner.

    Which ones the node does not say, but how many frames had a held partner or went alone.
    """
    back = sum(stamp in pairs for stamp in flight.fused)
    if 'pairs' not in flight.node:
        return back
    without = sum(int(n) for key, n in flight.node.items()
                  if key == 'held' or key.startswith('unusable.'))
    return min(back, max(int(flight.node['pairs']) - without, 0))


def dropped(flight: 'Flight', pairs: Mapping[int, int], sync: Sync) -> dict[str, int]:
    """
    Return how many of `pairs` were lost by each cause; with the fused ones they make all of them.

    Causes are the node's own, and: lost_in_transport, frames that never reached the node or took
    their partner with them; lost_on_the_way_back, fused but not received here; still_waiting; and
    fused_without, which had a held partner or went alone though the bag has one. The node does not
    say which frame it dropped: what it counts beyond these pairs had no partner in the bag.
    """
    reference, other = sync.reference, other_of(sync.reference)
    node = {k: int(v) for k, v in flight.node.items()
            if k.startswith(('received.', 'dropped.', 'waiting.', 'fused', 'in_progress'))}
    lost = {s: max(len(flight.sent[s]) - node.get(f'received.{s}', 0), 0) for s in flight.sent}
    causes: dict[str, int] = {}
    for key, count in node.items():
        if key.startswith((f'dropped.{reference}.', 'dropped.pairs.')):
            cause = key.rpartition('.')[2]
            causes[cause] = causes.get(cause, 0) + count
    # frames that had no partner in the bag, and were not fused without, are no lost pairs
    alone = sum(s not in pairs and s not in flight.fused for s in flight.sent[reference])
    for cause in ('no_partner', 'stale'):
        theirs = min(causes.get(cause, 0), alone)
        causes[cause] = causes.get(cause, 0) - theirs
        alone -= theirs
    orphans = causes['no_partner']
    # a frame of the other stream that was lost, or refused, leaves its partner without one
    widowed = min(orphans, lost[other])
    orphans -= widowed
    for key, count in node.items():
        if key.startswith(f'dropped.{other}.') and not key.endswith('.unused'):
            moved = min(count, orphans)
            orphans -= moved
            cause = f'{other}_{key.rpartition(".")[2]}'
            causes[cause] = causes.get(cause, 0) + moved
    causes['no_partner'] = orphans
    causes['lost_in_transport'] = lost[reference] + widowed
    causes['lost_on_the_way_back'] = max(node.get('fused', 0) - len(flight.fused), 0)
    causes['still_waiting'] = node.get('in_progress', 0) + node.get(f'waiting.{reference}', 0)
    fused = fused_pairs(flight, pairs)
    causes['fused_without'] = sum(s in pairs for s in flight.fused) - fused
    unaccounted = len(pairs) - fused - sum(causes.values())
    for cause in sorted(causes, key=causes.get, reverse=True):
        beyond = min(max(-unaccounted, 0), causes[cause])
        causes[cause] -= beyond
        unaccounted += beyond
    causes['unaccounted'] = unaccounted
    return {cause: n for cause, n in causes.items() if n}


def _nearest(stamps: list[int], stamp: int) -> int | None:
    at = bisect_left(stamps, stamp)
    return min(stamps[max(at - 1, 0):at + 1], key=lambda s: abs(s - stamp), default=None)
