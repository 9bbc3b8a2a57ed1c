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


@pytest.mark.parametrize('count', [1, 3])
def test_what_waits_gets_its_own_partners_when_newer_pairs_lie_in_the_queue_too(
        start, peer, count):
    """An executor that was held up takes one message of each topic a round, visible first."""
    spun = start(EchoFuser(), {'sync.wait_s': 0.3, 'sync.hold_s': 1.0, 'sync.lost_after_s': 5.0})
    fused = peer.listen('fusion_node/fused/image', Image)
    reports = peer.listen('/diagnostics', DiagnosticArray)
    visible, thermal = (peer.camera(f'{name}/image_raw') for name in ('visible', 'thermal'))
    peer.send_pair(10)
    wait_for(lambda: fused, 'the first pair')

    def starve():
        # in one call, as a busy machine may let none of them wait for long enough
        for number in range(11, 11 + count):
            spun.node._inputs._arrived('visible', frame(stamp=number * PERIOD))
        for number in range(11, 12 + count):
            thermal.publish(frame(stamp=number * PERIOD + 2_000_000, encoding='mono16'))
        visible.publish(frame(stamp=(11 + count) * PERIOD))
        time.sleep(0.6)     # beyond every wait
        return True
    spun.do(starve)
    wait_for(lambda: len(fused) == 2 + count, 'all pairs')
    values = wait_for(
        lambda: (v := diagnosed(reports)).get('fused') == str(2 + count) and v, 'a report')
    assert values['held'] == values['reused'] == '0' and float(values['delta_t_ms.p99']) == 2


def test_frames_that_keep_coming_do_not_put_off_the_end_of_a_wait(start, peer):
    """A frame in every round of the executor, each one later than the wait was to last."""
    spun = start(EchoFuser(), {'sync.wait_s': 0.01, 'sync.hold_s': 0.0, 'sync.lost_after_s': 0.0})
    wait_for(lambda: spun.node._running, 'the node to be active')
    inputs, executor = spun.node._inputs, spun._executor
    rounds = []

    def flood():
        if not rounds:
            inputs._arrived('visible', frame(stamp=1000 * PERIOD))
        rounds.append(inputs.matching.counts().get('dropped.visible.no_partner', 0))
        inputs._arrived('thermal', frame(stamp=len(rounds) * PERIOD, encoding='mono16'))
        if len(rounds) < 300 and not rounds[-1]:
            time.sleep(0.002)
            executor.create_task(flood)
        return True
    spun.do(flood)
    wait_for(lambda: rounds[-1] or len(rounds) == 300, 'the end of the wait')
    assert rounds[-1] == 1 and len(rounds) < 100
