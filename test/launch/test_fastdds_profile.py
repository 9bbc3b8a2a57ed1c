# SPDX-License-Identifier: Apache-2.0
"""With the shipped Fast DDS profile, whole images cross from one process to another."""

import os
from pathlib import Path
import subprocess
import sys
import time

import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

PROFILE = Path(__file__).resolve().parents[2] / 'config' / 'fastdds.xml'
VARIABLE = 'FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'
TOPICS = {'visible/image_raw': ('rgb8', 3), 'thermal/image_raw': ('mono16', 2)}
DOMAIN = os.getpid() % 100 + 1
COUNT = 30
QOS = QoSProfile(depth=COUNT, reliability=ReliabilityPolicy.BEST_EFFORT)


def send() -> None:
    """Publish 640x480 pairs at 30 Hz, as two cameras do; run in a process of its own."""
    rclpy.init()
    node = rclpy.create_node('cameras')
    publishers = []
    for topic, (encoding, size) in TOPICS.items():
        message = Image(height=480, width=640, encoding=encoding, step=640 * size)
        message.data.frombytes(bytes(480 * 640 * size))
        publishers.append((node.create_publisher(Image, topic, QOS), message))
    end = time.monotonic() + 20
    while time.monotonic() < end and not all(p.get_subscription_count() for p, _ in publishers):
        time.sleep(0.02)
    for _ in range(COUNT):
        for publisher, message in publishers:
            publisher.publish(message)
        time.sleep(1 / 30)
    time.sleep(0.5)
    node.destroy_node()
    rclpy.try_shutdown()


@pytest.fixture
def received(monkeypatch):
    """Return a function that counts what arrives from a sender with the profile."""
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')

    def count() -> dict[str, int]:
        context = Context()
        rclpy.init(context=context, domain_id=DOMAIN)
        node = rclpy.create_node('detector', context=context)
        counts = dict.fromkeys(TOPICS, 0)
        for topic in TOPICS:
            def one_more(_, topic=topic):
                counts[topic] += 1
            node.create_subscription(Image, topic, one_more, QOS)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        environment = {**os.environ, **dict.fromkeys(VARIABLE, str(PROFILE)),
                       'ROS_DOMAIN_ID': str(DOMAIN)}
        environment.pop('FASTDDS_BUILTIN_TRANSPORTS', None)
        sender = subprocess.Popen([sys.executable, __file__], env=environment)
        while sender.poll() is None:
            executor.spin_once(timeout_sec=0.05)
        executor.shutdown()
        node.destroy_node()
        context.try_shutdown()
        assert sender.returncode == 0
        return counts
    return count


def test_images_arrive_whole_through_shared_memory(received):
    # With Fast DDS's own 512 KB segment about half of them are lost.
    assert all(count >= 0.9 * COUNT for count in received().values())


def test_udp_stays_for_other_machines(received, monkeypatch):
    monkeypatch.setenv('FASTDDS_BUILTIN_TRANSPORTS', 'UDPv4')
    assert all(received().values())


if __name__ == '__main__':
    send()
