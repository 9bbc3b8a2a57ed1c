# SPDX-License-Identifier: Apache-2.0
"""The real node under load: two cameras at a given rate in front, one listener behind it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
import re
import struct
import threading
import time

from diagnostic_msgs.msg import DiagnosticArray
import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image

from degfusion_ros import bags
from degfusion_ros.node.process import isolate, NodeProcess
from degfusion_ros.node.recorder import FUSION

START_S, MATCH_S, DRAIN_S = 180.0, 30.0, 3.0
QOS = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=10, reliability=ReliabilityPolicy.RELIABLE)
PUBLISHED = {'fused': 'fused', 'visible': 'visible_restored', 'thermal': 'thermal_restored'}


class ThroughputError(RuntimeError):
    """A node that does not start or ends under load; one line says why."""


class Rig:
    """Sends pairs and notes when they left and when their fused frame came (stamp -> ns)."""

    def __init__(self, node: rclpy.node.Node, process: NodeProcess,
                 pairs: list[tuple[np.ndarray, np.ndarray]], outputs: tuple[str, ...]) -> None:
        self._process = process
        self._publishers = [node.create_publisher(Image, f'{name}/image_raw', QOS)
                            for name in ('visible', 'thermal')]
        self._pairs = [(bytearray(bags.image_cdr(visible, 'rgb8', 0, 'camera')),
                        bytearray(bags.image_cdr(thermal, 'mono16', 0, 'camera')))
                       for visible, thermal in pairs]
        self.came: dict[int, int] = {}
        self.status: dict[str, str] = {}
        self.words = ''
        for output in outputs:
            node.create_subscription(
                Image, f'/{FUSION}/{PUBLISHED[output]}/image',
                self._fused if output == outputs[0] else lambda raw: None, QOS, raw=True)
        node.create_subscription(DiagnosticArray, '/diagnostics', self._diagnosed, 10)
        self._node = node

    def ready(self) -> bool:
        """Tell whether the node runs and has met both cameras and the listener."""
        met = all(p.get_subscription_count() > 0 for p in self._publishers)
        return met and self.words.startswith('waiting') \
            and self._node.count_publishers(f'/{FUSION}/fused/image') > 0

    def send(self, rate_hz: float, seconds: float) -> dict[int, int]:
        """Send pairs at a rate; returns when each left, {stamp: monotonic ns}."""
        sent, began = {}, time.monotonic_ns()
        for i in range(round(rate_hz * seconds)):
            time.sleep(max(0, began + round(i * 1e9 / rate_hz) - time.monotonic_ns()) / 1e9)
            stamp = time.time_ns()
            for publisher, raw in zip(self._publishers, self._pairs[i % len(self._pairs)]):
                struct.pack_into('<iI', raw, 4, *divmod(stamp, 1_000_000_000))
                message = bytes(raw)
                sent[stamp] = time.monotonic_ns()   # the pair is there once its last frame is
                publisher.publish(message)
            self.check()
        end = time.monotonic() + DRAIN_S
        while len(self.came.keys() & sent.keys()) < len(sent) and time.monotonic() < end:
            time.sleep(0.05)
        return sent

    def wait(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait for a condition; ThroughputError after `seconds`, or when the node has ended."""
        end = time.monotonic() + seconds
        while not condition():
            self.check()
            if self.words.startswith('cannot'):
                raise ThroughputError(f'the fusion node {self.words}')
            if time.monotonic() > end:
                raise ThroughputError(f'waited {seconds:.0f} s in vain for {what}; the node said: '
                                      f'{self.words or "nothing"} (see {self._process.log})')
            time.sleep(0.05)

    def check(self) -> None:
        """Raise ThroughputError when the node has ended."""
        ended = self._process.ended()
        if ended is not None:
            raise ThroughputError(f'the fusion node ended with {ended} (see {self._process.log})')

    def memory_mb(self) -> dict[str, float]:
        """Return the node process's resident memory and its peak, MB (Linux)."""
        text = Path(f'/proc/{self._process.process.pid}/status').read_text()
        return {name: int(re.search(rf'{key}:\s+(\d+) kB', text)[1]) * 1024 / 1e6
                for name, key in (('resident', 'VmRSS'), ('peak', 'VmHWM'))}

    def _fused(self, raw: bytes) -> None:
        self.came[bags.stamp_ns(raw)] = time.monotonic_ns()

    def _diagnosed(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == f'{FUSION}: fusion':
                self.words = status.message
                self.status = {item.key: item.value for item in status.values}


@contextmanager
def running(pairs: list[tuple[np.ndarray, np.ndarray]], parameters: dict[str, object], log: Path,
            outputs: tuple[str, ...] = ('fused',)) -> Iterator[Rig]:
    """
    Start the node in a process of its own and give a Rig connected to it.

    pairs: uint8 HxWx3 RGB and uint16 HxW, sent in turn. parameters: the node's. log: file for what
    it writes. Raises ThroughputError.
    """
    isolate()
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node('degfusion_benchmark')
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    spinner = threading.Thread(target=executor.spin, name='spin', daemon=True)
    try:
        with NodeProcess({'autostart': True, **parameters}, log) as process:
            rig = Rig(node, process, pairs, outputs)
            spinner.start()
            try:
                rig.wait(rig.ready, START_S, 'the fusion node')
                yield rig
            finally:
                executor.shutdown()
                spinner.join()
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
