# SPDX-License-Identifier: Apache-2.0
"""Record what the fusion node publishes: a bag, mosaic pictures, severities, its own counts."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
import time

import cv2
from diagnostic_msgs.msg import DiagnosticArray
import numpy as np
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import String

from degfusion_ros import bags

FUSION = 'fusion_node'
TYPES = {Image: bags.IMAGE, CameraInfo: bags.CAMERA_INFO, String: 'std_msgs/msg/String',
         DiagnosticArray: 'diagnostic_msgs/msg/DiagnosticArray'}
TOPICS = {
    'fused/image': Image, 'fused/camera_info': CameraInfo, 'visible_restored/image': Image,
    'thermal_restored/image': Image, 'degradation/visible': String,
    'degradation/thermal': String, 'degradation/scores': DiagnosticArray}
PICTURE_WIDTH = 1446  # pixels: the mosaic is 1928 wide


@dataclass
class Verdict:
    """What the node found in one frame: severities and labels by modality."""

    stamp_ns: int
    severities: dict[str, dict[str, float]] = field(default_factory=dict)
    labels: dict[str, list[str]] = field(default_factory=dict)


class Recorder:
    """
    Subscribes to every output of the node; callbacks run in the executor's thread.

    fused: header stamp (ns) -> when it arrived (monotonic ns). pictures: (stamp, file name).
    values: the node's last status; state: its last words.
    """

    def __init__(self, node: Node, writer: bags.Writer, frames: Path) -> None:
        self.fused: dict[int, int] = {}
        self.verdicts: list[Verdict] = []
        self.pictures: list[tuple[int, str]] = []
        self.values: dict[str, str] = {}
        self.state, self.level = '', b'\0'
        self.bag_time: Callable[[], int] = time.time_ns  # the player's clock, once it plays
        self.error: Exception | None = None
        self._writer, self._frames = writer, frames
        deep = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=20,
                          reliability=ReliabilityPolicy.RELIABLE)
        latched = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=20,
                             reliability=ReliabilityPolicy.RELIABLE,
                             durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._node = node
        self._names = [f'/{FUSION}/{name}' for name in (*TOPICS, 'mosaic/image')]
        for name, kind in TOPICS.items():
            qos = latched if kind is String else deep
            node.create_subscription(kind, f'/{FUSION}/{name}', self._callback(name, kind), qos,
                                     raw=True)
        node.create_subscription(Image, f'/{FUSION}/mosaic/image', self._mosaic, deep, raw=True)
        node.create_subscription(DiagnosticArray, '/diagnostics', self._diagnostics, 20)

    def matched(self) -> bool:
        """Tell whether the node's output topics are known here."""
        return all(self._node.count_publishers(name) > 0 for name in self._names)

    def _callback(self, name: str, kind: type) -> Callable[[bytes], None]:
        def arrived(raw: bytes) -> None:
            now = time.monotonic_ns()
            if name == 'fused/image':
                self.fused[bags.stamp_ns(raw)] = now
            elif name == 'degradation/scores':
                self.verdicts.append(_verdict(deserialize_message(raw, DiagnosticArray)))
            self._guard(lambda: self._writer.write(
                f'/{FUSION}/{name}', TYPES[kind], self.bag_time(), raw))
        return arrived

    def _mosaic(self, raw: bytes) -> None:
        self._guard(lambda: self._save(raw))

    def _save(self, raw: bytes) -> None:
        message = bags.deserialize(raw, bags.IMAGE)
        picture = np.asarray(message.data).reshape(message.height, message.width, 3)
        height = round(PICTURE_WIDTH * message.height / message.width)
        picture = cv2.resize(picture, (PICTURE_WIDTH, height), interpolation=cv2.INTER_AREA)
        name = f'{len(self.pictures):05d}.jpg'
        options = [cv2.IMWRITE_JPEG_QUALITY, 88]
        if not cv2.imwrite(str(self._frames / name), picture[..., ::-1], options):
            raise OSError(28, 'cannot be written', str(self._frames / name))
        self.pictures.append((bags.stamp_ns(raw), name))

    def _diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == f'{FUSION}: fusion':
                self.state, self.level = status.message, status.level
                self.values = {item.key: item.value for item in status.values}

    def _guard(self, work: Callable[[], None]) -> None:
        """Keep the first error (a full disk) for the main thread: here it would end the spin."""
        try:
            work()
        except Exception as error:
            self.error = self.error or error


def _verdict(message: DiagnosticArray) -> Verdict:
    stamp = message.header.stamp
    verdict = Verdict(stamp.sec * 1_000_000_000 + stamp.nanosec)
    for status in message.status:
        verdict.severities[status.name] = {item.key: float(item.value) for item in status.values}
        verdict.labels[status.name] = status.message.split(',')
    return verdict
