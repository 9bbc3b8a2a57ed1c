# SPDX-License-Identifier: Apache-2.0
"""What the node makes of arriving frames, without a node."""

import numpy as np
import pytest
from rig import frame, S

from degfusion_ros.imaging.encodings import FrameError
from degfusion_ros.node.cameras import Cameras
from degfusion_ros.node.health import Health
from degfusion_ros.node.parameters import DEFAULTS
from degfusion_ros.stream.timing import Rate

MS = 1_000_000


@pytest.fixture
def make():
    def make(simulated=False, **changed):
        settings = DEFAULTS | {name.replace('__', '.'): value for name, value in changed.items()}
        health = Health(logger=type('Log', (), {'warning': print}))
        return Cameras(settings, health, lambda: simulated), health
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
    for now in range(0, 1500, 100):  # the first repetition looks at all pixels, and starts anew
        cameras.accept('thermal', still, now * MS)
    with pytest.raises(FrameError, match='the same pixels for more than 1.3 s') as error:
        cameras.accept('thermal', still, 1500 * MS)
    assert error.value.cause == 'frozen'
    cameras.accept('thermal', rolling(70), 1800 * MS)
    cameras.accept('thermal', still, 1900 * MS)


def test_a_single_noisy_pixel_in_four_thousand_is_not_needed_to_tell_frames_apart(make):
    cameras, _ = make()
    chance = np.random.default_rng(0)
    scene = chance.integers(2000, 9000, (512, 640)).astype(np.uint16)
    for number in range(60):  # one grey level of noise in a hundredth of the pixels
        noise = (chance.random(scene.shape) < 0.01).astype(np.uint16)
        cameras.accept('thermal', frame(scene + noise, 'mono16', S), number * 100 * MS)


def test_a_dark_picture_with_its_noise_in_a_few_places_is_not_frozen(make):
    cameras, _ = make()
    picture = np.zeros((512, 640), np.uint16)
    for number in range(60):
        picture[100, 1:200:2] = number  # between the samples
        cameras.accept('visible', frame(picture, 'mono16', S), number * 100 * MS)


def refused(cameras, seconds, first=0, visible=None, thermal=None):
    """Let two 20 Hz cameras send the same picture again and again, or what `visible` makes."""
    still, causes = frame(encoding='mono16'), {'visible': [], 'thermal': []}
    for number in range(int(seconds * 20)):
        now = (first + number) * 50 * MS
        for name, make_one in (('visible', visible), ('thermal', thermal)):
            try:
                cameras.accept(name, make_one(number) if make_one else still, now)
            except FrameError as error:
                causes[name].append(error.cause)
                cameras._health.refuse(name, name, error)
            else:
                cameras.presence.seen(name, now)
    return causes


def test_a_simulated_scene_at_rest_is_not_frozen_and_one_camera_of_it_that_hangs_is(make):
    cameras, _ = make(simulated=True)
    assert refused(cameras, 6) == {'visible': [], 'thermal': []}
    causes = refused(cameras, 3, first=200, visible=rolling)
    assert not causes['visible'] and set(causes['thermal']) == {'frozen'}


def test_in_real_time_both_may_hang_at_once(make):
    cameras, _ = make()
    causes = refused(cameras, 3)
    assert causes['visible'] and causes['thermal']


def test_a_frozen_camera_is_told_with_its_first_refused_frame_a_shutter_of_a_second_never(make):
    cameras, _ = make()
    assert not refused(cameras, 1.1, visible=rolling)['thermal']
    assert refused(cameras, 0.5, first=22, visible=rolling)['thermal']
    now = 32 * 50 * MS
    assert cameras.trouble('thermal', now)[0] == 'frozen' and not cameras.trouble('visible', now)[0]
    cameras.accept('thermal', rolling(99), now)
    cameras.presence.seen('thermal', now)
    assert cameras.trouble('thermal', now) == ('', '')
    assert cameras.passing_trouble('thermal').startswith(
        'thermal frames were dropped a moment ago: frozen: ')


def test_another_size_or_encoding_is_told(make):
    cameras, _ = make()
    for number in range(3):
        cameras.accept('visible', frame(stamp=S + number, encoding='rgb8'), number)
    assert cameras.changed(3) == ''
    cameras.accept('visible', frame(stamp=S + 9, encoding='bgr8', size=(32, 40)), 9)
    assert cameras.changed(10) == 'visible sends 40x32 bgr8 now, 80x64 rgb8 before'


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


@pytest.mark.parametrize('value', [0, 255, (255, 0, 0)])
@pytest.mark.parametrize('padding', [0, 2])
def test_a_picture_without_noise_is_not_frozen(make, value, padding):
    """A black night, or the sun: every pixel is at its end."""
    cameras, _ = make()
    picture = frame(np.broadcast_to(np.uint8(value), (64, 80, 3)).copy(), 'rgb8', S)
    rows = np.frombuffer(picture.data, np.uint8).reshape(64, -1)
    picture.data = np.pad(rows, ((0, 0), (0, padding)), constant_values=7).tobytes()
    picture.step += padding
    assert not refused(cameras, 4, visible=lambda number: picture, thermal=rolling)['visible']


def test_a_saturated_thermal_picture_is_not_frozen_and_one_that_hangs_after_it_is(make):
    cameras, _ = make()
    full = frame(np.full((64, 80), 0x3fff, np.uint16), 'mono16', S)
    assert not refused(cameras, 4, visible=rolling, thermal=lambda number: full)['thermal']
    assert refused(cameras, 3, first=80, visible=rolling)['thermal']


def test_pictures_of_one_value_are_told_after_two_seconds_and_no_longer_than_they_come(make):
    cameras, _ = make(sync__frozen_after_s=0.0)
    empty = frame(np.zeros((64, 80), np.uint16), 'mono16', S)
    refused(cameras, 2, visible=rolling, thermal=lambda number: empty)
    assert cameras.blank('thermal', 2 * S) == cameras.blank('visible', 2 * S) == ''
    refused(cameras, 1, first=40, visible=rolling, thermal=lambda number: empty)
    assert cameras.blank('thermal', 3 * S) == 'thermal: every pixel has one value since 3 s'
    refused(cameras, 0.1, first=60, visible=rolling, thermal=rolling)
    assert cameras.blank('thermal', 4 * S) == ''


def test_a_simulated_camera_that_was_blank_for_a_moment_excuses_no_hang_of_the_other(make):
    cameras, _ = make(simulated=True)
    black = frame(np.zeros((64, 80, 3), np.uint8), 'rgb8', S)
    causes = refused(
        cameras, 3, visible=lambda number: black if number % 10 < 5 else rolling(number))
    assert causes == {'visible': [], 'thermal': ['frozen'] * len(causes['thermal'])}
    assert len(causes['thermal']) >= 25


def test_a_simulated_night_is_no_reason_to_call_a_scene_at_rest_frozen(make):
    cameras, _ = make(simulated=True)
    black = frame(np.zeros((64, 80, 3), np.uint8), 'rgb8', S)
    assert refused(cameras, 4, visible=lambda number: black) == {'visible': [], 'thermal': []}


def test_rows_cut_off_to_the_last_are_not_called_frozen(make):
    """The decoder says which parameter is wrong."""
    for crop in ({'thermal__crop_top_px': 40, 'thermal__crop_bottom_px': 24},
                 {'thermal__crop_top_px': 10, 'thermal__crop_bottom_px': 100}):
        cameras, _ = make(**crop)
        assert not refused(cameras, 4, visible=rolling)['thermal']


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


@pytest.mark.parametrize('policy, behind_ms, size, remedy', [
    ('nearest', 900, 16,
     '; if its frames take that long, set sync.wait_s: 0.95 and sync.queue_size: 30'),
    ('nearest', 900, 30, '; if its frames take that long, set sync.wait_s: 0.95'),
    ('nearest', -900, 16, '; if its frames take that long, set sync.queue_size: 30'),
    ('nearest', -900, 30, ''), ('nearest', 5100, 1000, ''),
    ('exact', 900, 16, '; if its frames take that long, set sync.queue_size: 30'),
    ('approximate', -900, 29, '; if its frames take that long, set sync.queue_size: 30'),
    ('approximate', 900, 30, ''), ('exact', 9_900, 300, '')])
def test_frames_that_take_long_are_told_what_the_policy_reads(make, policy, behind_ms, size,
                                                              remedy):
    cameras, health = make(sync__policy=policy, sync__queue_size=size)
    now = 0.0
    health.rates |= {name: Rate(clock=lambda: now) for name in ('visible', 'thermal')}
    for number in range(91):
        now = number / 30
        for name in ('visible', 'thermal'):
            health.rates[name].tick()
    play(cameras, 3, behind_ms)
    offset = f'offset_{"thermal" if behind_ms > 0 else "visible"}_s: {abs(behind_ms) / 1000:.3f}'
    assert cameras.clock_trouble().endswith(offset + remedy)


@pytest.mark.parametrize('behind_ms, known', [(40_000, 0.0), (1_000, 9.5)])
def test_clocks_further_apart_than_an_offset_may_be_are_to_be_synchronised(make, behind_ms, known):
    cameras, _ = make(sync__offset_thermal_s=known)
    play(cameras, 3, behind_ms + 1000 * known)
    assert cameras.clock_trouble() == (
        f'thermal stamps lie {behind_ms / 1000:.3f} s further back: synchronise the clocks')


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
    health.refuse('visible', 'visible', FrameError('wrong_step', 'step is 3'))
    assert cameras.trouble('visible', 5 * S) == ('unusable', 'wrong_step: step is 3')
    assert cameras.values(5 * S)['age.visible_s'] == '5.00'
    assert cameras.values(5 * S)['age.thermal_s'] == 'never came'


def test_frames_that_come_and_are_all_dropped_for_their_stamps_are_no_silence(make):
    cameras, health = make()
    for _ in range(3):
        health.arrived('visible')
    cameras.presence.seen('visible', 0)
    cameras.untimely('visible', 'duplicate', 4 * S)
    what, why = cameras.trouble('visible', 5 * S)
    assert what == 'unusable' and why.startswith('duplicate: frames come at ')
    assert 'all are dropped: the stamp stands still' in why
    assert cameras.trouble('visible', 8 * S) == ('missing', '')
    cameras.presence.seen('visible', 8 * S)
    assert cameras.trouble('visible', 8 * S) == ('', '')


@pytest.mark.parametrize('policy, told', [
    ('nearest', 'no two frames are within sync.max_dt_s: raise it, or see dropped.*'),
    ('exact', 'no two stamps are the same: set sync.policy: nearest, or see dropped.*')])
def test_frames_that_make_no_pair_have_a_remedy_by_the_policy(make, policy, told):
    cameras, _ = make(sync__policy=policy)
    assert cameras.unpaired() == told
    play(cameras, 8, behind_ms=400)
    assert cameras.unpaired().startswith(told.partition(':')[0] + ': thermal stamps lie 0.400 s')
