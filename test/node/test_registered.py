# SPDX-License-Identifier: Apache-2.0
import cv2
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from flow import FUSED, send
import numpy as np
from rclpy.parameter import Parameter
from rig import camera_info, diagnosed, EchoFuser, frame, PERIOD, wait_for
from sensor_msgs.msg import CameraInfo, Image

from degfusion_ros.imaging.geometry import Plane
from degfusion_ros.imaging.registration_file import save

SIZE = 320, 256


def pair(number, dx):
    """Return frames of blocks of shared outline and other brightness, the thermal moved by dx."""
    rng = np.random.default_rng(number)
    visible, thermal = (np.full(SIZE[::-1], level, np.uint8) for level in (90, 120))
    for _ in range(40):
        x, y, w, h = rng.integers(0, 300), rng.integers(0, 240), *rng.integers(8, 60, 2)
        for picture in (visible, thermal):
            cv2.rectangle(picture, (x, y), (x + w, y + h), int(rng.integers(20, 235)), -1)
    thermal = cv2.warpAffine(thermal, np.float32([[1, 0, dx], [0, 1, 0]]), SIZE)
    return {'visible': frame(cv2.cvtColor(visible, cv2.COLOR_GRAY2RGB), 'rgb8', number * PERIOD),
            'thermal': frame(thermal, 'mono8', number * PERIOD)}


def test_a_knocked_camera_is_told_in_diagnostics(start, peer):
    node = start(EchoFuser(), {'degradation.rate_hz': 30.0})
    fused, told = peer.listen(FUSED, Image), peer.listen('/diagnostics', DiagnosticArray)
    number = [0]

    def state(dx):
        number[0] += 1
        send(peer, fused, number[0], number[0], **pair(number[0], dx))
        return diagnosed(told)

    def warned(dx):
        return 'px off the visible one' in state(dx)['message']

    wait_for(lambda: state(0).get('misalignment_px', 'unknown') != 'unknown', 'a judgement')
    assert float(diagnosed(told)['misalignment_px']) < 3 and not warned(0)
    wait_for(lambda: warned(20), 'a warning')
    bad = diagnosed(told)
    assert 'calibrate' in bad['message'] and bad['level'] == DiagnosticStatus.WARN
    assert 6.4 < float(bad['misalignment_px']) < 23
    off = [Parameter('registration.warn_share', value=0.0)]
    assert node.do(node.node.set_parameters_atomically, off).successful
    wait_for(lambda: not warned(20), 'the warning to go')


def test_the_node_registers_by_the_file_and_scales_camera_info(start, peer, tmp_path):
    """Another size and a shift; the output half as large, with the visible camera_info."""
    save(tmp_path / 'r.yaml', Plane(np.array([[2.0, 0, 40], [0, 2, 0], [0, 0, 1]]), (160, 128),
                                    (320, 256)), 0)
    fuser = EchoFuser()
    start(fuser, {'registration.file': str(tmp_path / 'r.yaml'), 'output.size': '160x128'})
    fused = peer.listen(FUSED, Image)
    infos = peer.listen('fusion_node/fused/camera_info', CameraInfo)
    thermal = np.full((128, 160), 40, np.uint8)
    thermal[:, 50:70] = 200
    peer.camera('visible/camera_info', CameraInfo).publish(camera_info(320, 256))
    pictures = {'visible': frame(np.zeros((256, 320, 3), np.uint8), 'rgb8'),
                'thermal': frame(thermal, 'mono8')}
    send(peer, fused, 1, 1, **pictures)
    seen = fuser.fused[-1][1]
    assert seen.shape == (128, 160)
    hot = np.flatnonzero(seen[64] > 0.6)  # thermal 50 to 70, visible 140 to 180, output 70 to 90
    assert abs(hot.min() - 70) <= 1 and abs(hot.max() - 89) <= 1
    assert seen[:, :20].min() > 0.1  # no black border where the thermal camera sees nothing
    wait_for(lambda: infos, 'a camera_info')
    assert (infos[0].width, infos[0].height, infos[0].k[0], infos[0].k[2]) == (160, 128, 50, 80)


def test_small_pictures_are_not_judged(start, peer):
    start(EchoFuser(), {'degradation.rate_hz': 30.0})
    fused, told = peer.listen(FUSED, Image), peer.listen('/diagnostics', DiagnosticArray)
    send(peer, fused, 1, 3)
    wait_for(lambda: int(diagnosed(told).get('judged', 0)) > 0, 'a judgement')
    assert diagnosed(told)['misalignment_px'] == 'unknown'
