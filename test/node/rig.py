# SPDX-License-Identifier: Apache-2.0
"""A peer over real DDS, nodes to talk to, and a fuser that shows what it was given."""

from dataclasses import dataclass, field
import threading
import time

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

S = 1_000_000_000
PERIOD = S // 10
LATCHED = QoSProfile(  # deep: of two labels in a row this reader loses none
    depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL,
    reliability=ReliabilityPolicy.RELIABLE)


def wait_for(condition, what, timeout_s=60.0):
    """Return what `condition` returns once it is true; discovery may take seconds."""
    end = time.monotonic() + timeout_s
    while not (result := condition()):
        assert time.monotonic() < end, f'waited {timeout_s} s for {what}'
        time.sleep(0.005)
    return result


@dataclass
class EchoFuser:
    """Fuses to the visible image itself; judges as `severities` says."""

    name: str = 'echo'
    device: str = 'cpu'
    precision: str = 'float32'
    delay_s: float = 0.0
    severities: dict = field(default_factory=lambda: {'visible': {}, 'thermal': {}})
    fused: list = field(default_factory=list)  # (visible, thermal, outputs) of every call
    judged: int = 0
    judged_for: tuple = None  # the outputs named at the last judgement
    warmed: list = field(default_factory=list)
    forgot: int = 0
    way: str = 'echo'

    def warm_up(self, height, width):
        self.warmed.append((height, width))

    def forget(self):
        self.forgot += 1

    def fuse(self, visible, thermal, outputs=('fused',)):
        time.sleep(self.delay_s)
        self.fused.append((visible, thermal, outputs))
        grey = (thermal * 255).astype(np.uint8)
        made = {'fused': visible, 'visible': visible, 'thermal': grey}
        return Result(**{name: made[name] for name in outputs})

    def refresh(self, visible, thermal, between, keep, outputs):
        self.judged += 1
        self.judged_for = outputs
        return Judgement(
            visible={'fog': 0.0, 'noise': 0.0} | self.severities['visible'],
            thermal={'stripe': 0.0} | self.severities['thermal'])


@dataclass
class Result:
    fused: np.ndarray = None
    visible: np.ndarray = None
    thermal: np.ndarray = None


@dataclass
class Judgement:
    visible: dict
    thermal: dict
    unsure: dict = field(default_factory=lambda: {'visible': False, 'thermal': False})


class Spun:
    """A node with an executor and a thread of its own, ended in the right order."""

    def __init__(self, node):
        self.node = node
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(node)
        self._thread = threading.Thread(target=self._executor.spin)
        self._thread.start()

    def end(self):
        self._executor.shutdown()
        self._thread.join()
        if hasattr(self.node, 'close'):
            self.node.close()
        self.node.destroy_node()

    def do(self, function, *args):
        """Run a function in the executor's thread, as a service callback would."""
        done, result = threading.Event(), []

        def run():
            try:
                result.append(function(*args))
            finally:
                done.set()

        self._executor.create_task(run)
        assert done.wait(60) and result, f'{function} did not return'
        return result[0]


class Peer(Spun):
    """The rest of the robot: two cameras and everybody who listens."""

    def __init__(self, namespace):
        super().__init__(rclpy.create_node('peer', namespace=namespace))
        self.nodes = []  # fusion nodes in this process
        self.senders = {}
        self._clients = {}

    def camera(self, topic, kind=Image, best_effort=False):
        """Return a publisher, once somebody listens to it."""
        if topic not in self.senders:
            qos = QoSProfile(depth=10)
            if best_effort:
                qos.reliability = ReliabilityPolicy.BEST_EFFORT
            self.senders[topic] = self.node.create_publisher(kind, topic, qos)
        sender = self.senders[topic]
        wait_for(lambda: sender.get_subscription_count() > 0, f'a listener to {topic}')
        # The other side must have met this publisher, too: it drops what strangers send.
        readers = [s for node in self.nodes for s in list(node.subscriptions)
                   if s.topic_name == sender.topic_name and hasattr(s, 'get_publisher_count')]
        wait_for(lambda: all(s.get_publisher_count() for s in readers), f'{topic} to be met')
        return sender

    def listen(self, topic, kind, qos=10):
        """Return the list that fills with the messages of a topic."""
        messages = self.listen_first(topic, kind, qos)
        wait_for(lambda: self.node.count_publishers(topic) > 0, f'a publisher of {topic}')
        # The other side must have met this listener, too: for nobody it makes no picture.
        name = list(self.node.subscriptions)[-1].topic_name
        writers = [p for node in self.nodes for p in list(node.publishers) if p.topic_name == name]
        wait_for(lambda: all(p.get_subscription_count() for p in writers), f'{topic} to be met')
        return messages

    def listen_first(self, topic, kind, qos=10):
        """Listen to a topic that nobody publishes yet."""
        messages = []
        self.node.create_subscription(kind, topic, messages.append, qos)
        return messages

    def call(self, kind, name, request):
        """Return the answer of a service."""
        if name not in self._clients:
            self._clients[name] = self.node.create_client(kind, name)
        client = self._clients[name]
        assert client.wait_for_service(20), name
        future = client.call_async(request)
        return wait_for(future.done, f'the answer of {name}') and future.result()

    def send_pair(self, number, visible=None, thermal=None, apart_ns=2_000_000):
        """Publish pair number `number` (from 1): stamps 100 ms apart from pair to pair."""
        stamp = number * PERIOD
        self.camera('visible/image_raw').publish(visible or frame(stamp=stamp))
        self.camera('thermal/image_raw').publish(
            thermal or frame(stamp=stamp + apart_ns, encoding='mono16'))


def frame(array=None, encoding='rgb8', stamp=PERIOD, size=(64, 80), frame_id='camera_optical'):
    """Return an image message, of noise unless an array is given."""
    if array is None:
        kind = {'rgb8': np.uint8, 'bgr8': np.uint8, 'mono8': np.uint8, '32FC1': np.float32}
        shape = (*size, 3) if encoding in ('rgb8', 'bgr8') else size
        array = np.random.default_rng(stamp).integers(0, 255, shape).astype(
            kind.get(encoding, np.uint16))
    message = Image(header=header(stamp, frame_id), encoding=encoding)
    message.height, message.width = array.shape[:2]
    message.step = array[0].nbytes
    message.data.frombytes(memoryview(np.ascontiguousarray(array)).cast('B'))
    return message


def header(stamp, frame_id='camera_optical'):
    made = Header(frame_id=frame_id)
    made.stamp.sec, made.stamp.nanosec = divmod(stamp, S)
    return made


def camera_info(width=80, height=64, stamp=PERIOD):
    info = CameraInfo(header=header(stamp), width=width, height=height)
    info.k[:] = [100, 0, width / 2, 0, 110, height / 2, 0, 0, 1]
    info.p[:] = [100, 0, width / 2, 7, 0, 110, height / 2, 0, 0, 0, 1, 0]
    return info


def diagnosed(messages):
    """Return the newest status of the fusion node as a dict, with its message and level."""
    for message in reversed(messages):
        for status in message.status:
            if status.name.endswith(': fusion'):
                return {v.key: v.value for v in status.values} | {
                    'message': status.message, 'level': status.level}
    return {}
