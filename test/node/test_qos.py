# SPDX-License-Identifier: Apache-2.0
"""Partners that DDS does not connect are named in /diagnostics with the remedy, and forgotten."""

from diagnostic_msgs.msg import DiagnosticArray
from flow import FUSED, send
import rclpy
from rclpy.context import Context
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rig import diagnosed, EchoFuser, LATCHED, wait_for
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from degfusion_ros.node.qos import mismatches


def told(reports, words):
    return wait_for(lambda: words in (m := diagnosed(reports).get('message', '')) and m, words)


def test_a_camera_whose_qos_does_not_fit_is_named_until_it_is_put_right(start, peer):
    topic = f'{peer.node.get_namespace()}/visible/image_raw'
    start(EchoFuser(), {f'qos_overrides.{topic}.subscription.reliability': 'reliable'})
    reports = peer.listen('/diagnostics', DiagnosticArray)
    assert ';' not in told(reports, 'waiting for both cameras: ').replace('; thermal', '')
    best_effort = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    wrong = peer.node.create_publisher(Image, topic, best_effort)
    message = told(reports, 'nothing gets through')
    assert f'{topic}: {peer.node.get_fully_qualified_name()} publishes best effort' in message
    assert f'set qos_overrides.{topic}.subscription.reliability: best_effort' in message
    assert diagnosed(reports)['level'] == b'\x01'
    peer.node.destroy_publisher(wrong)
    wait_for(lambda: 'gets through' not in diagnosed(reports)['message'], 'the remedy')


def test_an_override_that_no_topic_takes_is_told(start, peer, capfd):
    space = peer.node.get_namespace()
    setting = 'subscription.reliability'
    taken = [f'qos_overrides.{space}/visible/image_raw/compressed.{setting}',
             f'qos_overrides.{space}/fusion_node/fused/image.publisher.depth']
    idle = [f'qos_overrides.{space}/visible/image_raw.{setting}',
            f'qos_overrides./thermal/image_raw.{setting}',
            f'qos_overrides.{space}/thermal/image_raw.subscription.lifespan']
    spun = start(EchoFuser(), {'input.visible.transport': 'compressed', taken[1]: 3, idle[2]: 9,
                               **dict.fromkeys((taken[0], *idle[:2]), 'reliable')})
    wait_for(lambda: spun.node._state == 'active', 'the start')
    lines = [line for line in capfd.readouterr().err.splitlines() if 'without effect' in line]
    assert [name for name in idle if any(f'parameter {name} ' in line for line in lines)] == idle
    assert len(lines) == 3
    assert f'({space}/visible/image_raw/compressed, {space}/thermal/image_raw)' in lines[0]


def test_a_viewer_that_asks_for_too_much_is_named_while_fusion_goes_on(start, peer):
    start(EchoFuser())
    reports = peer.listen('/diagnostics', DiagnosticArray)
    fused = peer.listen(FUSED, Image)
    peer.listen(FUSED, Image, LATCHED)
    message = told(reports, 'nothing gets through')
    assert 'asks for transient local' in message and 'subscribe with durability volatile' in message
    send(peer, fused, 1, 2)


def test_a_topic_of_another_type_is_named(start, peer):
    start(EchoFuser())
    reports = peer.listen('/diagnostics', DiagnosticArray)
    context = Context()  # in one context DDS itself refuses a second type
    rclpy.init(context=context, args=[])
    other = rclpy.create_node('driver', namespace=peer.node.get_namespace(), context=context)
    try:
        other.create_publisher(CompressedImage, 'thermal/image_raw', 5)
        message = told(reports, 'is read')
    finally:
        other.destroy_node()
        context.try_shutdown()
    assert f'{peer.node.get_namespace()}/driver publishes' in message
    assert 'sensor_msgs/msg/CompressedImage where sensor_msgs/msg/Image is read' in message
    assert 'set input.*.transport' in message


def test_whom_one_of_two_subscriptions_hears_is_no_mismatch(peer):
    topic = f'{peer.node.get_namespace()}/visible/camera_info'
    node = rclpy.create_node('both', namespace=peer.node.get_namespace())
    try:
        node.create_subscription(CameraInfo, topic, print, LATCHED)  # the graph shows it first
        plain = node.create_subscription(CameraInfo, topic, print, 5)
        peer.node.create_publisher(CameraInfo, topic, 5)
        wait_for(lambda: len(node.get_subscriptions_info_by_topic(topic)) == 2
                 and node.get_publishers_info_by_topic(topic), 'all three to be known')
        assert mismatches(node) == []
        node.destroy_subscription(plain)
        said, = wait_for(lambda: mismatches(node), 'what nobody hears')
        assert 'publishes volatile where the node asks for transient local' in said
    finally:
        node.destroy_node()
