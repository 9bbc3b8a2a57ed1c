# SPDX-License-Identifier: Apache-2.0
"""Pairs that do not fit together and mosaics that fail, over real DDS."""

import time

import cv2
from diagnostic_msgs.msg import DiagnosticArray
from flow import accounted, FUSED, Scene, send, stamps, STEP
import numpy as np
import pytest
from rig import diagnosed, EchoFuser, frame, header, PERIOD, wait_for
from sensor_msgs.msg import CompressedImage, Image

from degfusion_ros.imaging import mosaic
from degfusion_ros.imaging.geometry import Plane
from degfusion_ros.imaging.registration_file import save
from degfusion_ros.node.lonely import StandIn
from degfusion_ros.node.matching import Frame
from degfusion_ros.stream.pairing import Single

WARN = b'\x01'
MISFIT = 'registration_size: thermal image is 80x40'


@pytest.fixture
def registered(tmp_path):
    """Return the parameter of a registration of two cameras of 80x64 that see the same."""
    save(tmp_path / 'r.yaml', Plane(np.eye(3), (80, 64), (80, 64)), 0)
    return {'registration.file': str(tmp_path / 'r.yaml')}


def narrower(stamp):
    return frame(stamp=stamp, encoding='mono16', size=(40, 80), frame_id='thermal')


def test_of_pairs_that_do_not_fit_the_registration_the_reference_goes_on(
        start, peer, registered):
    scene = Scene(start, peer, registered)
    report = scene.cameras.run(
        lambda: scene.degraded('thermal unfit', 'degraded, visible alone', 'visible'),
        'the report', thermal=narrower)
    assert report['level'] == WARN and MISFIT in report['message']
    scene.flows(thermal=narrower)
    assert scene.fused[-1].header.frame_id == 'visible'
    scene.cameras.run(lambda: scene.shown() == ('fused',), 'a pair that fits')
    scene.cameras.run(lambda: scene.told('running'), 'it runs')
    numbers = scene.accounted()
    assert numbers['unusable.pairs.registration_size'] > 5
    assert numbers['dropped.pairs.registration_size'] > 0  # those before it was given up


def test_pairs_that_are_never_given_up_are_told_with_the_last_refusal(start, peer, registered):
    scene = Scene(start, peer, registered | {'sync.lost_after_s': 0.0})
    report = scene.cameras.run(
        lambda: scene.degraded('none', 'pairs come, none is fused: '), 'the report',
        thermal=narrower)
    assert report['level'] == WARN and MISFIT in report['message']
    scene.accounted()


def test_a_compressed_frame_that_is_too_small_is_one_that_cannot_be_used(start, peer):
    fuser = EchoFuser()
    start(fuser, {'input.visible.transport': 'compressed', 'sync.lost_after_s': 0.05})
    peer.listen(FUSED, Image)
    number = 0
    while not fuser.fused:
        number += 1
        assert number < 500
        peer.camera('visible/image_raw/compressed', CompressedImage).publish(CompressedImage(
            header=header(number * PERIOD), format='png',
            data=cv2.imencode('.png', np.full((16, 20), number % 250, np.uint8))[1].tobytes()))
        peer.camera('thermal/image_raw').publish(
            frame(stamp=number * PERIOD, encoding='mono16'))
        time.sleep(0.02)
    assert fuser.fused[0][2] == ('thermal',)


def test_a_held_frame_that_goes_alone_does_so_once(start, peer):
    scene = Scene(start, peer, {'sync.reference': 'thermal', 'sync.hold_s': 0.3})

    def nan(stamp):
        return frame(np.full((64, 80), np.nan, np.float32), '32FC1', stamp)

    def slow(stamp):  # each is the partner of five frames that cannot be used
        return None if stamp // STEP % 5 else frame(stamp=stamp, frame_id='visible')
    first = scene.cameras.number
    scene.cameras.run(
        lambda: scene.degraded('thermal unusable', 'visible alone', 'visible'), 'the report',
        visible=slow, thermal=nan)
    scene.flows(visible=slow, thermal=nan)
    shown = [stamp for stamp in stamps(scene.fused) if stamp >= first * STEP]
    assert len(shown) == len(set(shown))
    numbers = scene.accounted('thermal')
    assert 10 < numbers['unusable.thermal.all_nan'] < numbers['dropped.pairs.all_nan']


def test_a_mosaic_that_fails_costs_no_pair(start, peer, monkeypatch):
    def fail(*_, **__):
        raise MemoryError('no room for a mosaic')

    monkeypatch.setattr(mosaic, 'compose', fail)
    spun = start(EchoFuser())
    fused = peer.listen(FUSED, Image)
    reports = peer.listen('/diagnostics', DiagnosticArray)
    peer.listen('fusion_node/mosaic/image', Image)
    wait_for(lambda: send(peer, fused, len(fused) + 1, len(fused) + 1) or (
        spun.node._health.counts().get('mosaic_error')), 'a mosaic that fails')
    count = len(fused)
    values = wait_for(
        lambda: (v := diagnosed(reports)).get('fused') == str(count) and 'mosaic_error' in v and v,
        'a report')
    assert accounted(values)['in_progress'] == 0


@pytest.mark.parametrize('rate_hz, count', [(2.0, 5), (0.0, 5), (20.0, 17)])
def test_the_judge_is_shown_a_stand_in_no_oftener_than_it_may_look(
        start, monkeypatch, rate_hz, count):
    made, for_judge = [], StandIn.for_judge
    monkeypatch.setattr(StandIn, 'for_judge', lambda self, *args: (
        made.append(args) or for_judge(self, *args)))
    spun = start(EchoFuser(), {'degradation.rate_hz': rate_hz})
    running = wait_for(lambda: spun.node._running, 'an active node')
    began = time.monotonic_ns()

    def alone():
        for number in range(50):  # half a second of a camera at 100 Hz
            stamp = (number + 1) * PERIOD
            running.pipeline(Single(
                'visible', Frame(frame(stamp=stamp), began + number * PERIOD // 10), stamp))
        return True
    spun.do(alone)
    assert len(made) == count
