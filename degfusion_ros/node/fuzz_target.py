# SPDX-License-Identifier: Apache-2.0
"""The node under the fuzzer: real topics, one thread, a fuser that checks what it is given."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
import random
import time
from types import SimpleNamespace

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image

from degfusion_ros.node import fuzz_messages
from degfusion_ros.node.fusion_node import FusionNode
from degfusion_ros.node.fuzz_messages import KINDS, Recipe
from degfusion_ros.node.messages import stamp_ns

STREAMS = ('visible', 'thermal')
PATIENCE_S = 20.0  # for the node to come to rest, on a busy machine
COMES_BACK_S = 10.0
ATTEMPTS = 3  # sensor QoS is best effort: DDS may lose a frame, or a busy machine hold it up
WAIT_S = 0.2  # for a partner: a machine that is held up for a moment separates no good pair
PERIOD_NS = 100_000_000
UNFORESEEN = ('dropped.visible.internal_error', 'dropped.thermal.internal_error',
              'dropped.pairs.internal_error', 'judge_error', 'mosaic_error')


class Checker:
    """Stands for the fuser, without torch: what a network would choke on is an error here."""

    name, device, precision, way = 'checker', 'cpu', 'float32', 'checker'

    def warm_up(self, height: int, width: int) -> None:
        """Need no warming up."""

    def forget(self) -> None:
        """Keep nothing of any size."""

    def fuse(self, visible: np.ndarray, thermal: np.ndarray,
             outputs: tuple[str, ...] = ('fused',)) -> SimpleNamespace:
        """Return the visible picture and the thermal one in grey; AssertionError on misfits."""
        if visible.dtype != np.uint8 or visible.shape != (*thermal.shape, 3):
            raise AssertionError(f'visible {visible.dtype} {visible.shape}')
        if thermal.dtype != np.float32 or not (0 <= thermal.min() <= thermal.max() <= 1):
            raise AssertionError(f'thermal {thermal.dtype} {thermal.min()} to {thermal.max()}')
        made = {'fused': visible, 'visible': visible, 'thermal': (thermal * 255).astype(np.uint8)}
        return SimpleNamespace(**{name: made[name] if name in outputs else None for name in made})

    def refresh(self, visible: np.ndarray, thermal: np.ndarray,
                between: Callable[[], None], keep: float,
                outputs: tuple[str, ...]) -> SimpleNamespace:
        """Find nothing wrong."""
        self.fuse(visible, thermal)
        return SimpleNamespace(visible={'fog': 0.0}, thermal={'noise': 0.0},
                               unsure=dict.fromkeys(STREAMS, False))


class Watched(FusionNode):
    """The node, with its counters to be read at any time."""

    def counts(self) -> dict[str, int]:
        """Return what the status would tell of frames and pairs."""
        return {**self._inputs.matching.counts(), **self._health.counts()}


@dataclass
class Target:
    """One active node that takes raw or compressed images, and the cameras before it."""

    transport: str
    number: int = 1  # of the next stamp
    resent: int = 0  # good pairs of which DDS lost or delayed a frame
    expected: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STREAMS, 0))

    def __post_init__(self) -> None:
        given = {'sync.wait_s': WAIT_S, 'model.warm_up_size': 'first',
                 **{f'input.{name}.transport': self.transport for name in STREAMS}}
        self.node = Watched(load=lambda *_: Checker(), namespace=f'/fuzz_{self.transport}',
                            parameter_overrides=[Parameter(n, value=v) for n, v in given.items()])
        self.peer = rclpy.create_node('cameras', namespace=f'/fuzz_{self.transport}')
        self._listener = self.peer.create_subscription(
            Image, 'fusion_node/fused/image', lambda message: None, 100)
        self._shown: deque[int] = deque(maxlen=100)  # stamps that came back
        suffix = '/compressed' if self.transport == 'compressed' else ''
        self._senders = {(kind, name): self.peer.create_publisher(
            KINDS[kind], f'{name}/{topic}', QoSProfile(depth=10))
            for name in STREAMS
            for kind, topic in ((self.transport, f'image_raw{suffix}'), ('info', 'camera_info'))}
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self.node.trigger_configure()
        self.node.trigger_activate()
        self._until(lambda: all(s.get_subscription_count() for s in self._senders.values())
                    and self.peer.count_publishers('fusion_node/fused/image'), 30.0)
        rng = random.Random(0)
        self._until(lambda: self.send_good_pair(rng), 30.0)  # until both sides have met

    def send(self, recipe: Recipe, stamp_of: int) -> None:
        """Publish a message, of which the node must hear when its bytes can be read at all."""
        raw = fuzz_messages.bytes_of(recipe, divmod(stamp_of, 1_000_000_000))
        try:
            if recipe.wire or recipe.cut is not None:
                deserialize_message(raw, KINDS[recipe.kind])
            self.expected[recipe.stream] += recipe.kind != 'info'
        except Exception:  # the middleware drops it as well
            pass
        self._senders[recipe.kind, recipe.stream].publish(raw)

    def next_stamp(self) -> int:
        """Return the stamp of the next pair, ns."""
        self.number += 1
        return self.number * PERIOD_NS

    def settle(self) -> bool:
        """Let the node take all that was sent and end its work; False if it did not."""
        settled = self._until(self._idle, PATIENCE_S)
        # Of broken bytes the middleware may take some that deserialize_message does not.
        counts = self.node.counts()
        self.expected = {name: counts.get(f'received.{name}', 0) for name in STREAMS}
        return settled

    def send_good_pair(self, rng: random.Random) -> bool:
        """Send two good frames, again when DDS lost or delayed one; tell whether they came out."""
        for _ in range(ATTEMPTS):
            if (fused := self._good_pair(rng)) is not None:
                return fused
            self.resent += 1
        return False

    def _good_pair(self, rng: random.Random) -> bool | None:
        """Return None when nothing came out because DDS brought a frame too late or never."""
        stamp, began, before = self.next_stamp(), time.monotonic(), self.node.counts()

        def grown(key: str) -> bool:
            return self.node.counts().get(key, 0) > before.get(key, 0)

        for name in STREAMS:
            self.send(fuzz_messages.good(self.transport, name, rng), stamp)
        in_time = self._until(lambda: all(grown(f'received.{name}') for name in STREAMS),
                              PATIENCE_S) and time.monotonic() - began < WAIT_S
        self._until(lambda: grown('fused') or not self.waits('visible'), PATIENCE_S)
        self.settle()
        # all is published by now, save for DDS to bring it back
        if grown('fused'):
            return self._until(lambda: self._brought(stamp), COMES_BACK_S)
        return False if in_time else None

    def waits(self, stream: str) -> bool:
        """Tell whether a frame of the stream has passed the door and waits for a partner."""
        return self.node.counts().get(f'waiting.{stream}', 0) > 0

    def unforeseen(self) -> int:
        """Return how many errors nobody foresaw the node has counted."""
        counts = self.node.counts()
        return sum(counts.get(key, 0) for key in UNFORESEEN)

    def close(self) -> None:
        """End the node."""
        self._executor.shutdown()
        self.node.close()
        for node in (self.node, self.peer):
            node.destroy_node()

    def _idle(self) -> bool:
        counts = self.node.counts()
        in_hand = counts['pairs'] - counts.get('fused', 0) - counts.get('unheard', 0) + sum(
            n for key, n in counts.items() if key.startswith('single.')) - sum(
            n for key, n in counts.items() if key.startswith('dropped.pairs.'))
        return not in_hand and all(
            counts.get(f'received.{name}', 0) >= n for name, n in self.expected.items())

    def _brought(self, stamp: int) -> bool:
        # Taken by hand: the cameras in the executor would double the work of every round.
        while (taken := self._listener.handle.take_message(Image, False)) is not None:
            self._shown.append(stamp_ns(taken[0].header))
        return stamp in self._shown

    def _until(self, condition: object, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                return False
            self._executor.spin_once(timeout_sec=0.002)
        return True
