# SPDX-License-Identifier: Apache-2.0
"""The node's publishers: a picture nobody listens to is not made."""

from diagnostic_msgs.msg import DiagnosticArray
import numpy as np
from rclpy.lifecycle import LifecycleNode
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header, String

from degfusion_ros.node import messages
from degfusion_ros.node.settings import Settings

PICTURES = ('fused', 'visible_restored', 'thermal_restored', 'mosaic')


def _qos(latched: bool) -> QoSProfile:
    # A reliable publisher serves reliable and best-effort subscribers alike; keeping only the
    # last two, it overwrites what a slow subscriber has not taken and never waits for it.
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=1 if latched else 2,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE)


def _has_listeners(publisher: Publisher) -> bool:
    return publisher.get_subscription_count() > 0


class Outputs:
    """All output topics; made at configure, open while the node is active."""

    def __init__(self, node: LifecycleNode, settings: Settings):
        self._node, self._settings = node, settings
        self._made: list[Publisher] = []
        try:
            self._open()
        except Exception:  # a QoS override that is none: leave no topic behind
            self.destroy()
            raise

    def _open(self) -> None:
        self._images = {name: self._create(Image, f'~/{name}/image') for name in PICTURES}
        self._compressed = {
            name: self._create(CompressedImage, f'~/{name}/image/compressed') for name in PICTURES}
        self._infos = {
            name: self._create(CameraInfo, f'~/{name}/camera_info')
            for name in PICTURES if name != 'mosaic'}
        self._labels = {
            modality: self._create(String, f'~/degradation/{modality}', latched=True)
            for modality in ('visible', 'thermal')}
        self._scores = self._create(DiagnosticArray, '~/degradation/scores')

    def listened(self, name: str) -> bool:
        """Tell whether anybody subscribes to the picture `name`, raw or not, or its camera_info."""
        publishers = (self._images[name], self._compressed[name], self._infos.get(name))
        return any(p is not None and _has_listeners(p) for p in publishers)

    def can_publish(self) -> bool:
        """Tell whether ROS is still up."""
        return self._node.context.ok()

    def picture(
            self, name: str, array: np.ndarray, encoding: str, header: Header,
            info: CameraInfo | None = None) -> None:
        """Publish a picture and, where the calibration is known, its camera_info: what is heard."""
        if _has_listeners(self._images[name]):
            self._images[name].publish(messages.image(array, encoding, header))
        if info is not None and _has_listeners(self._infos[name]):
            height, width = array.shape[:2]
            self._infos[name].publish(messages.scaled_camera_info(info, width, height, header))
        if _has_listeners(self._compressed[name]):      # last: it takes milliseconds
            self._compressed[name].publish(messages.compressed(
                array, encoding, header, self._settings['output.jpeg_quality']))

    def labels(self, modality: str, labels: tuple[str, ...]) -> None:
        """Publish the active labels of a modality, kept for those who subscribe later."""
        self._labels[modality].publish(String(data=','.join(labels)))

    def scores(self, header: Header, judged: dict[str, tuple[dict[str, float], tuple]]) -> None:
        """Publish the severities under the header of the frame that was judged."""
        self._scores.publish(messages.scores(header, judged))

    def destroy(self) -> None:
        """Take every topic away."""
        for publisher in self._made:
            self._node.destroy_lifecycle_publisher(publisher)

    def _create(self, kind: type, topic: str, latched: bool = False) -> Publisher:
        self._made.append(self._node.create_lifecycle_publisher(
            kind, topic, _qos(latched),
            qos_overriding_options=QoSOverridingOptions.with_default_policies()))
        return self._made[-1]
