# SPDX-License-Identifier: Apache-2.0
"""Two simulated cameras that fail as they are told, and a ledger of what should be fused."""

from collections import Counter
from dataclasses import replace
import random
import time
from typing import NamedTuple

import cv2
import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from degfusion_ros.node import fuzz_messages, messages
from degfusion_ros.node.soak_faults import Fault

STREAMS = ('visible', 'thermal')
SIZES = ((128, 160), (96, 128), (120, 160))  # height, width
PICTURES = 16  # of the same scene, shown in turn
LATE_S = 0.03  # after its partner
NS = 1_000_000_000
AHEAD_NS = 5 * NS  # of a clock that is set wrong


class Camera:
    """One camera: `up`, `frozen`, `rubbish` and `ahead_ns` (of its clock) say what it does."""

    def __init__(self, node: Node, stream: str, rng: random.Random):
        self._node, self._stream, self._rng = node, stream, rng
        self._noise = np.random.default_rng(rng.randrange(2**32))
        self.up, self.frozen, self.rubbish, self.ahead_ns = True, False, False, 0
        self.size = SIZES[0]
        self._number = 0
        self._pictures: dict[tuple[int, int], list[np.ndarray]] = {}
        self.plug_in()

    def plug_in(self) -> None:
        """Create the publisher."""
        self.publisher = self._node.create_publisher(
            Image, f'{self._stream}/image_raw', QoSProfile(depth=10))

    def unplug(self) -> None:
        """Destroy the publisher, as a driver that ends."""
        self._node.destroy_publisher(self.publisher)
        self.publisher = None

    def met(self) -> bool:
        """Tell whether somebody listens."""
        return self.publisher is not None and self.publisher.get_subscription_count() > 0

    def send(self, stamp_ns: int) -> None:
        """Publish the next picture, the same one while frozen, rubbish where told."""
        if self.rubbish:
            self.send_rubbish(stamp_ns)
            return
        self._number += not self.frozen
        if self.size not in self._pictures:
            self._pictures[self.size] = self._views()
        header = Header(frame_id=self._stream)
        header.stamp.sec, header.stamp.nanosec = divmod(stamp_ns + self.ahead_ns, NS)
        self.publisher.publish(messages.image(
            self._pictures[self.size][self._number % PICTURES],
            'rgb8' if self._stream == 'visible' else 'mono16', header))

    def _views(self) -> list[np.ndarray]:
        """Return one scene seen many times, with noise: nothing that asks for a judgement."""
        visible = self._stream == 'visible'
        coarse = self._noise.random((8, 10, 3) if visible else (8, 10))
        scene = cv2.resize(coarse, self.size[::-1], interpolation=cv2.INTER_CUBIC)
        white, kind = (255, np.uint8) if visible else (4000, np.uint16)
        return [((scene + self._noise.normal(0, 0.02, scene.shape)).clip(0, 1) * white
                 ).astype(kind) for _ in range(PICTURES)]

    def send_rubbish(self, stamp_ns: int) -> None:
        """Publish a message that no picture can be made of."""
        recipe = fuzz_messages.good('raw', self._stream, self._rng)
        field = self._rng.choice(('data', 'encoding', 'height', 'step'))
        wrong = {'data': b'', 'encoding': 'nonsense', 'height': 0, 'step': 1}[field]
        self.publisher.publish(fuzz_messages.message_of(
            replace(recipe, **{field: wrong}), divmod(stamp_ns, NS)))


class Due(NamedTuple):
    """A pair that must be fused: the fault that is on or was last, and how long since its edge."""

    fault: str
    after_s: float  # since it began, or ended if it has


class Rig:
    """
    Both cameras on one clock, and the faults that are on.

    fusable: by stamp, every visible frame sent with a partner by two healthy cameras. sent:
    frames by stream, rubbish included.
    """

    def __init__(self, node: Node, seed: int):
        self._rng = random.Random(seed)
        self.cameras = {name: Camera(node, name, self._rng) for name in STREAMS}
        self.fusable: dict[int, Due] = {}
        self.sent: Counter[str] = Counter()
        self._offset_ns = 1_000_000 * NS  # stamps of a clock that may jump far back
        self._fault = 'none'
        self._edge_ns: int | None = None  # of the fault; taken at the next tick
        self._between = self._late = False

    def tick(self, at_ns: int) -> None:
        """Send what both cameras send at this moment of the monotonic clock."""
        stamp = at_ns + self._offset_ns
        healthy = all(c.up and c.met() and not (c.frozen or c.rubbish or c.ahead_ns)
                      for c in self.cameras.values())
        if self._edge_ns is None:
            self._edge_ns = at_ns
        if healthy:
            self.fusable[stamp] = Due(self._fault, (at_ns - self._edge_ns) / NS)
        for name, camera in self.cameras.items():
            if not camera.up or camera.publisher is None:
                continue
            if self._between:
                camera.send_rubbish(stamp - 7_000_000)
                self.sent[name] += 1
            if self._late and name == 'thermal':
                time.sleep(LATE_S)
            camera.send(stamp)
            self.sent[name] += 1

    def begin(self, fault: Fault) -> None:
        """Let the fault come on."""
        self._fault, self._edge_ns = fault.kind, None
        who, _, what = fault.kind.partition(' ')
        for camera in self._concerned(who):
            if what == 'gone':
                camera.up = False
            elif what == 'restarts':
                camera.unplug()
            elif what == 'size':
                camera.size = SIZES[(SIZES.index(camera.size) + 1) % len(SIZES)]
            elif what == 'clock':
                camera.ahead_ns = AHEAD_NS
            elif what in ('frozen', 'rubbish'):
                setattr(camera, what, True)
        if who == 'jump':
            seconds = self._rng.uniform(2, 90) * (-1 if what == 'back' else 1)
            self._offset_ns += int(seconds * NS)
        self._between = fault.kind == 'rubbish in between'
        self._late = fault.kind == 'thermal late'

    def end(self, fault: Fault) -> None:
        """Let it go again; a new size and a new time stay."""
        self._between = self._late = False
        self._edge_ns = None
        for camera in self.cameras.values():
            if camera.publisher is None:
                camera.plug_in()
            camera.up, camera.frozen, camera.rubbish, camera.ahead_ns = True, False, False, 0

    def _concerned(self, who: str) -> list[Camera]:
        return [camera for name, camera in self.cameras.items() if who in (name, 'both')]
