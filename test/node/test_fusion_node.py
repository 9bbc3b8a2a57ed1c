# SPDX-License-Identifier: Apache-2.0
"""The node in this process, everything over real DDS."""

from diagnostic_msgs.msg import DiagnosticArray
import numpy as np
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rig import camera_info, diagnosed, EchoFuser, frame, LATCHED, PERIOD, S, wait_for
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger

FUSED = 'fusion_node/fused/image'


def pixels(message):
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, -1)


def stamps(messages):
    return [m.header.stamp.sec * S + m.header.stamp.nanosec for m in messages]


def send(peer, fused, first, last, **frames):
    """Send pairs one after the other, each when the one before has come out fused."""
    for number in range(first, last + 1):
        already = len(fused)
        peer.send_pair(number, **frames)
        wait_for(lambda n=already: len(fused) > n, f'pair {number} fused')


def accounted(values):
    """Check that every frame and every pair is accounted for; returns the numbers."""
    n = {k: int(v) for k, v in values.items() if str(v).lstrip('-').isdigit()}

    def lost(what):
        return sum(v for k, v in n.items() if k.startswith(f'dropped.{what}.'))

    assert n['received.visible'] == n['pairs'] + n['waiting.visible'] + lost('visible'), values
    assert n['received.thermal'] == (
        n['pairs'] - n['reused'] + n['waiting.thermal'] + lost('thermal')), values
    assert n['pairs'] == n['fused'] + n['in_progress'] + lost('pairs'), values
    return n


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
    for subscription in list(peer.node.subscriptions):
        if 'fused' not in subscription.topic_name:
            peer.node.destroy_subscription(subscription)
    wait_for(lambda: send(peer, fused, len(fused) + 1, len(fused) + 1) or (
        fuser.fused[-1][2] == ('fused',)), 'nobody to listen')


def test_labels_come_when_they_change_and_late_joiners_get_the_last(start, peer):
    fuser = EchoFuser(severities={'visible': {'fog': 0.8, 'noise': 0.4}, 'thermal': {}})
    start(fuser, {'degradation.rate_hz': 0.0, 'degradation.count': 1})
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
    spun = start(EchoFuser(), {'sync.wait_s': 0.05})
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
    assert stamps(fused) == [n * PERIOD for n in range(1, 14, 2)]
    values = wait_for(lambda: (v := diagnosed(reports)) and v.get('fused') == '7' and v, 'a report')
    numbers = accounted(values)
    for key in ('visible.wrong_step', 'visible.empty', 'visible.no_data',
                'visible.unknown_encoding', 'thermal.short_data', 'pairs.all_nan'):
        assert numbers[f'dropped.{key}'] == 1, key
    assert numbers['received.visible'] == numbers['received.thermal'] == 13


def test_a_change_of_size_is_taken_and_sizes_may_differ(start, peer):
    fuser = EchoFuser()
    start(fuser)
    fused = peer.listen(FUSED, Image)
    send(peer, fused, 1, 1)
    peer.send_pair(2, frame(stamp=2 * PERIOD, size=(96, 128)),
                   frame(stamp=2 * PERIOD, size=(48, 64), encoding='mono16'))
    wait_for(lambda: len(fused) == 2, 'the larger frame')
    assert (fused[1].height, fused[1].width) == (96, 128)
    assert fuser.fused[-1][1].shape == (96, 128)
    assert fuser.warmed == [(64, 80), (96, 128)]
    send(peer, fused, 3, 3)
    assert fused[2].width == 80


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


def test_a_slow_fuser_gets_the_newest_pairs_and_the_others_are_counted(start, peer):
    start(EchoFuser(delay_s=0.1))
    fused = peer.listen(FUSED, Image)
    reports = peer.listen('/diagnostics', DiagnosticArray)
    for number in range(1, 21):
        peer.send_pair(number)
    wait_for(lambda: fused and stamps(fused)[-1] == 20 * PERIOD, 'the newest pair')
    values = wait_for(
        lambda: (v := diagnosed(reports)) and v.get('fused') == str(len(fused)) and v, 'a report')
    numbers = accounted(values)
    assert numbers['dropped.pairs.busy'] > 0 and len(fused) < 20


def test_pausing_counts_frames_and_resuming_fuses_again(start, peer):
    start(EchoFuser())
    fused = peer.listen(FUSED, Image)
    reports = peer.listen('/diagnostics', DiagnosticArray)
    send(peer, fused, 1, 1)
    answer = peer.call(SetBool, 'fusion_node/enable', SetBool.Request(data=False))
    assert answer.success and answer.message == 'paused'
    peer.send_pair(2)
    values = wait_for(lambda: (v := diagnosed(reports)).get('dropped.thermal.paused') and v,
                      'the paused frame')
    assert values['message'] == 'paused' and len(fused) == 1
    peer.call(SetBool, 'fusion_node/enable', SetBool.Request(data=True))
    send(peer, fused, 3, 4)
    values = wait_for(lambda: (v := diagnosed(reports))['fused'] == '3' and v, 'a report')
    assert accounted(values)['dropped.visible.paused'] == 1


def test_a_late_partner_is_waited_for_and_a_lonely_frame_let_go(start, peer):
    start(EchoFuser(), {'sync.wait_s': 0.3})
    fused = peer.listen(FUSED, Image)
    reports = peer.listen('/diagnostics', DiagnosticArray)
    for number in (1, 2):  # the first stays alone
        peer.camera('visible/image_raw').publish(frame(stamp=number * PERIOD))
    peer.camera('thermal/image_raw').publish(
        frame(stamp=2 * PERIOD + 30_000_000, encoding='mono16'))
    wait_for(lambda: fused, 'the pair, though no further frame comes')
    assert stamps(fused) == [2 * PERIOD]
    values = wait_for(lambda: (v := diagnosed(reports)).get('fused') == '1' and v, 'a report')
    assert accounted(values)['dropped.visible.no_partner'] == 1
    assert float(values['delta_t_ms.p50']) == 30.0


def test_time_jumping_back_begins_anew(start, peer):
    spun = start(EchoFuser(), {'use_sim_time': True})
    clock = peer.camera('/clock', Clock)
    fused = peer.listen(FUSED, Image)

    def now(seconds):
        message = Clock()
        message.clock.sec = seconds
        clock.publish(message)
        wait_for(lambda: spun.node.get_clock().now().nanoseconds == seconds * S, 'the clock')

    now(100)
    send(peer, fused, 1000, 1003)
    peer.camera('visible/image_raw').publish(frame(stamp=1004 * PERIOD))
    wait_for(lambda: spun.do(lambda: [spun.node._inputs.matching.counts()])[0][
        'waiting.visible'] == 1, 'a frame that waits')
    now(5)
    counts = spun.do(spun.node._inputs.matching.counts)
    assert counts['waiting.visible'] == 0 and counts['dropped.visible.reset'] == 1
    send(peer, fused, 50, 52)
    assert stamps(fused)[-1] == 52 * PERIOD


def test_compressed_inputs_come_on_their_own_topic(start, peer):
    import cv2
    start(EchoFuser(), {'input.visible.transport': 'compressed'})
    fused = peer.listen(FUSED, Image)
    colours = np.random.default_rng(0).integers(0, 255, (64, 80, 3)).astype(np.uint8)
    message = CompressedImage(
        header=frame().header, format='png', data=cv2.imencode('.png', colours)[1].tobytes())
    peer.camera('visible/image_raw/compressed', CompressedImage).publish(message)
    peer.camera('thermal/image_raw').publish(frame(encoding='mono16'))
    wait_for(lambda: fused, 'a fused frame')
    np.testing.assert_array_equal(pixels(fused[0]), colours[..., ::-1])


def test_an_error_nobody_foresaw_costs_one_frame(start, peer):
    class Faulty(EchoFuser):
        def fuse(self, visible, thermal, outputs=('fused',)):
            if len(self.fused) == 1:
                self.fused.append(None)
                raise KeyError('a bug')
            return super().fuse(visible, thermal, outputs)

        def refresh(self, visible, thermal):
            raise ValueError('another bug')

    start(Faulty())
    fused = peer.listen(FUSED, Image)
    reports = peer.listen('/diagnostics', DiagnosticArray)
    send(peer, fused, 1, 1)
    peer.send_pair(2)
    wait_for(lambda: diagnosed(reports).get('dropped.pairs.internal_error') == '1', 'the error')
    send(peer, fused, 3, 4)
    values = wait_for(lambda: (v := diagnosed(reports))['fused'] == '3' and v, 'a report')
    assert accounted(values)['judge_error'] >= 1 and values['vector_age_s'] == 'none yet'


def test_diagnostics_say_what_is_waited_for_and_then_how_it_goes(start, peer):
    start(EchoFuser())
    reports = peer.listen('/diagnostics', DiagnosticArray)
    message = wait_for(
        lambda: (m := diagnosed(reports).get('message', '')).startswith('waiting') and m, 'waiting')
    assert 'visible/image_raw (nobody publishes it)' in message
    fused = peer.listen(FUSED, Image)
    number = 0
    while diagnosed(reports)['message'] != 'running':
        number += 1
        assert number < 500, diagnosed(reports)
        send(peer, fused, number, number)
    values = diagnosed(reports)
    assert values['level'] == b'\x00' and values['model'] == 'echo' and values['device'] == 'cpu'
    assert float(values['rate_in.visible_hz']) > 0 and float(values['rate_out.fused_hz']) > 0
    assert {f'{stage}_ms.{share}' for stage in ('wait', 'decode', 'fuse', 'publish', 'total',
                                                'delta_t', 'judge')
            for share in ('p50', 'p99')} <= set(values)
    assert float(values['vector_age_s']) < 20
    accounted(values)


def test_parameters_change_at_run_time_where_they_may(start, peer):
    spun = start(EchoFuser())
    fused = peer.listen(FUSED, Image)
    send(peer, fused, 1, 1)

    def put(name, value):
        return spun.do(spun.node.set_parameters, [Parameter(name, value=value)])[0]

    assert put('output.colour', 'mono8').successful
    assert not put('output.size', '40x32').successful
    assert '30.0' in put('degradation.rate_hz', 31.0).reason
    send(peer, fused, 2, 2)
    assert (fused[-1].encoding, fused[-1].step) == ('mono8', 80)
