# SPDX-License-Identifier: Apache-2.0
"""Play the camera topics of a bag in real time, as raw CDR: what was recorded is what is sent."""

from collections.abc import Callable
from pathlib import Path
import time

from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from degfusion_ros import bags

KINDS = {bags.IMAGE: Image, bags.COMPRESSED: CompressedImage, bags.CAMERA_INFO: CameraInfo}
STREAMS = ('visible', 'thermal')


class Player:
    """
    Publishes a bag's image topics, and the camera_info beside them, as the node expects them.

    sent: for each stream, header stamp (ns) -> when it was published (monotonic ns).
    """

    def __init__(self, node: Node, bag: Path, visible: str, thermal: str) -> None:
        self.bag = bag
        self.sent: dict[str, dict[int, int]] = {name: {} for name in STREAMS}
        self.transport: dict[str, str] = {}
        present = bags.topics(bag)
        qos = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=10,
                         reliability=ReliabilityPolicy.RELIABLE)
        self._routes: dict[str, tuple[str | None, object]] = {}  # topic -> (stream, publisher)
        for stream, topic in zip(STREAMS, (visible, thermal)):
            raw = present[topic] == bags.IMAGE
            self.transport[stream] = 'raw' if raw else 'compressed'
            name = f'{stream}/image_raw' + ('' if raw else '/compressed')
            publisher = node.create_publisher(KINDS[present[topic]], name, qos)
            self._routes[topic] = (stream, publisher)
            base = topic.removesuffix('/compressed').rpartition('/')[0]
            info = f'{base}/camera_info'
            if present.get(info) == bags.CAMERA_INFO and info not in self._routes:
                publisher = node.create_publisher(CameraInfo, f'{stream}/camera_info', qos)
                self._routes[info] = (None, publisher)

    def matched(self) -> bool:
        """Tell whether somebody subscribes to every topic."""
        return all(p.get_subscription_count() > 0 for _, p in self._routes.values())

    def play(self, rate: float, on_message: Callable[[int], None]) -> None:
        """
        Publish everything at `rate` times the recorded speed; returns at the end of the bag.

        on_message: called after each message with the bag's time, ns. Raises BagError.
        """
        began_ns = first_ns = None
        for message in bags.read(self.bag, list(self._routes)):
            if began_ns is None:
                began_ns, first_ns = time.monotonic_ns(), message.time_ns
            due_ns = began_ns + round((message.time_ns - first_ns) / rate)
            time.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)
            stream, publisher = self._routes[message.topic]
            if stream is not None:
                self.sent[stream][bags.stamp_ns(message.raw)] = time.monotonic_ns()
            publisher.publish(message.raw)
            on_message(message.time_ns)
