# SPDX-License-Identifier: Apache-2.0
"""A short recorded drive for `fuse-bag`, and what its tests ask of a bag."""

import cv2
import numpy as np

from degfusion_ros import bags
from degfusion_ros.__main__ import main
from degfusion_ros.commands import fuse_bag_messages

MS = 1_000_000
START = 1_700_000_000_000_000_000
VISIBLE, THERMAL, INFO = '/cam/rgb/image_raw', '/boson/image_raw', '/cam/rgb/camera_info'
ODD = 'odd_msgs/msg/Odd'
BASE = '/fusion_node'


def pictures(count=6, seed=0, size=(64, 96)):
    """Return pairs of an RGB picture and 14 bit counts at half its size."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        coarse = rng.integers(0, 255, (8, 12, 3), np.uint8)
        counts = rng.integers(7000, 9000, (8, 12)).astype(np.uint16)
        made.append((cv2.resize(coarse, size[::-1]),
                     cv2.resize(counts, (size[1] // 2, size[0] // 2))))
    return made


def write(path, storage='mcap', pairs=None, spoil=None, visible_every=100, thermal_every=1):
    """
    Write a bag as a robot records it: thermal 4 ms later, other topics beside, one of its own type.

    spoil: (topic, index) -> what takes the message's place; an (encoding, array), raw bytes, or
    None where there is none.
    """
    spoil = spoil or {}
    with bags.Writer(path, storage) as writer:
        writer.connections['/odd', ODD] = writer.writer.add_connection(
            '/odd', ODD, msgdef='int32 x\n', rihs01=f'RIHS01_{1:064}',
            offered_qos_profiles=[fuse_bag_messages.LATCHED])
        writer.declare('/silent', 'std_msgs/msg/String')
        writer.write('/odd', ODD, START - MS, b'\0\1\0\0\7\0\0\0')
        for i, (colour, heat) in enumerate(pairs or pictures()):
            stamp = START + i * visible_every * MS
            for topic, encoding, array, late, frame_id in (
                    (VISIBLE, 'rgb8', colour, 0, 'rgb_optical'),
                    (THERMAL, 'mono16', heat, 4 * MS, 'boson_optical')):
                if topic == THERMAL and i % thermal_every:
                    continue
                instead = spoil.get((topic, i), (encoding, array))
                if instead is None:
                    continue
                raw = instead if isinstance(instead, bytes) else bags.image_cdr(
                    instead[1], instead[0], stamp + late, frame_id)
                writer.write(topic, bags.IMAGE, stamp + late + 9 * MS, raw)
            writer.write(INFO, bags.CAMERA_INFO, stamp + 9 * MS, spoil.get(
                (INFO, i), bags.camera_info_cdr(2 * colour.shape[0], 2 * colour.shape[1], 80.0,
                                                stamp, 'rgb_optical')))
            writer.write('/odd', ODD, stamp + 50 * MS, b'\0\1\0\0' + i.to_bytes(4, 'little'))
    return path


def fuse_bag(source, out, model, *more):
    return main(['fuse-bag', str(source), str(out), '--model', str(model), '--device', 'cpu',
                 '--precision', 'float32', *map(str, more)])


def on(path, topic):
    """Return [(recorded time, message)] of a topic."""
    return [(m.time_ns, bags.deserialize(m.raw, m.msgtype)) for m in bags.read(path, [topic])]


def image(message):
    return message.data.reshape(message.height, message.width, -1).squeeze()


def stamp(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
