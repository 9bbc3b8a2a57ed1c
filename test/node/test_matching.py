# SPDX-License-Identifier: Apache-2.0
"""Policies of message_filters, where a ROS 2 install has it, in the real node."""

from diagnostic_msgs.msg import DiagnosticArray
from flow import Scene
import pytest
from rig import diagnosed, EchoFuser, frame, PERIOD, wait_for
from sensor_msgs.msg import Image

pytest.importorskip('message_filters', reason='message_filters comes with a ROS 2 install')
MS = 1_000_000


@pytest.mark.parametrize('policy, apart_ns', [('exact', 0), ('approximate', 9 * MS)])
def test_its_policies_pair_and_what_stays_alone_is_counted(start, peer, policy, apart_ns):
    start(EchoFuser(), {'sync.policy': policy})
    fused = peer.listen('fusion_node/fused/image', Image)
    reports = peer.listen('/diagnostics', DiagnosticArray)
    for number in range(1, 4):
        peer.send_pair(number, apart_ns=apart_ns)
        wait_for(lambda n=number: len(fused) == n, f'pair {number}')
    peer.send_pair(4, apart_ns=70 * MS)  # too far apart for either
    bad = frame(stamp=5 * PERIOD)
    bad.step = 1
    peer.send_pair(5, visible=bad, apart_ns=apart_ns)
    peer.send_pair(6, apart_ns=apart_ns)
    wait_for(lambda: len(fused) == 4, 'the last pair')
    values = wait_for(lambda: (v := diagnosed(reports)).get('fused') == '4' and v, 'a report')
    assert values['pairs'] == '4' and values['dropped.visible.wrong_step'] == '1'
    assert values['dropped.visible.unmatched'] == '1'
    assert values['dropped.thermal.unmatched'] == '2'
    assert float(values['delta_t_ms.p99']) == apart_ns / MS


@pytest.mark.parametrize('policy', ['exact', 'approximate'])
def test_its_policies_see_stamps_with_the_offsets_added(start, peer, policy):
    start(EchoFuser(), {'sync.policy': policy, 'sync.offset_thermal_s': 0.57})
    fused = peer.listen('fusion_node/fused/image', Image)
    reports = peer.listen('/diagnostics', DiagnosticArray)
    for number in range(10, 13):  # a thermal clock that is behind
        peer.send_pair(number, apart_ns=-570 * MS)
        wait_for(lambda n=number: len(fused) == n - 9, f'pair {number}')
    assert fused[-1].header.stamp.nanosec == 2 * PERIOD
    values = wait_for(lambda: (v := diagnosed(reports)).get('fused') == '3' and v, 'a report')
    assert float(values['delta_t_ms.p99']) == 0


def test_its_subscriber_feeds_our_own_pairing_and_is_unsubscribed(start, peer):
    spun = start(EchoFuser())
    fused = peer.listen('fusion_node/fused/image', Image)
    peer.send_pair(1)
    wait_for(lambda: fused, 'a pair')
    spun.do(lambda: [spun.node.trigger_deactivate()])
    assert not [s for s in spun.node.subscriptions if 'image' in s.topic_name]


def test_stamps_that_never_match_are_told_and_nobody_is_said_to_go_on(start, peer):
    scene = Scene(start, peer, {'sync.policy': 'exact'})

    def beside(stamp):
        return frame(stamp=stamp + 5 * MS, encoding='mono16')
    count = len(scene.reports)
    state = 'waiting for pairs: both cameras send, no two stamps are the same'
    scene.cameras.run(lambda: scene.degraded('none', state), 'the report', thermal=beside)
    told = [status.message for report in scene.reports[count:] for status in report.status]
    assert not [message for message in told if 'alone' in message]
