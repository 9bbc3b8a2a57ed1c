# SPDX-License-Identifier: Apache-2.0
import struct
import zlib

import cv2
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

from degfusion_ros.imaging.compressed import check_compressed, decode_compressed
from degfusion_ros.imaging.errors import FrameError
from degfusion_ros.imaging.picture_header import chunks_fit, declared_size


def pack(extension, width, height, kind=np.uint8, channels=3, *parameters):
    done, data = cv2.imencode(extension, np.zeros((height, width, channels), kind), parameters)
    assert done
    return data.tobytes()


@given(extension=st.sampled_from(['.png', '.jpg', '.tiff']), width=st.integers(1, 90),
       height=st.integers(1, 90), channels=st.sampled_from([1, 3]),
       options=st.sampled_from([(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
                                (cv2.IMWRITE_JPEG_RST_INTERVAL, 2)]))
@settings(max_examples=80, deadline=None)
def test_the_header_says_what_the_decoder_makes(extension, width, height, channels, options):
    data = pack(extension, width, height, np.uint8, channels,
                *(options if extension == '.jpg' else ()))
    assert declared_size(memoryview(data)) == (width, height)


def test_a_thumbnail_before_the_picture_is_not_taken_for_it():
    thumbnail = pack('.jpg', 16, 8)
    whole = pack('.jpg', 80, 60)
    segment = b'\xff\xe1' + struct.pack('>H', len(thumbnail) + 2) + thumbnail
    assert declared_size(memoryview(whole[:2] + segment + whole[2:])) == (80, 60)


def chunk(kind, data=b''):
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))


def png_bomb(width, height):
    """A valid PNG of black: a few kilobytes that decode to width x height bytes."""
    squeezed = zlib.compressobj(9)
    rows = b''.join(squeezed.compress(bytes(width + 1)) for _ in range(min(height, 64)))
    return (b'\x89PNG\r\n\x1a\n'
            + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0))
            + chunk(b'IDAT', rows + squeezed.flush()) + chunk(b'IEND', b''))


def jpeg_bomb(width, height):
    data = bytearray(pack('.jpg', 64, 64))
    at = data.index(b'\xff\xc0')
    data[at + 5:at + 9] = struct.pack('>HH', height, width)
    return bytes(data)


def tiff_bomb(width, height):
    data = bytearray(pack('.tiff', 64, 64))
    directory, = struct.unpack_from('<I', data, 4)
    for entry in range(directory + 2, len(data), 12):
        tag, = struct.unpack_from('<H', data, entry)
        if tag in (256, 257):
            struct.pack_into('<HII', data, entry + 2, 4, 1, width if tag == 256 else height)
        if tag == 257:
            return bytes(data)
    raise AssertionError('no height tag')


@pytest.mark.parametrize('bomb', [png_bomb, jpeg_bomb, tiff_bomb])
@pytest.mark.parametrize('width, height', [(16385, 100), (100, 16385), (16384, 16384)])
def test_a_huge_picture_is_refused_before_it_is_decoded(bomb, width, height, monkeypatch):
    monkeypatch.setattr(cv2, 'imdecode', lambda *_: pytest.fail('the picture was decoded'))
    for function in (check_compressed, decode_compressed):
        with pytest.raises(FrameError, match=f'{width}x{height}') as caught:
            function(bomb(width, height), 'jpeg')
        assert caught.value.cause == 'absurd_size'


def test_the_bomb_is_a_picture_at_a_lawful_size():
    array, encoding = decode_compressed(png_bomb(100, 50), 'png')
    assert array.shape == (50, 100) and encoding == 'mono8'


@pytest.mark.parametrize('data', [
    b'\xff\xd8\xff', b'\xff\xd8\xff\xd9', b'\xff\xd8' + b'\xff' * 50, b'\xff\xd8\xff\xe0\xff\xff',
    b'\x89PNG\r\n\x1a\n', b'II*\0',
    b'II*\0\xff\xff\xff\xff', b'MM\0*' + bytes(20), b'BM' + bytes(60),
    b'\xff\xd8\xff' + bytes(10 ** 7), b'\xff\xd8' + b'\xff\xe0\0\2' * 10 ** 6],
    ids=range(11))
def test_a_header_that_leads_nowhere_has_no_size(data):
    assert declared_size(memoryview(data)) is None
    with pytest.raises(FrameError) as caught:
        check_compressed(data, 'jpeg')
    assert caught.value.cause == 'bad_compressed'


class Counted(bytes):
    """Stands for the bytes of a picture; counts the chunks that are looked at."""

    def __len__(self):
        self.looks = getattr(self, 'looks', 0) + 1
        return super().__len__()


def test_a_png_of_countless_empty_chunks_holds_nobody_up():
    whole = png_bomb(100, 50)
    end = whole.index(b'IEND') - 4
    hostile = Counted(whole[:end] + chunk(b'tEXt') * 300_000 + whole[end:])
    assert not chunks_fit(hostile) and hostile.looks < 20_000
    with pytest.raises(FrameError) as caught:
        check_compressed(bytes(hostile), 'png')
    assert caught.value.cause == 'short_data'
    honest = whole[:end] + chunk(b'tEXt', bytes(1012)) * 12_000 + whole[end:]  # 1 KB each
    assert chunks_fit(memoryview(honest))


@given(data=st.binary(max_size=300), magic=st.sampled_from(
    [b'\xff\xd8\xff', b'\x89PNG\r\n\x1a\n', b'II*\0\x08\0\0\0', b'MM\0*\0\0\0\x08']))
@settings(max_examples=300, deadline=None)
def test_any_bytes_give_a_size_or_none(data, magic):
    size = declared_size(memoryview(magic + data))
    assert size is None or (len(size) == 2 and min(size) >= 0)
