# SPDX-License-Identifier: Apache-2.0
"""A node that is killed and started again, and listeners that listen no more."""

import signal
import subprocess
import sys
import time

from flow import FUSED, send
import pytest
from rig import EchoFuser, wait_for
from sensor_msgs.msg import Image

DEAF = """
import sys, time
import rclpy
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node('deaf', namespace=sys.argv[1])
for name in ('fused', 'visible_restored'):
    node.create_subscription(Image, f'fusion_node/{name}/image', print, QoSProfile(depth=1))
while not node.count_publishers('fusion_node/fused/image'):
    time.sleep(0.05)
print('met', flush=True)
time.sleep(600)  # and never spins
"""


@pytest.fixture
def run(namespace):
    processes = []

    def run(*command):
        processes.append(subprocess.Popen(
            [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True))
        return processes[-1]

    yield run
    for process in processes:
        process.kill()
        process.wait()


def test_subscribers_that_never_read_or_stand_still_hold_nothing_up(start, peer, namespace, run):
    fuser = EchoFuser()
    spun = start(fuser)
    fused = peer.listen(FUSED, Image)
    deaf = run('-c', DEAF, namespace)
    assert deaf.stdout.readline() == 'met\n'
    wait_for(lambda: spun.node.count_subscribers(f'{namespace}/fusion_node/visible_restored/image'),
             'the deaf one')
    send(peer, fused, 1, 20)
    assert ('fused', 'visible') in {outputs for _, _, outputs in fuser.fused}
    deaf.send_signal(signal.SIGSTOP)
    send(peer, fused, 21, 60)
    deaf.send_signal(signal.SIGCONT)


def test_a_killed_node_fuses_again_once_it_is_started_again(peer, namespace, run, tiny_model):
    command = ['-m', 'degfusion_ros.node.fusion_node', '--ros-args', '-r', f'__ns:={namespace}',
               '-p', 'autostart:=true', '-p', 'model.warm_up_size:=80x64', '-p',
               f'model.name:={tiny_model}']
    fused = peer.listen_first(FUSED, Image)
    number = 0
    for _ in range(2):
        node, already = run(*command), len(fused)
        end = time.monotonic() + 100
        while len(fused) < already + 3:
            assert time.monotonic() < end and node.poll() is None, node.stdout.read()
            number += 1
            peer.send_pair(number)
            time.sleep(0.05)
        node.kill()  # as the out-of-memory killer does: no farewell to DDS
        assert node.wait() == -signal.SIGKILL
