# SPDX-License-Identifier: Apache-2.0
"""What message_filters' policies are handed: stamps with the offsets added, and nothing else."""

import pytest
from rig import frame, PERIOD
from test_frames import Given

from degfusion_ros.node.cameras import Cameras
from degfusion_ros.node.health import Health
from degfusion_ros.node.matching import Frame, Synchronised
from degfusion_ros.stream.presence import Presence

MS = 1_000_000


class Filters:
    """Stands for message_filters: reads header.stamp alone, as it does, and pairs equal ones."""

    class SimpleFilter:
        def registerCallback(self, callback):  # noqa: N802
            self.signalMessage = callback

    class TimeSynchronizer:
        def __init__(self, doors, size):
            self._queues = [{} for _ in doors]
            for door, queue in zip(doors, self._queues):
                door.registerCallback(lambda message, queue=queue: self._add(message, queue))

        def registerCallback(self, callback):  # noqa: N802
            self._callback = callback

        def _add(self, message, queue):
            stamp = message.header.stamp
            assert stamp.sec >= 0  # message_filters raises, inside its lock
            queue[stamp.sec, stamp.nanosec] = message
            for key in self._queues[0].keys() & self._queues[1].keys():
                self._callback(*(queue.pop(key) for queue in self._queues))


@pytest.mark.parametrize('reference', ['visible', 'thermal'])
@pytest.mark.parametrize('visible_s, thermal_s', [(0.0, 0.57), (-0.57, 0.0), (-10.0, -9.43)])
def test_a_clock_that_is_behind_pairs_once_its_offset_is_set(reference, visible_s, thermal_s):
    made = []
    matching = Synchronised(
        Filters, Given(sync__policy='exact', sync__reference=reference,
                       sync__offset_visible_s=visible_s, sync__offset_thermal_s=thermal_s),
        Presence(0), made.append)
    visible, thermal = Frame(frame(stamp=10 * PERIOD), 1), Frame(
        frame(stamp=10 * PERIOD - 570 * MS, encoding='mono16'), 2)
    matching.add('visible', visible)
    matching.add('thermal', thermal)
    pair, = made
    assert pair.delta_ns == 0
    frames = (visible, thermal) if reference == 'visible' else (thermal, visible)
    assert pair[:2] == frames  # as they came: the output has the camera's own stamp
    assert pair.stamp_ns == (10 * PERIOD if reference == 'visible' else 10 * PERIOD - 570 * MS)
    assert matching.counts()['dropped.visible.unmatched'] == 0


@pytest.mark.parametrize('reference', ['visible', 'thermal'])
def test_a_camera_is_said_to_go_on_alone_only_where_its_frames_are_let_go(reference):
    settings, made = Given(sync__policy='exact', sync__reference=reference), []
    cameras = Cameras(settings, Health(logger=None))
    matching = Synchronised(Filters, settings, cameras.presence, made.append)

    def send(names, ticks):
        for now in (20 * MS * tick for tick in ticks):
            for name, later in names.items():
                matching.add(name, Frame(frame(stamp=PERIOD + now + later), now + later))

    send({'visible': 0, 'thermal': 5 * MS}, range(100))  # stamps that never match
    assert not made and not any(cameras.alone(name, 2000 * MS) for name in ('visible', 'thermal'))
    send({reference: 0}, range(100, 130))
    assert made and cameras.alone(reference, 2600 * MS)
