# SPDX-License-Identifier: Apache-2.0
"""Slowness, pauses, jumps, errors and changes, in this process over real DDS."""

import time

from diagnostic_msgs.msg import DiagnosticArray
from flow import accounted, FUSED, pixels, Scene, send, stamps
import numpy as np
from rclpy.parameter import Parameter
from rig import diagnosed, EchoFuser, frame, PERIOD, S, wait_for
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image
from std_srvs.srv import SetBool

from degfusion_ros.node import diagnostics


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


def test_after_a_pause_no_camera_is_missed_before_it_can_have_come(start, peer):
    scene = Scene(start, peer)
    peer.call(SetBool, 'fusion_node/enable', SetBool.Request(data=False))
    end = time.monotonic() + 1.7  # longer than nothing may be fused
    scene.cameras.run(lambda: time.monotonic() > end, 'the pause to end')  # both never stop
    before = len(scene.reports)
    peer.call(SetBool, 'fusion_node/enable', SetBool.Request(data=True))
    report = wait_for(lambda: [
        told for n in range(before, len(scene.reports))
        if (told := diagnosed(scene.reports[n:n + 1])).get('message', 'paused') != 'paused'],
        'the first report')[0]
    assert (report['message'], report['level']) == ('resuming', b'\x00'), report
    assert report['degraded_mode'] == 'none'
    assert not [told for name in scene.labels for told in scene.labelled(name) if told == 'missing']
    wait_for(lambda: scene.told('waiting for both cameras'), 'they are missed after all')
    wait_for(lambda: scene.labelled('visible')[-1] == 'missing', 'the label')
    scene.cameras.run(lambda: scene.told('running'), 'both are back')
    scene.accounted()


def test_of_slow_cameras_no_pair_is_missed_from_one_to_the_next(start, peer, monkeypatch):
    monkeypatch.setattr(diagnostics, 'UNPAIRED_S', 0.05)  # to a camera at 3 Hz as 1.5 s to 0.1 Hz
    start(EchoFuser(), {'sync.lost_after_s': 5.0})
    fused, reports = peer.listen(FUSED, Image), peer.listen('/diagnostics', DiagnosticArray)

    def pairs(first, last):
        for number in range(first, last + 1):
            send(peer, fused, number, number)
            time.sleep(0.3)
    pairs(1, 4)
    before = len(reports)
    pairs(5, 7)
    wait_for(lambda: len(reports) > before, 'a report')
    told = [diagnosed([report])['message'] for report in reports[before:]]
    assert not [message for message in told if 'no two frames' in message]


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

        def refresh(self, visible, thermal, between, keep, outputs):
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
    assert values['ran_by'] == 'echo'
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
