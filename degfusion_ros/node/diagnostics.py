# SPDX-License-Identifier: Apache-2.0
"""The node's status in /diagnostics: what it does, what it waits for, what became of frames."""

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from std_msgs.msg import Header

from degfusion_ros.node.health import Health
from degfusion_ros.node.inputs import Inputs, STREAMS
from degfusion_ros.node.messages import key_values

FAR_BELOW = 4  # times one stream's rate below the other's: frames get lost on the way


def status_message(
        node: Node, level: bytes, state: str, device: str,
        values: dict[str, object]) -> DiagnosticArray:
    """Return the node's status as /diagnostics wants it, stamped now."""
    return DiagnosticArray(
        header=Header(stamp=node.get_clock().now().to_msg()),
        status=[DiagnosticStatus(
            level=level, name=f'{node.get_name()}: fusion', message=state, hardware_id=device,
            values=key_values({'state': state, **values}))])


def active_state(
        node: Node, inputs: Inputs, health: Health, warming: bool) -> tuple[bytes, str]:
    """Return the level and in words what an active node does or waits for."""
    if inputs.paused:
        return DiagnosticStatus.OK, 'paused'
    if warming:
        return DiagnosticStatus.OK, 'warming up for a new frame size'
    rates = {name: health.rates[name].hz() for name in STREAMS}
    silent = [name for name in STREAMS if rates[name] == 0]
    if silent:
        topics = ', '.join(
            f'{inputs.topics[name]} ({_publishers(node, inputs.topics[name])})'
            for name in silent)
        return DiagnosticStatus.WARN, f'waiting for {" and ".join(silent)}: {topics}'
    if health.rates['fused'].hz() == 0:
        return DiagnosticStatus.WARN, (
            'waiting for pairs: frames come, none is fused; see dropped.*, sync.max_dt_s')
    slow, fast = sorted(STREAMS, key=rates.get)
    if rates[slow] * FAR_BELOW < rates[fast]:
        return DiagnosticStatus.WARN, (
            f'running, but {slow} comes at {rates[slow]:.1f} Hz and {fast} at '
            f'{rates[fast]:.1f} Hz: if it is sent faster, frames get lost between processes; '
            'start both sides with the Fast DDS profile config/fastdds.xml')
    return DiagnosticStatus.OK, 'running'


def values(inputs: Inputs, health: Health) -> dict[str, object]:
    """
    Return rates, times and counters.

    received.S = pairs (less reused, for the stream that is not the reference) + waiting.S +
    the sum of dropped.S.*; pairs = fused + in_progress + the sum of dropped.pairs.*.
    """
    counts = {**inputs.matching.counts(), **health.counts()}
    counts = dict.fromkeys(('received.visible', 'received.thermal', 'pairs', 'fused'), 0) | counts
    lost = sum(n for key, n in counts.items() if key.startswith('dropped.pairs.'))
    counts['in_progress'] = counts['pairs'] - counts['fused'] - lost
    found = {
        f'rate_{"out" if name == "fused" else "in"}.{name}_hz': f'{rate.hz():.2f}'
        for name, rate in health.rates.items()}
    for stage, times in sorted(health.stages.summary().items()):
        for share, ms in times.items():
            found[f'{stage}_ms.{share}'] = f'{ms:.2f}'
    for name in STREAMS:
        info = inputs.infos.get(name)
        found[f'camera_info.{name}'] = f'{info.width}x{info.height}' if info else 'none'
    return {**found, **dict(sorted(counts.items()))}


def _publishers(node: Node, topic: str) -> str:
    count = node.count_publishers(topic)
    if count == 0:
        return 'nobody publishes it'
    return f'{count} publisher{"s" * (count > 1)}, but nothing comes: check QoS and transport'
