# SPDX-License-Identifier: Apache-2.0
"""The node's subscriptions: what may be usable goes on to be paired, the rest is counted."""

from collections.abc import Callable
import time

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from degfusion_ros.imaging.encodings import FrameError
from degfusion_ros.node import compatibility, frames
from degfusion_ros.node.cameras import Cameras
from degfusion_ros.node.health import Health
from degfusion_ros.node.matching import Frame, Nearest, NS, Synchronised
from degfusion_ros.node.messages import stamp_ns
from degfusion_ros.node.settings import Settings
from degfusion_ros.stream.presence import STREAMS


class InputError(ValueError):
    """Inputs that cannot be set up as the parameters ask."""


def _sensor_qos() -> QoSProfile:
    # Sensor data as REP-2003 has it. A fresh profile each time: overriding it by parameters
    # changes the object.
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=5, reliability=ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.VOLATILE)


# Only so is a message heard that was sent once, before anybody listened.
LATCHED = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Inputs:
    """Both image streams and their camera_info; used by the executor's thread alone."""

    def __init__(
            self, node: Node, settings: Settings, health: Health, on_pair: Callable[..., None],
            infos: dict[str, CameraInfo]):
        """
        Set up, subscribed to nothing yet; `on_pair` is called with every Pair or Single.

        `infos`, the newest camera_info of each stream, is filled; it may hold some already.
        """
        self._node, self._settings, self._health = node, settings, health
        self.cameras = Cameras(
            settings, health, lambda: node.get_parameter('use_sim_time').value)
        self._filters, missing = compatibility.message_filters()
        policy = settings['sync.policy']
        if policy == 'nearest':
            self.matching = Nearest(node, settings, self.cameras.presence, on_pair)
        elif self._filters is None:
            raise InputError(f'sync.policy {policy} is not to be had: {missing}; use nearest')
        else:
            self.matching = Synchronised(
                self._filters, settings, self.cameras.presence, on_pair)
        self.infos = infos
        self.topics = {name: self._topic(name) for name in STREAMS}
        self.paused = False
        self.resumed_ns: int | None = None  # when the last pause ended
        self._unsubscribe: list[Callable[[], None]] = []
        self._latched: set[str] = set()  # streams whose camera_info is subscribed to as latched

    def open(self) -> None:
        """Subscribe."""
        for name in STREAMS:
            raw = self._settings[f'input.{name}.transport'] == 'raw'
            self._subscribe(
                Image if raw else CompressedImage, self.topics[name],
                lambda message, name=name: self._arrived(name, message))
            self._subscribe(
                CameraInfo, f'{name}/camera_info',
                lambda message, name=name: self._informed(name, message))
        timer = self._node.create_timer(
            1.0, self._hear_latched, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._unsubscribe.append(lambda: self._node.destroy_timer(timer))
        self._hear_latched()

    def close(self) -> None:
        """Unsubscribe and forget the frames that wait, which count as dropped by 'reset'."""
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._unsubscribe.clear()
        self._latched.clear()
        self.matching.reset()

    def destroy(self) -> None:
        """Close for good."""
        self.close()
        self.matching.close()

    def pause(self, paused: bool) -> None:
        """Let frames through or count them as dropped by 'paused'."""
        if self.paused and not paused:
            self.resumed_ns = time.monotonic_ns()
        self.paused = paused
        if paused:
            self.matching.reset()

    def rewind(self) -> None:
        """Begin anew after time jumped back; a camera_info sent once is kept."""
        self.matching.reset()
        self.cameras.rewind()
        for info in self.infos.values():
            info.header.stamp.sec = info.header.stamp.nanosec = 0

    def _topic(self, name: str) -> str:
        topic = self._node.resolve_topic_name(f'{name}/image_raw')
        raw = self._settings[f'input.{name}.transport'] == 'raw'
        return topic if raw else f'{topic}/compressed'

    def _subscribe(self, kind: type, topic: str, callback: Callable) -> None:
        _, unsubscribe = compatibility.subscribe(
            self._node, self._filters, kind, topic, callback, qos_profile=_sensor_qos(),
            qos_overriding_options=QoSOverridingOptions.with_default_policies())
        self._unsubscribe.append(unsubscribe)

    def _hear_latched(self) -> None:
        """Subscribe anew where a camera_info is latched: such a subscription hears no other."""
        for name in set(STREAMS) - self._latched:
            topic = f'{name}/camera_info'
            offered = [p.qos_profile for p in self._node.get_publishers_info_by_topic(topic)]
            if any(q.durability == LATCHED.durability and q.reliability == LATCHED.reliability
                   for q in offered):
                self._latched.add(name)
                _, unsubscribe = compatibility.subscribe(
                    self._node, None, CameraInfo, topic,
                    lambda message, name=name: self._informed(name, message),
                    qos_profile=LATCHED)
                self._unsubscribe.append(unsubscribe)

    def _arrived(self, name: str, message: Image | CompressedImage) -> None:
        self._health.arrived(name)
        if self.paused:
            self._health.count(f'dropped.{name}.paused')
            return
        try:
            now = time.monotonic_ns()
            frames.check(name, message, self._settings)
            self.cameras.accept(name, message, now)
            cause = self.matching.add(name, Frame(message, now))
            if cause:
                self.cameras.untimely(name, cause, now)
        except FrameError as error:
            self._health.refuse(name, name, error)
        except Exception as error:  # left alone, it would end the executor
            self._health.failed('internal_error', error, name)

    def _informed(self, name: str, info: CameraInfo) -> None:
        known = self.infos.get(name)
        newer_ns = 0 if known is None else stamp_ns(info.header) - stamp_ns(known.header)
        if newer_ns >= 0 or newer_ns < -NS:  # overtaken, or a driver whose time began anew
            self.infos[name] = info
