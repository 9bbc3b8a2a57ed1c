# SPDX-License-Identifier: Apache-2.0
"""The real node in a process of its own for a long time, with cameras that fail."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
import threading
import time

from diagnostic_msgs.msg import DiagnosticArray
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image

from degfusion_ros import bags
from degfusion_ros.node.process import isolate, NodeProcess
from degfusion_ros.node.soak_cameras import Due, Rig, SIZES
from degfusion_ros.node.soak_faults import Fault

START_S = 180.0  # for the node to load its model, the first time from a cold disk
DRAIN_S = 20.0  # for the last pairs to come back


class SoakError(RuntimeError):
    """A soak that could not be carried through; one line says why."""


@dataclass
class Log:
    """What a soak has seen; times in seconds from its first frame."""

    fusable: dict[int, Due] = field(default_factory=dict)  # by stamp
    fused: set[int] = field(default_factory=set)  # stamps that came back
    sent: dict[str, int] = field(default_factory=dict)
    memory: list[tuple[float, float]] = field(default_factory=list)  # time, MB
    statuses: list[tuple[float, str]] = field(default_factory=list)  # time, what the node says
    values: dict[str, str] = field(default_factory=dict)  # of the last status
    state: str = ''
    seconds: float = 0.0


def soak(seconds: float, rate_hz: float, faults: list[Fault], output: Path, seed: int,
         parameters: dict[str, object], on_state: Callable[[float, str], None]) -> Log:
    """
    Send two streams of small frames at `rate_hz` with the faults; writes output/node.log.

    on_state: told how many seconds are over, and in words what goes on. Raises SoakError.
    """
    isolate()
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node('soak')
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    spinner = threading.Thread(target=executor.spin, name='spin', daemon=True)
    height, width = SIZES[0]
    given = {'autostart': True, 'model.warm_up_size': f'{width}x{height}', **parameters}
    try:
        with NodeProcess(given, output / 'node.log') as process:
            watch = Watch(node, process)
            spinner.start()
            try:
                rig = Rig(node, seed)
                on_state(0.0, 'starting the fusion node')
                _wait(lambda: watch.log.state.startswith('waiting')
                      and all(c.met() for c in rig.cameras.values()) and watch.matched(),
                      START_S, watch)
                _run(rig, watch, seconds, rate_hz, faults, on_state)
                on_state(seconds, 'waiting for the last pairs')
                before = watch.log.values
                _wait(lambda: watch.log.values is not before and watch.settled(), DRAIN_S, watch)
            finally:
                executor.shutdown()
                spinner.join()
        watch.log.fusable, watch.log.sent = rig.fusable, dict(rig.sent)
        return watch.log
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


class Watch:
    """Listens to the node, and looks at its memory."""

    def __init__(self, node: Node, process: NodeProcess):
        self.log = Log()
        self.began = time.monotonic()
        self._node, self._process = node, process
        node.create_subscription(
            Image, '/fusion_node/fused/image',
            lambda raw: self.log.fused.add(bags.stamp_ns(raw)), 20, raw=True)
        node.create_subscription(DiagnosticArray, '/diagnostics', self._told, 20, raw=True)

    def matched(self) -> bool:
        """Tell whether the fused topic is known here."""
        return self._node.count_publishers('/fusion_node/fused/image') > 0

    def settled(self) -> bool:
        """Tell whether nothing is in hand any more, and all that was published has come."""
        values = self.log.values
        return int(values.get('in_progress', 0)) == 0 == int(values.get('waiting.visible', 0))

    def check(self) -> None:
        """Raise SoakError if the node has ended or cannot go on."""
        ended = self._process.ended()
        if ended is not None:
            raise SoakError(f'the fusion node ended with {ended} (see {self._process.log})')
        if self.log.state.startswith('cannot'):
            raise SoakError(f'the fusion node {self.log.state} (see {self._process.log})')

    def weigh(self) -> None:
        """Note the resident memory of the node's process (Linux), if that has not just ended."""
        try:
            text = Path(f'/proc/{self._process.process.pid}/status').read_text()
        except OSError:
            return
        kb = [int(line.split()[1]) for line in text.splitlines() if line.startswith('VmRSS')]
        if kb:      # what has ended and was not waited for has none
            self.log.memory.append((time.monotonic() - self.began, kb[0] / 1024))

    def _told(self, raw: bytes) -> None:
        for status in deserialize_message(raw, DiagnosticArray).status:
            if status.name == 'fusion_node: fusion':
                self.log.statuses.append((time.monotonic() - self.began, status.message))
                self.log.state = status.message
                self.log.values = {item.key: item.value for item in status.values}


def _run(rig: Rig, watch: Watch, seconds: float, rate_hz: float, faults: list[Fault],
         on_state: Callable[[float, str], None]) -> None:
    edges = sorted([(f.start_s, rig.begin, f) for f in faults]
                   + [(f.end_s, rig.end, f) for f in faults], key=lambda edge: edge[0])
    watch.began = time.monotonic()
    watch.log.statuses.clear()  # of starting up
    weighed, ticks = 0.0, 0
    while (now := time.monotonic() - watch.began) < seconds:
        while edges and edges[0][0] <= now:
            _, act, fault = edges.pop(0)
            act(fault)
            on_state(now, fault.kind if act == rig.begin else '')
        rig.tick(time.monotonic_ns())
        ticks += 1
        if now - weighed >= 1:
            weighed = now
            watch.check()
            watch.weigh()
        # A tick that came late is not made up for: no camera sends two frames at once.
        late = watch.began + ticks / rate_hz - time.monotonic()
        if late < -1 / rate_hz:
            ticks = int((time.monotonic() - watch.began) * rate_hz)
        time.sleep(max(0.0, late))
    watch.log.seconds = time.monotonic() - watch.began


def _wait(condition: Callable[[], bool], seconds: float, watch: Watch) -> None:
    end = time.monotonic() + seconds
    while not condition():
        watch.check()
        if time.monotonic() > end:
            raise SoakError(f'waited {seconds:.0f} s in vain; the node says: '
                            f'{watch.log.state or "nothing"}')
        time.sleep(0.05)
