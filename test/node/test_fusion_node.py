# SPDX-License-Identifier: Apache-2.0
"""What goes through the node in this process, everything over real DDS."""

from diagnostic_msgs.msg import DiagnosticArray
from flow import accounted, FUSED, pixels, send, stamps
import numpy as np
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rig import camera_info, diagnosed, EchoFuser, frame, LATCHED, PERIOD, wait_for
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import String
from std_srvs.srv import Trigger


def test_the_shipped_model_fuses_pairs_under_the_visible_header(start, peer):
    start()
    fused = peer.listen(FUSED, Image)
    infos = peer.listen('fusion_node/fused/camera_info', CameraInfo)
    labels = peer.listen('fusion_node/degradation/visible', String, LATCHED)
    scores = peer.listen('fusion_node/degradation/scores', DiagnosticArray)
    peer.camera('visible/camera_info', CameraInfo)
    send(peer, fused, 1, 1)
    assert not infos  # none was received, none is invented
    peer.camera('visible/camera_info', CameraInfo).publish(camera_info())
    send(peer, fused, 2, 6)
    assert stamps(fused) == [n * PERIOD for n in range(1, 7)]
    assert {(m.header.frame_id, m.encoding, m.height, m.width, m.step) for m in fused} == {
        ('camera_optical', 'rgb8', 64, 80, 240)}
    assert np.std(pixels(fused[-1])) > 5
    wait_for(lambda: infos, 'camera_info')
    assert infos[-1].k.tolist() == camera_info().k.tolist() and infos[-1].width == 80
    wait_for(lambda: labels and scores, 'a judgement')
    assert set(labels[0].data.split(',')) <= {
        'fog', 'low_light', 'overexposure', 'rain', 'noise', 'blur', 'clean', 'unsure'}
    visible, thermal = scores[0].status
    assert [v.key for v in visible.values] == [
        'fog', 'low_light', 'overexposure', 'rain', 'noise', 'blur']
    assert [v.key for v in thermal.values] == ['stripe', 'noise', 'low_contrast', 'blur']
    assert all(0 <= float(v.value) <= 1 for v in [*visible.values, *thermal.values])


def test_a_parameter_alone_chooses_the_other_network(start, peer, tiny_tg_ecnet):
    start(parameters={'model.name': str(tiny_tg_ecnet)})
    fused = peer.listen(FUSED, Image)
    restored = peer.listen('fusion_node/visible_restored/image', Image)
    labels = peer.listen('fusion_node/degradation/visible', String, LATCHED)
    send(peer, fused, 1, 4)
    wait_for(lambda: send(peer, fused, len(fused) + 1, len(fused) + 1) or (
        restored and labels), 'a restored image and labels')
    assert (restored[-1].encoding, restored[-1].width, restored[-1].height) == ('rgb8', 80, 64)


def test_restored_pictures_and_mosaic_are_made_only_while_somebody_listens(start, peer):
    fuser = EchoFuser()
    start(fuser)
    fused = peer.listen(FUSED, Image)
    send(peer, fused, 1, 2)
    assert {outputs for _, _, outputs in fuser.fused} == {('fused',)}
    visible = peer.listen('fusion_node/visible_restored/image', Image)
    wait_for(lambda: send(peer, fused, len(fused) + 1, len(fused) + 1) or visible, 'restored')
    assert fuser.fused[-1][2] == ('fused', 'visible')
    thermal = peer.listen('fusion_node/thermal_restored/image', Image)
    mosaic = peer.listen('fusion_node/mosaic/image', Image)
    wait_for(lambda: send(peer, fused, len(fused) + 1, len(fused) + 1) or (
        thermal and mosaic), 'both')
    assert (visible[-1].encoding, thermal[-1].encoding) == ('rgb8', 'mono8')
    assert thermal[-1].width == 80 and stamps(thermal)[-1] in stamps(fused)
    assert mosaic[-1].encoding == 'rgb8' and mosaic[-1].width > 3 * 600
    jpegs = peer.listen('fusion_node/thermal_restored/image/compressed', CompressedImage)
    wait_for(lambda: send(peer, fused, len(fused) + 1, len(fused) + 1) or jpegs, 'a JPEG')
    assert jpegs[-1].format.startswith('mono8; jpeg') and bytes(jpegs[-1].data[:2]) == b'\xff\xd8'
    assert stamps(jpegs)[-1] in stamps(fused)
    for subscription in list(peer.node.subscriptions):
        if 'fused' not in subscription.topic_name:
            peer.node.destroy_subscription(subscription)
    wait_for(lambda: send(peer, fused, len(fused) + 1, len(fused) + 1) or (
        fuser.fused[-1][2] == ('fused',)), 'nobody to listen')


def test_labels_come_when_they_change_and_late_joiners_get_the_last(start, peer):
    fuser = EchoFuser(severities={'visible': {'fog': 0.8, 'noise': 0.4}, 'thermal': {}})
    # judged on request alone: frames of noise are a change of scene each
    start(fuser, {'degradation.rate_hz': 0.0, 'degradation.scene_change': 0.0,
                  'degradation.count': 1, 'sync.lost_after_s': 60.0})
    fused = peer.listen(FUSED, Image)
    labels = peer.listen('fusion_node/degradation/visible', String, LATCHED)

    def judge():
        before = fuser.judged
        peer.call(Trigger, 'fusion_node/refresh_degradation', Trigger.Request())
        send(peer, fused, len(fused) + 1, len(fused) + 1)
        wait_for(lambda: fuser.judged > before, 'a judgement')

    send(peer, fused, 1, 3)
    wait_for(lambda: labels, 'labels')
    assert fuser.judged == 1 and labels[0].data == 'fog,noise'
    judge()
    fuser.severities = {'visible': {'fog': 0.2, 'noise': 0.9}, 'thermal': {'stripe': 0.9}}
    judge()
    wait_for(lambda: len(labels) == 2, 'the changed labels')
    assert [m.data for m in labels] == ['fog,noise', 'noise,fog']
    late = peer.listen('fusion_node/degradation/thermal', String, LATCHED)
    wait_for(lambda: late, 'the latched label')
    assert [m.data for m in late] == ['stripe']


def test_bad_frames_are_counted_by_cause_and_good_ones_in_between_all_fused(start, peer):
    spun = start(EchoFuser(), {'sync.wait_s': 0.3})
    fused = peer.listen(FUSED, Image)
    reports = peer.listen('/diagnostics', DiagnosticArray)
    wrong_step, empty, no_data, strange = (frame(stamp=n * PERIOD) for n in (2, 4, 6, 8))
    wrong_step.step = 7
    empty.height = 0
    no_data.data = []
    strange.encoding = 'x' * 2000
    nan = frame(np.full((64, 80), np.nan, np.float32), '32FC1', 10 * PERIOD)
    cut = frame(encoding='mono16', stamp=12 * PERIOD)
    del cut.data[-1]
    bad = {2: {'visible': wrong_step}, 4: {'visible': empty}, 6: {'visible': no_data},
           8: {'visible': strange}, 10: {'thermal': nan}, 12: {'thermal': cut}}
    for number in range(1, 14):
        if number in bad:
            peer.send_pair(number, **bad[number])
            wait_for(lambda n=number: sum(
                count for key, count in spun.node._health.counts().items()
                if key.startswith('dropped.')) == n // 2, f'bad frame {number} counted')
        else:
            send(peer, fused, number, number)
    # what never became a partner costs no visible frame: the 12th gets the thermal one before it
    wait_for(lambda: len(fused) == 8, 'all pictures')
    assert stamps(fused) == [n * PERIOD for n in (1, 3, 5, 7, 9, 11, 12, 13)]
    values = wait_for(lambda: (v := diagnosed(reports)) and v.get('fused') == '8' and v, 'a report')
    numbers = accounted(values)
    for key in ('visible.wrong_step', 'visible.empty', 'visible.no_data',
                'visible.unknown_encoding', 'thermal.short_data', 'pairs.all_nan'):
        assert numbers[f'dropped.{key}'] == 1, key
    assert numbers['received.visible'] == numbers['received.thermal'] == 13


def test_a_change_of_size_is_taken_and_sizes_may_differ(start, peer):
    fuser = EchoFuser()
    start(fuser)
    fused, reports = peer.listen(FUSED, Image), peer.listen('/diagnostics', DiagnosticArray)
    send(peer, fused, 1, 1)
    peer.send_pair(2, frame(stamp=2 * PERIOD, size=(96, 128)),
                   frame(stamp=2 * PERIOD, size=(48, 64), encoding='mono16'))
    wait_for(lambda: len(fused) == 2, 'the larger frame')
    assert (fused[1].height, fused[1].width) == (96, 128)
    assert fuser.fused[-1][1].shape == (96, 128)
    send(peer, fused, 3, 3)
    assert fused[2].width == 80
    # its first frame warms up for the new size: nothing else may come between it and the next
    assert fuser.warmed == [(64, 80)] and len(fuser.fused) == 3
    wait_for(lambda: 'warm_up_ms.p50' in diagnosed(reports), 'its time in a report')


def test_first_warms_up_for_the_size_of_the_first_pair_and_no_other(start, peer):
    fuser = EchoFuser()
    start(fuser, {'model.warm_up_size': 'first'})
    fused, reports = peer.listen(FUSED, Image), peer.listen('/diagnostics', DiagnosticArray)
    send(peer, fused, 1, 2)
    peer.send_pair(3, frame(stamp=3 * PERIOD, size=(96, 128)),
                   frame(stamp=3 * PERIOD, size=(48, 64), encoding='mono16'))
    wait_for(lambda: len(fused) == 3, 'the larger frame')
    assert fuser.warmed == [(64, 80)] and len(fuser.fused) == 3
    wait_for(lambda: 'warm_up_ms.p50' in diagnosed(reports), 'its time in a report')


def test_the_output_may_have_a_size_and_colour_order_of_its_own(start, peer):
    start(EchoFuser(), {'output.size': '40x32', 'output.colour': 'bgr8'})
    fused = peer.listen(FUSED, Image, QoSProfile(
        depth=5, reliability=ReliabilityPolicy.BEST_EFFORT))
    infos = peer.listen('fusion_node/fused/camera_info', CameraInfo)
    peer.camera('visible/camera_info', CameraInfo).publish(camera_info())
    red = np.zeros((64, 80, 3), np.uint8)
    red[..., 0] = 250
    wait_for(lambda: send(
        peer, fused, len(fused) + 1, len(fused) + 1, visible=frame(
            red, stamp=(len(fused) + 1) * PERIOD)) or infos, 'camera_info')
    assert fused[-1].encoding == 'bgr8' and (fused[-1].height, fused[-1].width) == (32, 40)
    assert pixels(fused[-1])[0, 0].tolist() == [0, 0, 250]
    assert (infos[-1].width, infos[-1].height, infos[-1].k[0]) == (40, 32, 50)
