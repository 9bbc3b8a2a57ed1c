# SPDX-License-Identifier: Apache-2.0
"""The package's own pairing inside the running node, and the mosaic's rate."""

import time

from diagnostic_msgs.msg import DiagnosticArray
import pytest
from rig import diagnosed, EchoFuser, frame, PERIOD, wait_for
from sensor_msgs.msg import Image


def test_a_partner_that_waits_in_a_starved_executors_queue_is_not_given_up(start, peer):
    spun = start(EchoFuser(), {'sync.wait_s': 0.15})
    fused = peer.listen('fusion_node/fused/image', Image)
    reports = peer.listen('/diagnostics', DiagnosticArray)
    visible, thermal = (peer.camera(f'{name}/image_raw') for name in ('visible', 'thermal'))
    for number in range(1, 4):
        stamp = number * PERIOD
        visible.publish(frame(stamp=stamp))
        wait_for(lambda: spun.node._inputs.matching.counts()['waiting.visible'] == 1, 'it waits')

        def starve(stamp=stamp):
            thermal.publish(frame(stamp=stamp, encoding='mono16'))
            time.sleep(0.4)     # beyond the wait: timer and message are due together
            return True
        spun.do(starve)
        wait_for(lambda n=number: len(fused) == n, f'pair {number} fused')
    values = wait_for(lambda: (v := diagnosed(reports)).get('fused') == '3' and v, 'a report')
    assert 'dropped.visible.no_partner' not in values


def test_a_frame_without_partner_is_given_up_after_its_wait(start, peer):
    start(EchoFuser(), {'sync.wait_s': 0.05})
    reports = peer.listen('/diagnostics', DiagnosticArray)
    peer.camera('visible/image_raw').publish(frame())
    wait_for(lambda: diagnosed(reports).get('dropped.visible.no_partner') == '1', 'a report')


def test_the_largest_distance_holds_to_the_nanosecond(start, peer):
    start(EchoFuser(), {'sync.max_dt_s': 2.01, 'sync.hold_s': 0.0, 'sync.wait_s': 0.5})
    fused = peer.listen('fusion_node/fused/image', Image)
    peer.send_pair(30, apart_ns=-2_010_000_000)
    wait_for(lambda: fused, 'a pair')
    assert fused[0].header.stamp.sec == 3


@pytest.mark.parametrize('rate_hz, more', [(0.1, 0), (100.0, 4)])
def test_the_mosaic_has_a_rate_of_its_own(start, peer, rate_hz, more):
    fuser = EchoFuser()
    start(fuser, {'output.mosaic_rate_hz': rate_hz})
    fused = peer.listen('fusion_node/fused/image', Image)
    mosaic = peer.listen('fusion_node/mosaic/image', Image)
    # until the node has met the listener
    number = 0
    while not mosaic:
        number += 1
        peer.send_pair(number)
        wait_for(lambda n=number: len(fused) == n, f'pair {number} fused')
    fuser.fused.clear()
    for extra in range(1, 5):
        peer.send_pair(number + extra)
        wait_for(lambda n=number + extra: len(fused) == n, 'it fused')
    whole = [outputs for _, _, outputs in fuser.fused if len(outputs) == 3]
    assert len(whole) == more
