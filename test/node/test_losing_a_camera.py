# SPDX-License-Identifier: Apache-2.0
"""A camera dies, freezes, sends rubbish or another time: the fused stream goes on and says so."""

from flow import pixels, Scene, STEP
import numpy as np
import pytest
from rig import camera_info, diagnosed, frame, header, wait_for
from sensor_msgs.msg import CameraInfo

from degfusion_ros.node import diagnostics
from degfusion_ros.node.messages import stamp_ns

WARN, STALE = b'\x01', b'\x03'
SOON = 25  # frames of 20 ms, under way while a busy machine looks at them


def test_without_thermal_the_restored_visible_goes_on_and_one_pair_brings_it_back(start, peer):
    scene = Scene(start, peer)
    report = scene.cameras.run(
        lambda: scene.degraded('thermal missing', 'degraded, visible alone', 'visible'),
        'the report', thermal=False)
    assert report['level'] == WARN and '/thermal/image_raw (' in report['message']
    assert float(report['age.thermal_s']) > 0.15
    scene.flows(thermal=False)
    visible, thermal, _ = scene.fuser.fused[-1]
    assert np.ptp(thermal) < 0.5 and thermal.shape == visible.shape[:2]  # regions, no picture
    assert 'missing' not in scene.labelled('visible')
    last = scene.fused[-1]
    assert (last.encoding, last.header.frame_id) == ('rgb8', 'visible')
    assert any(np.array_equal(pixels(last), given) for given, _, _ in scene.fuser.fused)
    back = scene.cameras.number
    scene.cameras.run(lambda: scene.shown() == ('fused',), 'a pair')
    number = scene.cameras.number_of(scene.fused[-1])
    assert number <= back + SOON
    scene.cameras.run(lambda: scene.labelled('thermal')[-1] == 'clean', 'a judgement')
    assert scene.labelled('thermal')[-2] == 'unsure'
    scene.cameras.run(lambda: scene.degraded('none', 'running'), 'it runs')
    numbers = scene.accounted()
    assert numbers['single.visible'] > 10 and numbers['single.thermal'] == 0


@pytest.mark.parametrize('colour, channels', [('rgb8', 3), ('mono8', 1)])
def test_without_visible_the_restored_thermal_goes_on_under_its_own_header(
        start, peer, colour, channels):
    peer_infos = peer.listen_first('fusion_node/fused/camera_info', CameraInfo)
    scene = Scene(start, peer, {'output.colour': colour})
    peer.camera('thermal/camera_info', CameraInfo).publish(camera_info(40, 32))
    report = scene.cameras.run(
        lambda: peer_infos and scene.degraded(
            'visible missing', 'degraded, thermal alone', 'thermal'),
        'the report', visible=False)
    assert report['level'] == WARN
    scene.flows(visible=False)
    last = scene.fused[-1]
    assert (last.encoding, last.header.frame_id) == (colour, 'thermal')
    assert pixels(last).shape == (64, 80, channels) and np.std(pixels(last)) > 20
    assert (peer_infos[-1].width, peer_infos[-1].k[0]) == (80, 200)  # its own, scaled
    stamps = [scene.cameras.number_of(message) for message in scene.fused]
    assert stamps == sorted(set(stamps))
    scene.cameras.run(lambda: scene.shown() == ('fused',), 'a pair')
    assert scene.accounted()['single.thermal'] > 10


def test_the_camera_info_of_thermal_alone_is_without_its_telemetry_rows(start, peer):
    infos = peer.listen_first('fusion_node/fused/camera_info', CameraInfo)
    scene = Scene(start, peer, {'output.size': 'thermal', 'thermal.crop_top_px': 4})
    peer.camera('thermal/camera_info', CameraInfo).publish(camera_info(80, 64))
    scene.cameras.run(lambda: infos, 'its camera_info', visible=False)
    last = infos[-1]
    assert (last.width, last.height, last.header.frame_id) == (80, 60, 'thermal')
    assert (last.k[4], last.k[5], last.p[5], last.p[6]) == (110, 28, 110, 28)


def test_without_both_it_warns_then_calls_it_stale_and_shows_nothing_again(
        start, peer, monkeypatch):
    monkeypatch.setattr(diagnostics, 'STALE_S', 3.0)
    scene = Scene(start, peer)
    report = wait_for(lambda: scene.degraded(
        'visible missing, thermal missing', 'waiting for both cameras'), 'the warning')
    assert report['level'] == WARN
    wait_for(lambda: diagnosed(scene.reports)['level'] == STALE, 'it is called stale')
    wait_for(lambda: {scene.labelled(name)[-1] for name in scene.labels} == {'missing'}, 'labels')
    stamps = [scene.cameras.number_of(message) for message in scene.fused]
    assert stamps == sorted(set(stamps))
    scene.accounted()
    scene.cameras.run(lambda: scene.told('running'), 'both come back')
    scene.cameras.run(
        lambda: {scene.labelled(name)[-1] for name in scene.labels} == {'clean'}, 'judgements')


def test_where_no_camera_goes_on_alone_the_lost_one_is_labelled_all_the_same(start, peer):
    scene = Scene(start, peer, {'sync.lost_after_s': 0.0})
    scene.cameras.run(lambda: scene.labelled('thermal')[-1] == 'missing', 'the label',
                      thermal=False)
    assert scene.labelled('visible')[-1] == 'clean'
    scene.cameras.run(lambda: scene.labelled('thermal')[-1] == 'clean', 'a judgement')


@pytest.mark.parametrize('lost, left', [('visible', 'thermal'), ('thermal', 'visible')])
def test_a_frozen_camera_is_a_missing_one(start, peer, lost, left):
    scene = Scene(start, peer, {'sync.frozen_after_s': 0.4})
    still = frame(encoding='rgb8' if lost == 'visible' else 'mono16')

    def frozen(stamp):
        message = frame(stamp=stamp)
        message.encoding, message.step, message.data = still.encoding, still.step, still.data
        return message

    report = scene.cameras.run(
        lambda: scene.degraded(f'{lost} frozen', f'{left} alone', left), 'the report',
        **{lost: frozen})
    assert report['level'] == WARN and 'restart the driver' in report['message']
    scene.flows(**{lost: frozen})
    scene.cameras.run(lambda: scene.shown() == ('fused',), 'a pair')
    numbers = scene.accounted()
    assert numbers[f'dropped.{lost}.frozen'] > 5 and numbers[f'single.{left}'] > 5


def test_a_closing_shutter_is_ridden_through_by_the_hold(start, peer):
    scene = Scene(start, peer, {'sync.hold_s': 5.0})
    count, number = len(scene.fused), scene.cameras.number
    scene.cameras.run(lambda: len(scene.fused) > count + 40, 'held pairs', thermal=False)
    report = scene.cameras.run(
        lambda: scene.degraded('thermal missing', 'running on held thermal frames ('), 'the report',
        thermal=False)
    assert report['level'] == WARN and 'ms old): thermal missing: /' in report['message']
    assert {outputs for _, _, outputs in scene.fuser.fused} == {('fused',)}
    assert 'missing' not in scene.labelled('thermal')
    assert scene.cameras.number_of(scene.fused[-1]) > number + 30
    scene.cameras.run(lambda: scene.told('running'), 'it opens')
    numbers = scene.accounted()
    assert numbers['held'] >= 30 and numbers['single.visible'] == 0


def test_a_camera_whose_frames_cannot_be_decoded_is_a_missing_one(start, peer):
    scene = Scene(start, peer)

    def nan(stamp):
        return frame(np.full((64, 80), np.nan, np.float32), '32FC1', stamp)

    report = scene.cameras.run(
        lambda: scene.degraded('thermal unusable', 'visible alone', 'visible'), 'the report',
        thermal=nan)
    assert 'all_nan' in report['message']
    scene.cameras.run(lambda: scene.shown() == ('fused',), 'a pair')
    numbers = scene.accounted()
    assert numbers['unusable.thermal.all_nan'] > 0
    assert numbers['dropped.pairs.all_nan'] > 0  # those before it was given up


def test_bad_frames_between_good_ones_are_told_while_pairs_go_on(start, peer):
    scene = Scene(start, peer)

    def at_times(stamp):
        return frame(stamp=0 if stamp // STEP % 3 == 0 else stamp, encoding='mono16')

    report = scene.cameras.run(
        lambda: scene.degraded('none', 'running, but thermal frames were dropped a moment ago'),
        'the report', thermal=at_times)
    assert report['level'] == WARN and 'zero_stamp' in report['message']
    scene.cameras.run(lambda: scene.degraded('none', '') and diagnosed(scene.reports)['message']
                      == 'running', 'all is well')


def test_what_has_changed_is_said_at_once_and_only_then(start, peer):
    scene = Scene(start, peer)
    scene.spun.node._beat.cancel()
    count = len(scene.reports)
    scene.cameras.run(lambda: scene.told('thermal missing'), 'the news', thermal=False)
    scene.cameras.run(lambda: scene.told('running'), 'it runs')
    assert count + 2 <= len(scene.reports) < count + 8


def test_frames_refused_at_the_door_are_told_with_the_reason(start, peer):
    scene = Scene(start, peer)

    def timeless(stamp):
        return frame(stamp=0, encoding='mono16')

    report = scene.cameras.run(
        lambda: scene.degraded('thermal unusable', 'visible alone', 'visible'), 'the report',
        thermal=timeless)
    assert 'zero_stamp: the stamp is 0' in report['message']
    scene.flows(thermal=timeless)
    assert scene.accounted()['dropped.thermal.zero_stamp'] > 5


def test_a_stamp_that_stands_still_is_told_and_not_called_silence(start, peer):
    scene = Scene(start, peer)

    def stuck(stamp):
        message = frame(stamp=stamp, encoding='mono16')
        message.header = header(2000 * STEP)
        return message

    report = scene.cameras.run(
        lambda: scene.degraded('thermal unusable', 'visible alone', 'visible'), 'the report',
        thermal=stuck)
    assert 'duplicate: frames come at ' in report['message']
    assert 'let the driver set header.stamp anew' in report['message']


def test_clocks_apart_are_told_with_the_remedy_while_the_reference_goes_on(start, peer):
    scene = Scene(start, peer)

    def behind(stamp):
        return frame(stamp=stamp - 5_000_000_000, encoding='mono16')

    report = scene.cameras.run(
        lambda: scene.degraded('thermal out of time', 'sync.offset_thermal_s: 5.0', 'visible'),
        'the remedy', thermal=behind)
    assert report['level'] == WARN
    assert abs(float(report['clock_offset_ms']) - 5000) < 100
    scene.cameras.run(lambda: scene.shown() == ('fused',), 'a pair')
    scene.accounted()


def test_a_clock_a_quarter_of_a_second_behind_is_not_bridged_by_the_hold(start, peer):
    scene = Scene(start, peer, {'sync.lost_after_s': 0.3, 'sync.hold_s': 0.3})

    def behind(stamp):
        return frame(stamp=stamp - 250_000_000, encoding='mono16')

    scene.cameras.run(
        lambda: scene.degraded('thermal out of time', 'sync.offset_thermal_s: 0.25', 'visible'),
        'the remedy', thermal=behind)
    scene.cameras.run(lambda: scene.shown() == ('fused',), 'a pair')
    scene.accounted()


def test_held_frames_out_of_time_are_called_so_where_no_camera_is_given_up(start, peer):
    scene = Scene(start, peer, {'sync.lost_after_s': 0.0, 'sync.hold_s': 0.3})

    def behind(stamp):
        return frame(stamp=stamp - 200_000_000, encoding='mono16')

    report = scene.cameras.run(
        lambda: scene.degraded('none', 'running on held thermal frames ('), 'the report',
        thermal=behind)
    assert 'ms old): both cameras send, no two frames are within' in report['message']
    assert scene.shown() == ('fused',)


def test_cameras_out_of_phase_are_fused_by_the_hold_with_the_remedy_told(start, peer):
    scene = Scene(start, peer, {'sync.max_dt_s': 0.005, 'sync.hold_s': 0.3})

    def between(stamp):
        return frame(stamp=stamp - STEP // 2, encoding='mono16')

    report = scene.cameras.run(
        lambda: scene.degraded('thermal out of time', 'running on held thermal frames ('),
        'the report', thermal=between)
    assert 'are within sync.max_dt_s: raise it, or see dropped.*' in report['message']
    assert scene.shown() == ('fused',)


def test_pictures_of_one_value_are_fused_and_told(start, peer):
    scene = Scene(start, peer)

    def empty(stamp):
        return frame(np.zeros((64, 80), np.uint16), 'mono16', stamp)

    report = scene.cameras.run(
        lambda: scene.degraded('none', 'running, but thermal: every pixel has one value since'),
        'the report', thermal=empty)
    assert report['level'] == WARN and scene.shown() == ('fused',)
    scene.cameras.run(lambda: (found := scene.told('running')) and found['message'] == 'running',
                      'other pictures')


def test_a_jump_back_without_a_clock_costs_no_more_than_a_pair(start, peer):
    scene = Scene(start, peer)
    scene.cameras.number -= 450
    first = scene.cameras.number
    scene.cameras.run(lambda: scene.cameras.number_of(scene.fused[-1]) < first + 100, 'a pair')
    assert first <= scene.cameras.number_of(scene.fused[-1]) <= first + SOON
    scene.cameras.run(lambda: scene.told('stamps jumped back by 9'), 'the report')
    assert scene.accounted()['time_jumps'] == 1


def test_every_loop_of_a_bag_brings_pairs(start, peer):
    scene = Scene(start, peer)
    for loop in range(3):
        scene.cameras.number, before = 600, len(scene.fused)
        scene.cameras.run(lambda: scene.cameras.number > 680, f'loop {loop}')
        shown = [scene.cameras.number_of(message) for message in scene.fused[before:]]
        assert [number for number in shown if 600 <= number <= 600 + SOON], shown
    assert scene.accounted()['time_jumps'] >= 2


def test_one_camera_alone_is_stamped_by_the_clock_of_the_reference(start, peer):
    scene = Scene(start, peer, {'sync.offset_thermal_s': -0.027})

    def ahead(stamp):
        return frame(stamp=stamp + 27_000_000, encoding='mono16', frame_id='thermal')
    scene.cameras.run(lambda: scene.shown() == ('fused',), 'a pair', thermal=ahead)
    alone = scene.cameras.run(
        lambda: [m.header for m in scene.fused if m.header.frame_id == 'thermal'],
        'thermal alone', thermal=ahead, visible=False)
    assert all(stamp_ns(header) % STEP == 0 for header in alone)
