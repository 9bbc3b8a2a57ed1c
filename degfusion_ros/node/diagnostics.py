# SPDX-License-Identifier: Apache-2.0
"""The node's status in /diagnostics: what it does, what it waits for, what became of frames."""

import re
import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from std_msgs.msg import Header

from degfusion_ros.node.cameras import Cameras, NS
from degfusion_ros.node.health import Health
from degfusion_ros.node.inputs import Inputs
from degfusion_ros.node.messages import key_values
from degfusion_ros.node.running import Running
from degfusion_ros.stream.presence import other_of, STREAMS

FAR_BELOW = 4  # times one stream's rate below the other's: frames get lost on the way
UNPAIRED_S = 1.5  # both cameras send, and no pair for as long
BUSY = 0.05  # share of the recent pairs that a node which keeps up may drop as busy
STALE_S = 5.0  # neither camera has sent for as long


def status_message(
        node: Node, level: bytes, state: str, device: str,
        values: dict[str, object]) -> DiagnosticArray:
    """Return the node's status as /diagnostics wants it, stamped now."""
    return DiagnosticArray(
        header=Header(stamp=node.get_clock().now().to_msg()),
        status=[DiagnosticStatus(
            level=level, message=state, hardware_id=device,
            name=f'{node.get_fully_qualified_name().lstrip("/")}: fusion',  # each pair its own
            values=key_values({'state': state, **values}))])


def active_state(
        node: Node, inputs: Inputs, health: Health, running: Running) -> tuple[bytes, str]:
    """Return the level and in words what an active node does or waits for."""
    if inputs.paused:
        return DiagnosticStatus.OK, 'paused'
    if running.pipeline.warming:
        return DiagnosticStatus.OK, 'warming up for a new frame size'
    if _resuming(inputs):
        return DiagnosticStatus.OK, 'resuming'
    now, cameras = time.monotonic_ns(), inputs.cameras
    troubles = {name: cameras.trouble(name, now) for name in STREAMS}
    words = {name: f'{name} {what}: {inputs.topics[name]} '
                   f'({why or _publishers(node, inputs.topics[name])})'
             for name, (what, why) in troubles.items() if what}
    if len(words) == len(STREAMS):
        told = '; '.join(words.values())
        return _nothing_comes(cameras, now), f'waiting for both cameras: {told}'
    for name, told in words.items():
        if held := _on_held(health, name):
            return DiagnosticStatus.WARN, f'{held}: {told}'
        if cameras.presence.lost_after_ns:
            return DiagnosticStatus.WARN, f'degraded, {other_of(name)} alone: {told}'
        return DiagnosticStatus.WARN, f'waiting for {told}'
    unpaired_ns = cameras.presence.unpaired_ns(now)
    slower = min(health.rates[name].hz() for name in STREAMS)
    if unpaired_ns is None or unpaired_ns > _patience_s(slower) * NS:
        goes_on = [held for name in STREAMS if (held := _on_held(health, name))]
        goes_on += [f'degraded, {name} alone' for name in STREAMS if cameras.alone(name, now)]
        return DiagnosticStatus.WARN, (
            (goes_on[0] if goes_on else 'waiting for pairs')
            + f': both cameras send, {cameras.unpaired()}')
    passing = [told for name in (*STREAMS, 'pairs') if (told := cameras.passing_trouble(name))]
    if _stalled(health):
        return DiagnosticStatus.WARN, (
            f'pairs come, none is fused: {"; ".join(passing) or "see dropped.pairs.*"}')
    if passing := passing or [told for told in [cameras.changed(now)] if told]:
        return DiagnosticStatus.WARN, f'running, but {"; ".join(passing)}'
    if blank := [told for name in STREAMS if (told := cameras.blank(name, now))]:
        return DiagnosticStatus.WARN, f'running, but {"; ".join(blank)}'
    lasting = (running.judge.trouble(), _busy(health), cameras.clock_trouble(),
               _misaligned(health), _uneven(health))
    if told := '; '.join(filter(None, lasting)):
        return DiagnosticStatus.WARN, f'running, but {told}'
    if health.idle and _unheard(health):
        return DiagnosticStatus.OK, 'running, not fusing: nobody subscribes to a picture'
    return DiagnosticStatus.OK, 'running'


def _busy(health: Health) -> str:
    share = health.busy.value()
    if share <= BUSY or _unheard(health):  # a mosaic now and then may take its time
        return ''
    return (f'too slow for its cameras: {health.rates["fused"].hz():.1f} Hz are fused, '
            f'{100 * share:.0f} % of the pairs dropped as busy: take a smaller model.name, or set '
            'output.size lower')


def _misaligned(health: Health) -> str:
    off = health.misalignment
    if off is None or not health.misaligned:
        return ''
    return (f'the thermal picture lies {off.px:.0f} px off the visible one '
            f'({off.dx:+.0f}, {off.dy:+.0f} on average): calibrate, or correct registration.file')


def _uneven(health: Health) -> str:
    rates = {name: health.rates[name].hz() for name in STREAMS}
    slow, fast = sorted(STREAMS, key=rates.get)
    known = min(health.rates[name].span_s() for name in STREAMS) > UNPAIRED_S
    if not known or rates[slow] * FAR_BELOW >= rates[fast]:
        return ''
    return (f'{slow} comes at {rates[slow]:.1f} Hz and {fast} at {rates[fast]:.1f} Hz: if it is '
            'sent faster, frames get lost between processes; start both sides with the Fast DDS '
            'profile config/fastdds.xml')


def _unheard(health: Health) -> bool:
    return time.monotonic() - health.unheard_s < UNPAIRED_S


def _stalled(health: Health) -> bool:
    """Tell whether nothing has been published for a while, though somebody listens."""
    if _unheard(health):
        return False
    age_s, hz = health.rates['fused'].age_s(), health.rates['fused'].hz()
    return age_s is None or age_s > _patience_s(hz)


def _patience_s(hz: float) -> float:
    """Return after how long what comes at a rate is late, three periods of a slow camera."""
    return max(UNPAIRED_S, 3 / hz if hz else 0)


def _on_held(health: Health, lost: str) -> str:
    """Return in words that frames of a lost stream are fused again and again, '' if not."""
    stream, age_ms = health.held or ('', 0.0)
    if stream != lost or _stalled(health):
        return ''
    return f'running on held {stream} frames ({age_ms:.0f} ms old)'


def gist(level: bytes, state: str, mode: str) -> tuple[bytes, str, str]:
    """Return what is new when it changes: not figures, nor which cause was the last of several."""
    return level, re.sub(r'[\d.]+', '', state.split(':')[0].split('(')[0]), mode


def lost_streams(inputs: Inputs, health: Health) -> set[str]:
    """Return whose camera is lost, where no frame passes any more by which the worker knows."""
    if inputs.paused or _resuming(inputs) or not _stalled(health):
        return set()
    now = time.monotonic_ns()
    return {name for name in STREAMS if inputs.cameras.trouble(name, now)[0]}


def degraded_mode(inputs: Inputs) -> str:
    """Return whose camera is lost and how, 'none' in normal operation."""
    if inputs.paused or _resuming(inputs):
        return 'none'
    cameras, now_ns = inputs.cameras, time.monotonic_ns()
    found = [f'{name} {what}' for name in STREAMS
             if (what := cameras.trouble(name, now_ns)[0])]
    if not found:
        found = [f'{other_of(name)} out of time' for name in STREAMS
                 if cameras.alone(name, now_ns)]
    return ', '.join(found) or 'none'


def _resuming(inputs: Inputs) -> bool:
    """Tell whether a pause, in which nobody looks who comes, ended too lately to miss a camera."""
    if inputs.resumed_ns is None:
        return False
    now = time.monotonic_ns()
    since_ns, unpaired_ns = now - inputs.resumed_ns, inputs.cameras.presence.unpaired_ns(now)
    grace_ns = min(max(UNPAIRED_S * NS, inputs.cameras.presence.lost_after_ns), STALE_S * NS)
    return since_ns < grace_ns and (unpaired_ns is None or unpaired_ns > since_ns)


def _nothing_comes(cameras: Cameras, now_ns: int) -> bytes:
    """Return the level while no camera sends: after a while what was published is stale."""
    ages = [age for name in STREAMS
            if (age := cameras.presence.age_ns(name, now_ns)) is not None]
    stale = ages and min(ages) > STALE_S * NS
    return DiagnosticStatus.STALE if stale else DiagnosticStatus.WARN


def values(inputs: Inputs, health: Health) -> dict[str, object]:
    """
    Return rates, times and counters.

    received.S = pairs (less reused, for the stream that is not the reference) + single.S +
    waiting.S + the sum of dropped.S.*; pairs + single.visible + single.thermal = fused +
    unheard + in_progress + the sum of dropped.pairs.*.
    """
    counts = {**inputs.matching.counts(), **health.counts()}
    counts = dict.fromkeys((
        'received.visible', 'received.thermal', 'pairs', 'fused', 'unheard'), 0) | counts
    lost = sum(n for key, n in counts.items() if key.startswith('dropped.pairs.'))
    put = counts['pairs'] + sum(counts[f'single.{name}'] for name in STREAMS)
    counts['in_progress'] = put - counts['fused'] - counts['unheard'] - lost
    now = time.monotonic_ns()
    found = {'degraded_mode': degraded_mode(inputs), **inputs.cameras.values(now)}
    found |= {
        f'rate_{"out" if name == "fused" else "in"}.{name}_hz': f'{rate.hz():.2f}'
        for name, rate in health.rates.items()}
    for stage, times in sorted(health.stages.summary().items()):
        for share, ms in times.items():
            found[f'{stage}_ms.{share}'] = f'{ms:.2f}'
    for name in STREAMS:
        info = inputs.infos.get(name)
        found[f'camera_info.{name}'] = f'{info.width}x{info.height}' if info else 'none'
    off = health.misalignment
    found['misalignment_px'] = 'unknown' if off is None else f'{off.px:.1f}'
    return {**found, **dict(sorted(counts.items()))}


def _publishers(node: Node, topic: str) -> str:
    count = node.count_publishers(topic)
    if count == 0:
        return 'nobody publishes it'
    return f'{count} publisher{"s" * (count > 1)}, but nothing comes: check QoS and transport'
