# SPDX-License-Identifier: Apache-2.0
import cv2
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from flow import FUSED, send
import numpy as np
from rclpy.parameter import Parameter
from rig import diagnosed, EchoFuser, frame, PERIOD, wait_for
from sensor_msgs.msg import Image

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

    wait_for(lambda: state(0).get('misalignment_px', 'unknown') != 'unknown', 'a judgement')
    good = diagnosed(told)
    assert float(good['misalignment_px']) < 3 and good['level'] == DiagnosticStatus.OK
    wait_for(lambda: state(20)['level'] == DiagnosticStatus.WARN, 'a warning')
    bad = diagnosed(told)
    assert 'px off the visible one' in bad['message'] and 'calibrate' in bad['message']
    assert 6.4 < float(bad['misalignment_px']) < 23
    off = [Parameter('registration.warn_share', value=0.0)]
    assert node.do(node.node.set_parameters_atomically, off).successful
    wait_for(lambda: state(20)['level'] == DiagnosticStatus.OK, 'the warning to go')


def test_small_pictures_are_not_judged(start, peer):
    start(EchoFuser(), {'degradation.rate_hz': 30.0})
    fused, told = peer.listen(FUSED, Image), peer.listen('/diagnostics', DiagnosticArray)
    send(peer, fused, 1, 3)
    wait_for(lambda: int(diagnosed(told).get('judged', 0)) > 0, 'a judgement')
    assert diagnosed(told)['misalignment_px'] == 'unknown'
