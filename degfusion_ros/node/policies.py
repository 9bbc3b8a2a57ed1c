# SPDX-License-Identifier: Apache-2.0
"""Simulated frames through message_filters' own policies, to be held beside our pairing."""

from types import SimpleNamespace

from std_msgs.msg import Header

from degfusion_ros.node import compatibility
from degfusion_ros.node.matching import Frame, NS, Synchronised
from degfusion_ros.stream.pairing import Pair
from degfusion_ros.stream.presence import Presence, STREAMS
from degfusion_ros.stream.replay import Made
from degfusion_ros.stream.scenarios import Event, Scenario

QUEUE_SIZE = 16  # as sync.queue_size by default
SLOP_S = 0.05  # as sync.max_dt_s


def available() -> str:
    """Return '' where message_filters can be imported, or why it cannot."""
    return compatibility.message_filters()[1]


def through(policy: str, scenario: Scenario, events: list[Event]) -> tuple[list[Made], dict]:
    """Return what a policy (exact, approximate) makes of the events, and its counts."""
    offsets_ns = scenario.options.get('offsets_ns', dict.fromkeys(STREAMS, 0))
    filters, _ = compatibility.message_filters()
    made: list[Made] = []
    settings = {'sync.policy': policy, 'sync.queue_size': QUEUE_SIZE,
                'sync.max_dt_s': SLOP_S, 'sync.reference': 'visible',
                **{f'sync.offset_{name}_s': offsets_ns[name] / NS for name in STREAMS}}
    now = 0

    def take(pair: Pair) -> None:
        made.append(Made(pair.reference.message.event, pair.other.message.event, now))

    matching = Synchronised(filters, settings, Presence(0), take)
    for event in events:
        now = event.arrival_ns
        header = Header()
        header.stamp.sec, header.stamp.nanosec = divmod(event.stamp_ns, NS)
        matching.add(event.stream, Frame(SimpleNamespace(header=header, event=event), now))
    return made, {'unmatched': {
        name: matching.counts()[f'dropped.{name}.unmatched'] for name in STREAMS}}
