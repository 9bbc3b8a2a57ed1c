# SPDX-License-Identifier: Apache-2.0
"""A picture that nobody subscribes to is not made, over real DDS."""

from diagnostic_msgs.msg import DiagnosticArray
from flow import accounted, Cameras, FUSED, QUICK
import pytest
from rig import camera_info, diagnosed, EchoFuser, wait_for
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from degfusion_ros.node import messages

OK = b'\x00'
IDLE = 'running, not fusing: nobody subscribes to a picture'


@pytest.fixture
def running(start, peer):
    """Return fuser, cameras and reports of a node to whose pictures nobody listens yet."""
    fuser = EchoFuser()
    start(fuser, QUICK)
    return fuser, Cameras(peer), peer.listen('/diagnostics', DiagnosticArray)


def test_frames_that_nobody_listens_to_are_not_fused_but_judged_and_accounted_for(running):
    fuser, cameras, reports = running
    report = cameras.run(
        lambda: (r := diagnosed(reports)).get('message') == IDLE and int(r['unheard']) > 20 and r,
        'a report of what is unheard')
    assert report['level'] == OK and report['fused'] == '0'
    assert fuser.fused == [] and fuser.judged > 0
    before = len(reports)
    values = wait_for(
        lambda: len(reports) > before and (v := diagnosed(reports)).get('in_progress') == '0' and v,
        'a report when all is done')
    assert accounted(values)['unheard'] > 20


@pytest.mark.parametrize('topic, kind, asked', [
    ('thermal_restored/image', Image, ('thermal',)),
    ('visible_restored/image/compressed', CompressedImage, ('visible',)),
    ('fused/camera_info', CameraInfo, ('fused',)),
])
def test_only_what_somebody_listens_to_is_computed(running, peer, topic, kind, asked):
    fuser, cameras, _ = running
    peer.listen(f'fusion_node/{topic}', kind)
    cameras.run(lambda: len(fuser.fused) > 3, 'fused frames')
    assert {outputs for *_, outputs in fuser.fused} == {asked}


@pytest.mark.parametrize('topic, kind, unheard', [
    ('fused/image/compressed', CompressedImage, ('image', 'scaled_camera_info')),
    ('fused/camera_info', CameraInfo, ('image', 'compressed')),
    ('fused/image', Image, ('scaled_camera_info', 'compressed')),
])
def test_of_a_picture_only_the_message_that_somebody_listens_to_is_made(
        running, peer, monkeypatch, topic, kind, unheard):
    made = []
    for name in unheard:
        monkeypatch.setattr(messages, name, lambda *_, name=name: made.append(name))
    _, cameras, _ = running
    peer.camera('visible/camera_info', CameraInfo).publish(camera_info())
    heard = peer.listen(f'fusion_node/{topic}', kind)
    cameras.run(lambda: len(heard) > 3 or made, 'what is listened to')
    assert not made


@pytest.mark.parametrize('topic, judged_for', [
    ('fused/image', ()), ('thermal_restored/image', ()), ('visible_restored/image', ('visible',)),
    ('mosaic/image', ('visible',))])
def test_the_derained_picture_is_judged_only_if_the_restored_visible_image_is_asked_for(
        running, peer, topic, judged_for):
    fuser, cameras, _ = running
    heard = peer.listen(f'fusion_node/{topic}', Image)
    cameras.run(lambda: heard, 'a picture')
    before = fuser.judged
    cameras.run(lambda: fuser.judged > before + 1, 'judgements')
    assert fuser.judged_for == judged_for


def test_who_listens_later_gets_the_fused_image_at_once(running, peer):
    fuser, cameras, reports = running
    cameras.run(lambda: diagnosed(reports).get('message') == IDLE, 'nobody to listen')
    fused = peer.listen(FUSED, Image)
    cameras.run(lambda: len(fused) > 3 and diagnosed(reports).get('message') == 'running',
                'the fused image')
    assert {outputs for *_, outputs in fuser.fused} == {('fused',)}


def test_between_two_mosaics_nothing_is_fused_and_nobody_is_called_absent(running, peer):
    fuser, cameras, reports = running
    mosaics = peer.listen('fusion_node/mosaic/image', Image)
    cameras.run(lambda: len(mosaics) > 3, 'mosaics')
    told = len(reports)
    cameras.run(lambda: len(reports) > told + 2, 'reports')
    assert {diagnosed([report]).get('message') for report in reports[told:]} == {'running'}
    assert int(diagnosed(reports)['unheard']) > len(fuser.fused)


def test_the_first_frame_of_a_new_size_warms_up_unheard(start, peer):
    fuser = EchoFuser()
    start(fuser, QUICK | {'model.warm_up_size': '96x96'})
    reports = peer.listen('/diagnostics', DiagnosticArray)
    Cameras(peer).run(lambda: int(diagnosed(reports).get('unheard', 0)) > 5, 'unheard frames')
    assert len(fuser.fused) == 1
