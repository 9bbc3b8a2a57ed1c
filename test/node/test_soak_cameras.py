# SPDX-License-Identifier: Apache-2.0
"""What the simulated cameras send under each fault, over real topics, and what they book."""

import pytest
import rclpy
from rig import Spun, wait_for
from sensor_msgs.msg import Image

from degfusion_ros.node.messages import stamp_ns
from degfusion_ros.node.soak_cameras import Rig
from degfusion_ros.node.soak_faults import Fault, KINDS

TICK = 50_000_000


@pytest.fixture
def heard(ros, namespace):
    """Return a rig whose frames are heard, and the frames by stream."""
    node = rclpy.create_node('cameras', namespace=namespace)
    listener = Spun(rclpy.create_node('listener', namespace=namespace))
    frames = {'visible': [], 'thermal': []}
    for name, taken in frames.items():
        listener.node.create_subscription(Image, f'{name}/image_raw', taken.append, 100)
    rig = Rig(node, seed=1)
    wait_for(lambda: all(camera.met() for camera in rig.cameras.values()), 'the listener')
    yield rig, frames
    listener.end()
    node.destroy_node()


def send(rig, frames, first, count=4):
    """Send `count` ticks and return what was heard of them."""
    before = {name: len(taken) for name, taken in frames.items()}
    sent = dict(rig.sent)
    for number in range(first, first + count):
        rig.tick(number * TICK)
    for name, taken in frames.items():
        want = before[name] + rig.sent[name] - sent.get(name, 0)
        wait_for(lambda t=taken, w=want: len(t) >= w, f'{name} frames')
    return {name: taken[before[name]:] for name, taken in frames.items()}


@pytest.mark.parametrize('kind', KINDS)
def test_only_pairs_of_healthy_cameras_are_booked_as_fusable(heard, kind):
    rig, frames = heard
    send(rig, frames, 1)
    assert len(rig.fusable) == 4
    rig.begin(fault := Fault(kind, 0.0, 1.0))
    under = send(rig, frames, 10)
    who, _, what = kind.partition(' ')
    harmless = what in ('size', 'back', 'ahead', 'late', 'in between')
    assert len(rig.fusable) == 4 + 4 * harmless
    if what in ('gone', 'restarts'):
        assert all(not under[name] for name in under if who in (name, 'both'))
    elif what == 'frozen':
        assert len({bytes(message.data) for message in under[who]}) == 1
    elif what == 'clock':
        stamps = [[stamp_ns(message.header) for message in under[name]] for name in frames]
        assert [ahead - stamp for stamp, ahead in zip(*stamps)] == [5_000_000_000] * 4
    elif what == 'in between':
        assert len(under['visible']) == len(under['thermal']) == 8
    rig.end(fault)
    wait_for(lambda: all(camera.met() for camera in rig.cameras.values()), 'the listener again')
    for number in (20, 22):
        rig.tick(number * TICK)
    assert len(rig.fusable) == 6 + 4 * harmless
    due = list(rig.fusable.values())
    assert [d.after_s for d in due[-2:]] == [0.0, 0.1] and due[-1].fault == kind
    assert due[0].fault == 'none'


def test_frames_change_and_pairs_share_a_stamp(heard):
    rig, frames = heard
    taken = send(rig, frames, 1, count=5)
    for messages in taken.values():
        assert len({bytes(message.data) for message in messages}) == 5
        assert [stamp_ns(message.header) for message in messages] == list(rig.fusable)
