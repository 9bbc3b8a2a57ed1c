# SPDX-License-Identifier: Apache-2.0
import cv2
from hypothesis import example, given, settings, strategies as st
import numpy as np
import pytest

from degfusion_ros.imaging.encodings import decode_compressed, FrameError, to_thermal, to_visible

RAMP = np.linspace(0, 255, 48 * 64).reshape(48, 64).astype(np.uint8)
RED = np.dstack([RAMP // 4, RAMP // 2, RAMP])  # BGR


def pack(picture, extension, *parameters):
    done, data = cv2.imencode(extension, picture, parameters)
    assert done
    return data.tobytes()


def test_jpeg_keeps_colour_order():
    array, encoding = decode_compressed(pack(RED, '.jpg'), 'bgr8; jpeg compressed bgr8')
    assert encoding == 'bgr8'
    assert np.abs(to_visible(array, encoding).astype(int) - RED[..., ::-1]).mean() < 3
    array, encoding = decode_compressed(pack(RED[..., ::-1], '.jpg'), 'rgb8; jpeg compressed rgb8')
    assert np.abs(to_visible(array, encoding).astype(int) - RED[..., ::-1]).mean() < 3


@pytest.mark.parametrize('form', ['png', '16UC1; png compressed ', 'mono16; png compressed'])
def test_16_bit_png_is_exact(form):
    picture = RAMP.astype(np.uint16) * 111 + 5
    array, encoding = decode_compressed(pack(picture, '.png'), form)
    assert encoding == 'mono16'
    np.testing.assert_array_equal(to_thermal(array, encoding), picture)


def test_compressed_depth_of_16_bit():
    picture = RAMP.astype(np.uint16) * 111
    array, encoding = decode_compressed(bytes(12) + pack(picture, '.png'),
                                        '16UC1; compressedDepth png')
    assert encoding == 'mono16'
    np.testing.assert_array_equal(array, picture)
    with pytest.raises(FrameError, match='quantised depth'):
        decode_compressed(bytes(12) + pack(picture, '.png'), '32FC1; compressedDepth png')


@pytest.mark.parametrize('picture, encoding', [
    (RAMP, 'mono8'), (RED, 'bgr8'), (np.dstack([RED, RAMP]), 'bgra8'),
    (RED.astype(np.uint16) * 257, 'bgr16')])
def test_png_kinds(picture, encoding):
    array, found = decode_compressed(pack(picture, '.png'), 'png')
    assert found == encoding
    np.testing.assert_array_equal(array, picture)
    assert to_visible(array, found).shape == (48, 64, 3)


def test_compressed_mosaic_keeps_its_pattern():
    _, encoding = decode_compressed(pack(RAMP, '.png'), 'bayer_grbg8; png compressed ')
    assert encoding == 'bayer_grbg8'
    _, encoding = decode_compressed(pack(RAMP.astype(np.uint16), '.png'), 'bayer_rggb16; png ')
    assert encoding == 'bayer_rggb16'


@pytest.mark.parametrize('extension', ['.jpg', '.png'])
@pytest.mark.parametrize('share', [0.3, 0.6, 0.95])
def test_a_picture_cut_short_is_refused(extension, share):
    data = pack(np.random.default_rng(0).integers(0, 255, (200, 200), np.uint8), extension)
    with pytest.raises(FrameError, match='cut short') as caught:
        decode_compressed(data[:int(len(data) * share)], extension[1:])
    assert caught.value.cause == 'short_data'


def test_trailing_padding_is_fine():
    array, _ = decode_compressed(pack(RAMP, '.jpg') + bytes(100), 'jpeg')
    assert array.shape == RAMP.shape


@given(data=st.one_of(st.binary(max_size=200), st.none(), st.text(), st.lists(st.integers())),
       form=st.one_of(st.text(max_size=80), st.none(), st.integers(),
                      st.sampled_from(['jpeg', 'png', '16UC1; compressedDepth png'])),
       magic=st.sampled_from([b'', b'\xff\xd8\xff', b'\x89PNG\r\n\x1a\n', b'II*\0', b'BM']))
@example(b'', 'jpeg', b'')
@settings(max_examples=300, deadline=None)
def test_rubbish_raises_frame_errors_alone(data, form, magic):
    if isinstance(data, bytes):
        data = magic + data
    with pytest.raises(FrameError) as caught:
        decode_compressed(data, form)
    assert '\n' not in str(caught.value)


@given(at=st.integers(0, 10 ** 6), value=st.integers(0, 255),
       extension=st.sampled_from(['.jpg', '.png', '.tiff']))
@settings(max_examples=200, deadline=None)
def test_a_flipped_byte_never_escapes(at, value, extension):
    data = bytearray(pack(RED, extension))
    data[at % len(data)] = value
    try:
        array, encoding = decode_compressed(data, 'jpeg')
        to_visible(array, encoding)
    except FrameError as error:
        assert error.cause


def test_more_pixels_than_the_bytes_can_hold_are_refused_before_decoding(monkeypatch):
    data = bytearray(pack(np.zeros((8, 8), np.uint8), '.png'))
    data[16:24] = (8000).to_bytes(4, 'big') * 2      # width and height of its header
    monkeypatch.setattr(cv2, 'imdecode', lambda *args: pytest.fail('decoded'))
    with pytest.raises(FrameError, match='more than its'):
        decode_compressed(bytes(data), 'png')


def test_a_flat_picture_that_compresses_well_is_fine():
    flat = np.full((2000, 2000), 7, np.uint8)
    data = pack(flat, '.png', cv2.IMWRITE_PNG_COMPRESSION, 9)
    assert np.array_equal(decode_compressed(data, 'png')[0], flat)


def test_a_chunk_that_declares_gigabytes_is_refused_before_decoding(monkeypatch):
    data = bytearray(pack(RAMP, '.png'))
    at = data.index(b'IDAT') - 4
    data[at:at + 4] = (0x7fffffff).to_bytes(4, 'big')
    monkeypatch.setattr(cv2, 'imdecode', lambda *args: pytest.fail('decoded'))
    with pytest.raises(FrameError, match='cut short'):
        decode_compressed(bytes(data), 'png')
