# SPDX-License-Identifier: Apache-2.0
"""Flights of the demo as they might have been."""

from degfusion_ros.drive.recording import START_NS
from degfusion_ros.node.demo import Flight

MS = 1_000_000
STEP = 100 * MS


def flight(sent=10, fused=10, node=None, verdicts=(), thermal=None):
    """Make a flight of pairs 4 ms apart, each 30 ms late, of which the first ones are fused."""
    visible = {START_NS + i * STEP: i * STEP for i in range(sent)}
    heat = {s + 4 * MS: t + 2 * MS for s, t in list(visible.items())[:thermal]}
    back = {s: t + 32 * MS for s, t in list(visible.items())[:fused]}
    counts = {'received.visible': sent, 'received.thermal': len(heat), 'fused': fused,
              **(node or {})}
    return Flight({'visible': visible, 'thermal': heat}, back, list(verdicts), [],
                  {k: str(v) for k, v in counts.items()})
