# SPDX-License-Identifier: Apache-2.0
import cv2
from hypothesis import event, given, settings, strategies as st
import numpy as np
import pytest
from rig import frame
from sensor_msgs.msg import CompressedImage

from degfusion_ros.imaging.encodings import ENCODINGS, FrameError
from degfusion_ros.imaging.geometry import Plane
from degfusion_ros.imaging.registration import Registration
from degfusion_ros.node import frames
from degfusion_ros.node.parameters import DEFAULTS


class Given(dict):
    """Stands for Settings: the defaults, with some values changed."""

    def __init__(self, **changed):
        super().__init__(DEFAULTS)
        self.update({k.replace('__', '.'): v for k, v in changed.items()})

    def group(self, prefix):
        return tuple(tuple(v) if isinstance(v, list) else v
                     for k, v in self.items() if k.startswith(prefix + '.'))


def decoder(registration=None, **changed):
    return frames.Decoder(Given(**changed), registration or Registration.identity())


def broken(**changes):
    message = frame(encoding=changes.pop('encoding', 'rgb8'))
    for name, value in changes.items():
        setattr(message, name, value)
    return message


@pytest.mark.parametrize('stream, message, cause', [
    ('visible', broken(encoding='jpeg2000'), 'unknown_encoding'),
    ('visible', broken(encoding='32FC1'), 'unsuitable_encoding'),
    ('thermal', broken(encoding='bayer_rggb8'), 'unsuitable_encoding'),
    ('visible', broken(step=100), 'wrong_step'),
    ('visible', broken(width=0), 'empty'),
    ('visible', broken(data=[]), 'no_data'),
    ('visible', broken(height=65), 'short_data'),
    ('thermal', frame(encoding='mono16', size=(31, 80)), 'too_small'),
    ('thermal', CompressedImage(format='png'), 'no_data')])
def test_frames_that_can_never_be_used_are_refused_at_the_door(stream, message, cause):
    with pytest.raises(FrameError) as error:
        frames.check(stream, message, Given())
    assert error.value.cause == cause and '\n' not in str(error.value)


def test_the_check_looks_at_no_pixel_of_a_good_frame():
    frames.check('visible', frame(), Given())
    frames.check('thermal', frame(encoding='32FC1'), Given())
    frames.check('thermal', broken(encoding='mono16', is_bigendian=1), Given())


def test_a_parameter_overrules_a_wrong_encoding():
    pixels = np.random.default_rng(0).integers(0, 255, (64, 80, 3)).astype(np.uint8)
    message = frame(pixels, encoding='rgb8')
    given = decoder(input__visible__encoding='bgr8').visible(message)
    np.testing.assert_array_equal(given, pixels[..., ::-1])
    np.testing.assert_array_equal(decoder().visible(message), pixels)


def test_compressed_frames_are_the_same_pixels():
    pixels = np.random.default_rng(0).integers(0, 255, (64, 80, 3)).astype(np.uint8)
    counts = np.random.default_rng(0).integers(0, 60000, (64, 80)).astype(np.uint16)
    visible, thermal = (
        CompressedImage(format='png', data=cv2.imencode('.png', array)[1].tobytes())
        for array in (pixels[..., ::-1], counts))
    np.testing.assert_array_equal(decoder().visible(visible), pixels)
    heat = decoder(thermal__window=[0.0, 60000.0]).thermal(thermal)
    np.testing.assert_allclose(heat, counts / 60000, atol=1e-6)


def packed(array, form='png'):
    return CompressedImage(format=form, data=cv2.imencode('.png', array)[1].tobytes())


def test_a_parameter_overrules_the_encoding_of_a_compressed_frame():
    cell = np.uint8([[200, 90], [90, 30]])  # red, green, blue through their filters
    mosaic = packed(np.tile(cell, (32, 40)))
    picture = decoder(input__visible__encoding='bayer_rggb8').visible(mosaic)
    assert (picture[2:-2, 2:-2] == (200, 90, 30)).all()
    counts = np.random.default_rng(0).integers(0, 60000, (64, 80)).astype(np.uint16)
    heat = decoder(input__thermal__encoding='16UC1', thermal__window=[0.0, 60000.0]).thermal(
        packed(counts))
    np.testing.assert_allclose(heat, counts / 60000, atol=1e-6)


@pytest.mark.parametrize('form, override, swapped', [
    ('png', 'rgb8', False), ('png', 'bgr8', False), ('png', '8UC3', False),
    ('bayer_rggb8; png compressed bgr8', 'bgr8', False),
    ('rgb8; png compressed bgr8', 'rgb8', False),
    ('rgb8; png compressed bgr8', 'bgr8', True), ('bgr8; png compressed bgr8', 'bgr8', False),
    ('bgr8; png compressed bgr8', 'rgb8', True), ('8UC3; png compressed bgr8', '8UC3', False)])
def test_a_parameter_that_says_what_a_compressed_frame_says_changes_no_colour(
        form, override, swapped):
    pixels = np.random.default_rng(0).integers(0, 255, (64, 80, 3)).astype(np.uint8)
    given = decoder(input__visible__encoding=override).visible(packed(pixels[..., ::-1], form))
    np.testing.assert_array_equal(given, pixels[..., ::-1] if swapped else pixels)


@pytest.mark.parametrize('override', ['mono8', '8UC1', 'auto'])
def test_a_thermal_frame_compressed_as_colour_is_grey_whatever_grey_it_is_told_to_be(override):
    grey = np.random.default_rng(0).integers(0, 255, (64, 80)).astype(np.uint8)
    heat = decoder(input__thermal__encoding=override, thermal__window=[0.0, 255.0]).thermal(
        packed(np.dstack([grey] * 3), 'jpeg'))
    np.testing.assert_allclose(heat, grey / 255, atol=1e-6)


@pytest.mark.parametrize('stream, override, array, holds', [
    ('thermal', 'mono16', np.zeros((64, 80, 3), np.uint8), 'bgr8'),
    ('visible', 'bayer_rggb8', np.zeros((64, 80, 3), np.uint8), 'bgr8'),
    ('visible', 'mono16', np.zeros((64, 80), np.uint8), 'mono8'),
    ('thermal', 'yuv422', np.zeros((64, 80), np.uint8), 'mono8')])
def test_a_parameter_that_a_compressed_frame_cannot_be_is_refused(stream, override, array, holds):
    with pytest.raises(FrameError) as error:
        getattr(decoder(**{f'input__{stream}__encoding': override}), stream)(packed(array))
    assert error.value.cause == 'unsuitable_encoding' and '\n' not in str(error.value)
    assert f'holds {holds} samples, which cannot be {override}' in str(error.value)
    assert f'set input.{stream}.encoding to auto' in str(error.value)


def test_a_reset_in_the_midst_of_a_frame_holds_from_the_next_one():
    message, taken = frame(encoding='mono16'), decoder()

    class Jumping(Given):
        def group(self, prefix):
            if not jumped:
                jumped.append(True)
                taken.reset()
            return super().group(prefix)

    jumped = []
    taken._settings = Jumping()
    first = taken.thermal(message)
    again = taken.thermal(message)
    assert jumped and again is not first
    assert taken.thermal(message) is again


def test_a_held_thermal_frame_is_scaled_once():
    taken = decoder()
    message = frame(encoding='mono16')
    first = taken.thermal(message)
    assert taken.thermal(message) is first
    assert taken.thermal(frame(encoding='mono16', stamp=2)) is not first


@pytest.mark.parametrize('message', [
    frame(encoding='bgr8'), CompressedImage(format='png', data=cv2.imencode('.png', np.zeros(
        (64, 80, 3), np.uint8))[1].tobytes())], ids=['raw', 'compressed'])
def test_a_held_visible_frame_is_decoded_once(message):
    settings = Given()
    taken = frames.Decoder(settings, Registration.identity())
    first = taken.visible(message)
    assert taken.visible(message) is first
    taken.thermal(frame(encoding='mono16'))
    assert taken.visible(message) is first
    settings['input.visible.encoding'] = 'rgb8'
    other = taken.visible(message)
    assert other is not first and taken.visible(message) is other
    taken.reset()
    assert taken.visible(message) is not other
    assert taken.visible(frame(stamp=2)) is not taken.visible(message)


def test_a_held_thermal_frame_is_laid_on_the_visible_grid_once():
    class Counted(Registration):
        calls = 0

        def __call__(self, *given):
            self.calls += 1
            return super().__call__(*given)
    registration = Counted(Plane(np.diag([2.0, 2.0, 1.0])))
    taken, held = decoder(registration, output__size='160x120'), np.ones((48, 64), np.float32)
    for shade in (1, 2, 3):
        rgb, heat = taken.align(np.full((96, 128, 3), shade, np.uint8), held)
        assert rgb.shape == (120, 160, 3) and rgb.max() == shade and heat.shape == (120, 160)
    assert registration.calls == 1
    taken.align(np.zeros((120, 160, 3), np.uint8), held)    # another size
    taken.align(np.zeros((120, 160, 3), np.uint8), held.copy())
    assert registration.calls == 3


def test_thermal_parameters_hold_from_the_next_frame():
    settings = Given(thermal__window=[0.0, 1000.0])
    taken = frames.Decoder(settings, Registration.identity())
    counts = np.full((64, 80), 500, np.uint16)
    assert taken.thermal(frame(counts, 'mono16')).mean() == pytest.approx(0.5)
    settings.update({'thermal.window': [0.0, 2000.0], 'thermal.invert': True})
    assert taken.thermal(frame(counts, 'mono16')).mean() == pytest.approx(0.75)


def test_a_frame_of_nan_alone_is_refused_by_the_worker():
    with pytest.raises(FrameError) as error:
        decoder().thermal(frame(np.full((64, 80), np.nan, np.float32), '32FC1'))
    assert error.value.cause == 'all_nan'


@pytest.mark.parametrize('size, expected', [
    ('visible', (96, 128)), ('thermal', (48, 64)), ('160x120', (120, 160))])
def test_both_pictures_come_out_at_the_output_size(size, expected):
    visible = np.zeros((96, 128, 3), np.uint8)
    thermal = np.linspace(0, 1, 48 * 64, dtype=np.float32).reshape(48, 64)
    rgb, heat = decoder(output__size=size).align(visible, thermal)
    assert rgb.shape == (*expected, 3) and heat.shape == expected
    assert (rgb is visible) == (size == 'visible')
    assert (heat is thermal) == (size == 'thermal')


def test_a_homography_applies_to_the_visible_pixels_before_the_output_size():
    registration = Registration(Plane(np.diag([2.0, 2.0, 1.0])))
    thermal = np.zeros((48, 64), np.float32)
    thermal[:24] = 1  # the upper half: visible rows 0..48, output rows 0..24
    _, heat = decoder(registration, output__size='thermal').align(
        np.zeros((96, 128, 3), np.uint8), thermal)
    assert heat.shape == (48, 64) and heat[:23, :60].min() == 1 and heat[26:].max() == 0


def test_an_output_below_the_networks_least_size_is_refused():
    with pytest.raises(FrameError) as error:
        decoder(output__size='16x16').align(
            np.zeros((64, 80, 3), np.uint8), np.zeros((64, 80), np.float32))
    assert error.value.cause == 'too_small'


@settings(max_examples=300, deadline=None)
@given(
    stream=st.sampled_from(['visible', 'thermal']),
    encoding=st.sampled_from([*ENCODINGS, '', 'jpeg', 'MONO8']),
    height=st.sampled_from([32, 33, 64, 64, 64, 0, 31, 2**32 - 1]),
    width=st.sampled_from([32, 33, 64, 64, 64, 0, 31, 2**32 - 1]),
    padding=st.sampled_from([0, 0, 0, 1, 2, 7, -1]), missing=st.sampled_from([0, 0, 0, 1, -5]),
    is_bigendian=st.sampled_from([0, 1, 255]), fill=st.sampled_from([0, 127, 255]))
def test_whatever_comes_is_a_picture_or_a_frame_error(
        stream, encoding, height, width, padding, missing, is_bigendian, fill):
    kind, channels = ENCODINGS.get(encoding, (np.dtype('u1'), 1))
    step = min(max(0, width * channels * kind.itemsize + padding), 2**32 - 1)
    message = frame()
    message.data = bytes([fill]) * min(max(0, step * height - missing), 100_000)
    message.encoding, message.is_bigendian = encoding, is_bigendian
    message.height, message.width, message.step = height, width, step
    try:
        frames.check(stream, message, Given())
        picture = getattr(decoder(), stream)(message)
    except FrameError as error:
        assert error.cause.isidentifier() and '\n' not in str(error)
        return
    event('decoded')
    assert picture.shape[:2] == (height, width)
    if stream == 'visible':
        assert picture.dtype == np.uint8 and picture.shape[2] == 3
    else:
        assert picture.dtype == np.float32 and 0 <= picture.min() <= picture.max() <= 1
