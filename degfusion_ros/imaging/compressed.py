# SPDX-License-Identifier: Apache-2.0
"""Turn the bytes of a sensor_msgs/CompressedImage into an array and its encoding."""

import cv2
import numpy as np

from degfusion_ros.imaging.errors import FrameError, MAX_SIDE
from degfusion_ros.imaging.picture_header import chunks_fit, declared_size

MAX_PIXELS = 1 << 26  # 67 megapixels, 200 MB as colour: a few kilobytes can declare far more
MOST_PER_BYTE = 1500  # pixels; PNG makes at most 1,032 bytes of one, and none is 1 bit deep
_DEPTH_HEADER = 12  # bytes that compressed_depth_image_transport puts before its PNG
_END = {b'\xff\xd8': b'\xff\xd9', b'\x89PNG': b'IEND'}  # how a JPEG, a PNG starts and ends
_TAIL = 4096  # bytes; drivers may pad the end


def check_compressed(data, format: str) -> None:
    """
    Raise FrameError for a JPEG, PNG or TIFF that cannot be used; decodes no pixel.

    Refused are no data, other formats, a picture cut short, and one whose header declares more
    than MAX_SIDE pixels a side, MAX_PIXELS in all or its bytes can hold: to find that out while
    decoding takes a second. `format` is the message's.
    """
    _checked(data, format)


def decode_compressed(data, format: str) -> tuple[np.ndarray, str]:
    """
    Return (array, encoding) of a JPEG, PNG or TIFF, 8 or 16 bit, fit for to_visible or to_thermal.

    `format` is the message's: 'jpeg', 'rgb8; jpeg compressed bgr8', '16UC1; png compressed',
    '16UC1; compressedDepth png'. The picture's own orientation tag is ignored, as on a raw topic.
    Raise FrameError on whatever check_compressed refuses, and on a kind of sample no encoding has.
    """
    buffer = _checked(data, format)
    name, declared, how = _words(format)
    try:
        array = cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED)
    except cv2.error:
        array = None
    if array is None or array.size == 0:
        raise FrameError('bad_compressed', f'compressed image {name} ({buffer.size} bytes) does '
                                           'not decode: send JPEG or PNG')
    return array, _encoding(array, declared, how, name)


def _words(format) -> tuple[str, str, str]:
    """Return a message's format as a short name, the encoding it declares, and the rest."""
    declared, _, how = str(format).partition(';')
    return repr(str(format)[:60]), declared.strip(), how


def _checked(data, format) -> np.ndarray:
    """Return the picture's bytes as uint8, or raise FrameError."""
    name, declared, how = _words(format)
    try:
        buffer = np.frombuffer(memoryview(data).cast('B'), np.uint8)
    except (TypeError, ValueError, BufferError):
        raise FrameError('no_data', f'compressed image {name} has no data: check the driver'
                         ) from None
    if 'compressedDepth' in how:
        if declared != '16UC1':
            raise FrameError('unknown_encoding', f'compressed image {name} is quantised depth: '
                                                 'send 16UC1 or a raw topic')
        buffer = buffer[_DEPTH_HEADER:]
    if buffer.size == 0:
        raise FrameError('no_data', f'compressed image {name} has no data: check the driver')
    size = declared_size(memoryview(buffer))
    if size is None:
        raise FrameError('bad_compressed', f'compressed image {name} ({buffer.size} bytes) has no '
                                           'header of a JPEG, PNG or TIFF: send one of these')
    width, height = size
    if min(size) == 0:
        raise FrameError('empty', f'compressed image {name} declares {width}x{height} pixels: '
                                  'check the driver')
    if max(size) > MAX_SIDE or width * height > MAX_PIXELS:
        raise FrameError('absurd_size', f'compressed image {name} declares {width}x{height} '
                                        f'pixels, more than {MAX_SIDE} a side or {MAX_PIXELS} in '
                                        'all: check the driver')
    if width * height > MOST_PER_BYTE * buffer.size:
        raise FrameError('absurd_size', f'compressed image {name} declares {width}x{height} '
                                        f'pixels, more than its {buffer.size} bytes can hold: '
                                        'check the driver')
    _check_complete(buffer, name)
    return buffer


def _check_complete(buffer, name):
    # OpenCV fills the missing part of a cut JPEG with gray and says nothing.
    start = buffer[:4].tobytes()
    whole = chunks_fit(memoryview(buffer))
    for magic, end in _END.items():
        if start.startswith(magic) and not (whole and end in buffer[-_TAIL:].tobytes()):
            raise FrameError('short_data', f'compressed image {name} ({buffer.size} bytes) is '
                                           'cut short: check the transport')


def _encoding(array, declared, how, name) -> str:
    channels = 1 if array.ndim == 2 else array.shape[2]
    if channels == 1 and declared.startswith('bayer_'):
        return f'{declared[:10]}{8 * array.itemsize}'  # the mosaic itself was compressed
    order = 'rgb' if 'compressed rgb' in how else 'bgr'  # OpenCV writes and reads BGR
    known = {('uint8', 1): 'mono8', ('uint16', 1): 'mono16', ('float32', 1): '32FC1',
             ('uint8', 3): f'{order}8', ('uint16', 3): f'{order}16', ('uint8', 4): f'{order}a8'}
    encoding = known.get((str(array.dtype), channels))
    if encoding is None:
        raise FrameError('unknown_encoding', f'compressed image {name} holds {channels} channels '
                                             f'of {array.dtype}: send 8 or 16 bit gray or colour')
    return encoding
