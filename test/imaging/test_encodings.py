# SPDX-License-Identifier: Apache-2.0
import array
import sys

import cv2
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

from degfusion_ros.imaging.encodings import (
    decode,
    ENCODINGS,
    FrameError,
    from_rgb,
    THERMAL_ENCODINGS,
    to_thermal,
    to_visible,
    VISIBLE_ENCODINGS,
)

BUFFERS = {
    'array': lambda raw: array.array('B', raw),
    'bytes': bytes,
    'memoryview': lambda raw: memoryview(bytearray(raw)),
    'numpy': lambda raw: np.frombuffer(raw, np.uint8),
}


def sizes(encoding):
    even = st.integers(2, 12).map(lambda side: 2 * side)
    return even if encoding.startswith('bayer') or ENCODINGS[encoding][1] == 2 \
        else st.integers(1, 24)


def wire(picture, bigendian, padding):
    """Return the bytes a driver would send and their step, written row by row."""
    samples = picture.astype(picture.dtype.newbyteorder('>' if bigendian else '<'))
    rows = [row.tobytes() + b'\xa5' * padding for row in samples]
    return b''.join(rows), len(rows[0])


@given(data=st.data(), encoding=st.sampled_from(sorted(ENCODINGS)), bigendian=st.booleans(),
       padding=st.integers(0, 9), buffer=st.sampled_from(sorted(BUFFERS)), cut=st.booleans())
@settings(max_examples=300, deadline=None)
def test_round_trip_of_every_encoding(data, encoding, bigendian, padding, buffer, cut):
    dtype, channels = ENCODINGS[encoding]
    height, width = data.draw(sizes(encoding)), data.draw(sizes(encoding))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    shape = (height, width) if channels == 1 else (height, width, channels)
    picture = rng.integers(0, 256 ** dtype.itemsize, shape).astype(dtype)
    raw, step = wire(picture, bigendian, padding)
    if cut and padding:
        raw = raw[:-padding]  # some drivers leave out the padding of the last row
    result = decode(BUFFERS[buffer](raw), height, width, step, encoding, bigendian)
    assert result.dtype == dtype and result.dtype.isnative and result.flags.aligned
    np.testing.assert_array_equal(result, picture)
    if encoding in VISIBLE_ENCODINGS:
        visible = to_visible(result, encoding)
        assert visible.shape == (height, width, 3) and visible.dtype == np.uint8
        assert visible.flags.c_contiguous
        np.testing.assert_array_equal(visible, to_visible(picture, encoding))
    if encoding in THERMAL_ENCODINGS:
        thermal = to_thermal(result, encoding)
        assert thermal.shape == (height, width)
        assert thermal.dtype in (np.uint8, np.uint16, np.float32)
        np.testing.assert_array_equal(thermal, to_thermal(picture, encoding))


anything = st.one_of(st.none(), st.text(max_size=8), st.floats(), st.integers(-2 ** 33, 2 ** 33))
number = st.one_of(st.integers(-2, 70), anything)


@given(data=st.one_of(st.binary(max_size=64), st.none(), st.lists(st.integers()), st.text(),
                      st.just(np.zeros((4, 4))[:, ::2]), st.just(np.zeros((0, 3)))),
       height=number, width=number, step=number,
       encoding=st.one_of(st.sampled_from(sorted(ENCODINGS)), anything, st.just(['mono8'])),
       bigendian=anything, truth=st.sampled_from([to_visible, to_thermal]))
@settings(max_examples=600, deadline=None)
def test_malformed_images_raise_frame_errors_alone(data, height, width, step, encoding, bigendian,
                                                   truth):
    try:
        truth(decode(data, height, width, step, encoding, bigendian), encoding)
    except FrameError as error:
        assert error.cause.isidentifier()
        assert '\n' not in str(error) and 10 < len(str(error)) < 400


@pytest.mark.parametrize('change, cause, words', [
    ({'encoding': 'rgb9'}, 'unknown_encoding', "'rgb9'"),
    ({'step': 11}, 'wrong_step', 'at least 12'),
    ({'data': bytes(35)}, 'short_data', 'needs 36'),
    ({'data': b''}, 'no_data', 'no data'),
    ({'data': None}, 'no_data', 'buffer'),
    ({'height': 0}, 'empty', '4x0'),
    ({'width': 0}, 'empty', '0x3'),
    ({'height': 2 ** 31}, 'absurd_size', '2147483648'),
    ({'encoding': 'yuyv', 'width': 3}, 'odd_size', 'even'),
    ({'encoding': 'bayer_rggb8', 'width': 12}, 'odd_size', '12x3'),
    ({'step': None}, 'wrong_header', 'step'),
])
def test_refusals_name_the_cause(change, cause, words):
    good = {'data': bytes(36), 'height': 3, 'width': 4, 'step': 12, 'encoding': 'rgb8',
            'is_bigendian': False}
    decode(**good)
    with pytest.raises(FrameError, match=words) as caught:
        decode(**(good | change))
    assert caught.value.cause == cause


def test_encodings_unfit_for_the_stream_are_refused():
    with pytest.raises(FrameError, match='32FC1') as caught:
        to_visible(np.zeros((4, 4), np.float32), '32FC1')
    assert caught.value.cause == 'unsuitable_encoding'
    with pytest.raises(FrameError, match='bayer_rggb8'):
        to_thermal(np.zeros((4, 4), np.uint8), 'bayer_rggb8')
    with pytest.raises(FrameError, match='does not fit') as caught:
        to_visible(np.zeros((4, 4), np.uint8), 'rgb8')
    assert caught.value.cause == 'wrong_array'


COLOUR = (200, 90, 30)
ORDER = {'rgb8': 'rgb', 'bgr8': 'bgr', '8UC3': 'bgr', 'rgba8': 'rgba', 'bgra8': 'bgra',
         '8UC4': 'bgra'}


@pytest.mark.parametrize('encoding, order', ORDER.items())
def test_colour_order(encoding, order):
    pixel = [dict(zip('rgba', (*COLOUR, 7)))[letter] for letter in order]
    picture = np.tile(np.uint8(pixel), (4, 4, 1))
    assert to_visible(picture, encoding)[1, 2].tolist() == list(COLOUR)
    luminance = 0.299 * 200 + 0.587 * 90 + 0.114 * 30
    assert abs(int(to_thermal(picture, encoding)[1, 2]) - luminance) <= 1


@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
def test_bayer_pattern_starts_at_the_first_pixel(pattern):
    values = dict(zip('rgb', COLOUR))
    cell = np.uint8([[values[pattern[0]], values[pattern[1]]],
                     [values[pattern[2]], values[pattern[3]]]])
    result = to_visible(np.tile(cell, (4, 4)), f'bayer_{pattern}8')
    assert result[4, 4].tolist() == list(COLOUR)
    wide = to_visible(np.tile(cell, (4, 4)).astype(np.uint16) * 257, f'bayer_{pattern}16')
    assert wide[4, 4].tolist() == list(COLOUR)


@pytest.mark.parametrize('encoding, luma', [('uyvy', 1), ('yuv422', 1), ('yuyv', 0),
                                            ('yuv422_yuy2', 0)])
def test_yuv_keeps_luma_and_chroma(encoding, luma):
    picture = np.zeros((4, 8, 2), np.uint8)
    picture[..., luma] = np.arange(60, 60 + 32).reshape(4, 8) * 2
    picture[:, ::2, 1 - luma], picture[:, 1::2, 1 - luma] = 90, 200  # U low, V high: red
    np.testing.assert_array_equal(to_thermal(picture, encoding), picture[..., luma])
    red, green, blue = to_visible(picture, encoding)[2, 3].tolist()
    assert red > green > blue


def test_mono16_scales_the_full_range():
    picture = np.uint16([[0, 257, 32896, 65535]])
    assert to_visible(picture, 'mono16')[0, :, 0].tolist() == [0, 1, 128, 255]
    colour = np.full((2, 2, 3), (65535, 0, 257), np.uint16)
    assert to_visible(colour, 'rgb16')[0, 0].tolist() == [255, 0, 1]
    assert to_visible(colour, 'bgr16')[0, 0].tolist() == [1, 0, 255]


def test_native_images_are_not_copied():
    raw = array.array('B', bytes(480 * 640 * 3))
    picture = decode(raw, 480, 640, 1920, 'rgb8', False)
    visible = to_visible(picture, 'rgb8')
    raw[5] = 77
    assert visible[0, 1, 2] == 77
    thermal = to_thermal(decode(raw, 480, 640, 1280, '16UC1', sys.byteorder == 'big'), '16UC1')
    raw[0] = raw[1] = 255
    assert thermal[0, 0] == 65535


def test_agrees_with_opencv_on_a_sheared_trap():
    """A padded bgr8 row whose step is no multiple of 3 must not shear."""
    picture = cv2.resize(np.uint8([[[0, 0, 255], [255, 0, 0]]]), (10, 6))
    raw, step = wire(picture, False, 2)
    visible = to_visible(decode(raw, 6, 10, step, 'bgr8', False), 'bgr8')
    np.testing.assert_array_equal(visible, picture[..., ::-1])


def test_what_is_published_is_in_the_encoding_asked_for():
    rgb = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    assert from_rgb(rgb, 'rgb8') is rgb
    assert np.array_equal(from_rgb(rgb, 'bgr8'), rgb[..., ::-1])
    grey = from_rgb(rgb, 'mono8')
    assert np.abs(grey - rgb @ [0.299, 0.587, 0.114]).max() <= 0.6
    assert from_rgb(grey, 'mono8') is grey
    for encoding in ('rgb8', 'bgr8'):
        assert np.array_equal(from_rgb(grey, encoding), np.repeat(grey[..., None], 3, axis=2))
