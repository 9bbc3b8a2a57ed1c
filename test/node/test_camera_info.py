# SPDX-License-Identifier: Apache-2.0
"""Which camera_info the node goes by: latched, sent once, sent by a driver that began anew."""

from diagnostic_msgs.msg import DiagnosticArray
from rig import camera_info, diagnosed, EchoFuser, LATCHED, S, wait_for
from sensor_msgs.msg import CameraInfo


def told(reports, stream, size):
    return wait_for(lambda: diagnosed(reports).get(f'camera_info.{stream}') == size, size)


def test_a_latched_one_is_heard_whenever_it_was_sent(start, peer):
    early = peer.node.create_publisher(CameraInfo, 'visible/camera_info', LATCHED)
    early.publish(camera_info(320, 256))
    start(EchoFuser())
    reports = peer.listen('/diagnostics', DiagnosticArray)
    told(reports, 'visible', '320x256')
    late = peer.node.create_publisher(CameraInfo, 'thermal/camera_info', LATCHED)
    late.publish(camera_info(160, 128))  # before it has met the node
    told(reports, 'thermal', '160x128')
    assert 'gets through' not in diagnosed(reports)['message']


def test_one_that_was_sent_once_is_kept_over_a_cleanup(start, peer):
    spun = start(EchoFuser())
    reports = peer.listen('/diagnostics', DiagnosticArray)
    peer.camera('visible/camera_info', CameraInfo).publish(camera_info(320, 256))
    told(reports, 'visible', '320x256')
    for name in ('deactivate', 'cleanup', 'configure', 'activate'):
        spun.do(getattr(spun.node, f'trigger_{name}'))
    reports.clear()
    told(reports, 'visible', '320x256')


def test_an_older_one_is_passed_over_unless_the_drivers_time_began_anew(start, peer):
    spun = start(EchoFuser())
    peer.camera('visible/camera_info', CameraInfo)
    inputs = spun.node._inputs
    for width, stamp, kept in ((80, 100 * S, 80), (90, 100 * S - S // 2, 80), (96, 7 * S, 96)):
        spun.do(inputs._informed, 'visible', camera_info(width, stamp=stamp))
        assert inputs.infos['visible'].width == kept
