# SPDX-License-Identifier: Apache-2.0
"""What the node makes of arriving frames, without a node."""

import numpy as np
import pytest
from rig import frame, S

from degfusion_ros.imaging.encodings import FrameError
from degfusion_ros.node.cameras import Cameras
from degfusion_ros.node.health import Health
from degfusion_ros.node.parameters import TABLE

MS = 1_000_000
DEFAULTS = {entry.name: entry.default for entry in TABLE}


@pytest.fixture
def make():
    def make(**changed):
        settings = DEFAULTS | {name.replace('__', '.'): value for name, value in changed.items()}
        health = Health(logger=None)
        return Cameras(settings, health), health
    return make


def rolling(number, encoding='mono16'):
    return frame(stamp=S + number * 33 * MS, encoding=encoding)


def play(cameras, seconds, behind_ms=0.0, drift_ppm=0.0):
    for number in range(int(seconds * 30)):
        now = number * 33_333_333
        for name in ('visible', 'thermal'):
            back = (behind_ms * MS + drift_ppm * 1e-6 * now) * (name == 'thermal')
            message = frame(np.full((64, 80), number % 250, np.uint8), 'mono8', S * 100)
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(
                100 * S + now - round(back), S)
            cameras.accept(name, message, now + 10 * MS)


def test_the_same_pixels_for_too_long_are_refused_until_others_come(make):
    cameras, _ = make()
    still = frame(encoding='mono16')
    for now in range(0, 2000, 100):
        cameras.accept('thermal', still, now * MS)
    with pytest.raises(FrameError, match='the same pixels for more than 2 s') as error:
        cameras.accept('thermal', still, 2100 * MS)
    assert error.value.cause == 'frozen'
    cameras.accept('thermal', rolling(70), 2200 * MS)
    cameras.accept('thermal', still, 2300 * MS)


def test_a_single_noisy_pixel_in_four_thousand_is_not_needed_to_tell_frames_apart(make):
    cameras, _ = make()
    chance = np.random.default_rng(0)
    scene = chance.integers(2000, 9000, (512, 640)).astype(np.uint16)
    for number in range(60):  # one grey level of noise in a hundredth of the pixels
        noise = (chance.random(scene.shape) < 0.01).astype(np.uint16)
        cameras.accept('thermal', frame(scene + noise, 'mono16', S), number * 100 * MS)


@pytest.mark.parametrize('crop, frozen', [(2, True), (0, False)])
def test_telemetry_rows_that_are_cut_off_do_not_hide_a_frozen_picture(make, crop, frozen):
    cameras, _ = make(thermal__crop_top_px=crop)
    picture = rolling(1)
    shape = np.frombuffer(picture.data, np.uint16).reshape(64, 80).copy()
    refused = False
    for number in range(40):
        shape[:2] = number
        try:
            cameras.accept('thermal', frame(shape, 'mono16', S), number * 100 * MS)
        except FrameError:
            refused = True
    assert refused is frozen


def test_a_frame_without_a_stamp_is_refused(make):
    with pytest.raises(FrameError, match='let the driver set header.stamp'):
        make()[0].accept('visible', frame(stamp=0), 0)


@pytest.mark.parametrize('behind_ms, remedy', [
    (400, 'sync.offset_thermal_s: 0.400'), (-400, 'sync.offset_visible_s: 0.400')])
def test_clocks_apart_are_told_with_the_offset_that_cures_it(make, behind_ms, remedy):
    cameras, _ = make()
    play(cameras, 3, behind_ms)
    assert remedy in cameras.clock_trouble()
    name, value = remedy.split(': ')
    cured, _ = make(**{name.replace('.', '__'): float(value)})
    play(cured, 3, behind_ms)
    assert cured.clock_trouble() == ''
    assert abs(float(cured.values(0)['clock_offset_ms'])) < 1


def test_a_delay_that_pairing_bridges_is_no_trouble(make):
    cameras, _ = make()
    play(cameras, 3, behind_ms=100)
    assert cameras.clock_trouble() == ''


def test_a_drift_is_told_with_the_time_that_is_left(make):
    cameras, _ = make()
    assert cameras.values(0)['clock_drift_ppm'] == 'unknown'
    play(cameras, 40, drift_ppm=500)
    assert 'part by 500 ppm, which is sync.max_dt_s in 2 min' in cameras.clock_trouble()
    cameras.rewind()
    assert cameras.clock_trouble() == ''


def test_what_ails_a_stream_is_what_was_refused_last(make):
    cameras, health = make()
    cameras.presence.seen('visible', 0)
    assert cameras.trouble('visible', 100 * MS) == ('', '')
    assert cameras.trouble('visible', 5 * S) == ('missing', '')
    health._logger = type('Log', (), {'warning': print})
    health.refuse('visible', 'visible', FrameError('wrong_step', 'step is 3'))
    assert cameras.trouble('visible', 5 * S) == ('unusable', 'wrong_step: step is 3')
    assert cameras.values(5 * S)['age.visible_s'] == '5.00'
    assert cameras.values(5 * S)['age.thermal_s'] == 'never came'
