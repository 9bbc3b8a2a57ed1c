# SPDX-License-Identifier: Apache-2.0
"""Turn the bytes of a sensor_msgs/Image into arrays, honouring step, endianness and encoding."""

import operator

import cv2
import numpy as np

from degfusion_ros.imaging.compressed import check_compressed, decode_compressed
from degfusion_ros.imaging.errors import FrameError, MAX_SIDE

__all__ = ['ENCODINGS', 'FrameError', 'THERMAL_ENCODINGS', 'VISIBLE_ENCODINGS',
           'check_compressed', 'decode', 'decode_compressed', 'decode_compressed_as', 'from_rgb',
           'to_thermal', 'to_visible']

_U8, _U16, _F32 = np.dtype('u1'), np.dtype('u2'), np.dtype('f4')

# encoding -> (sample type, channels)
ENCODINGS = {
    'mono8': (_U8, 1), '8UC1': (_U8, 1), 'mono16': (_U16, 1), '16UC1': (_U16, 1),
    '32FC1': (_F32, 1),
    'rgb8': (_U8, 3), 'bgr8': (_U8, 3), '8UC3': (_U8, 3), 'rgb16': (_U16, 3), 'bgr16': (_U16, 3),
    'rgba8': (_U8, 4), 'bgra8': (_U8, 4), '8UC4': (_U8, 4),
    'yuv422': (_U8, 2), 'uyvy': (_U8, 2), 'yuv422_yuy2': (_U8, 2), 'yuyv': (_U8, 2),
    'bayer_rggb8': (_U8, 1), 'bayer_bggr8': (_U8, 1),
    'bayer_gbrg8': (_U8, 1), 'bayer_grbg8': (_U8, 1),
    'bayer_rggb16': (_U16, 1), 'bayer_bggr16': (_U16, 1),
    'bayer_gbrg16': (_U16, 1), 'bayer_grbg16': (_U16, 1),
}

# encoding -> OpenCV's conversion to RGB; 8UC3 and 8UC4 have no order of their own: OpenCV's, BGR
_TO_RGB = {
    'bgr8': cv2.COLOR_BGR2RGB, '8UC3': cv2.COLOR_BGR2RGB, 'bgr16': cv2.COLOR_BGR2RGB,
    'rgba8': cv2.COLOR_RGBA2RGB, 'bgra8': cv2.COLOR_BGRA2RGB, '8UC4': cv2.COLOR_BGRA2RGB,
    'mono8': cv2.COLOR_GRAY2RGB, '8UC1': cv2.COLOR_GRAY2RGB,
    'mono16': cv2.COLOR_GRAY2RGB, '16UC1': cv2.COLOR_GRAY2RGB,
    'yuv422': cv2.COLOR_YUV2RGB_UYVY, 'uyvy': cv2.COLOR_YUV2RGB_UYVY,
    'yuv422_yuy2': cv2.COLOR_YUV2RGB_YUY2, 'yuyv': cv2.COLOR_YUV2RGB_YUY2,
    # OpenCV names a mosaic by its second row, so its BG is ROS's rggb.
    'bayer_rggb8': cv2.COLOR_BayerBG2RGB, 'bayer_bggr8': cv2.COLOR_BayerRG2RGB,
    'bayer_gbrg8': cv2.COLOR_BayerGR2RGB, 'bayer_grbg8': cv2.COLOR_BayerGB2RGB,
    'bayer_rggb16': cv2.COLOR_BayerBG2RGB, 'bayer_bggr16': cv2.COLOR_BayerRG2RGB,
    'bayer_gbrg16': cv2.COLOR_BayerGR2RGB, 'bayer_grbg16': cv2.COLOR_BayerGB2RGB,
}
_FROM_RGB = {'bgr8': cv2.COLOR_RGB2BGR, 'mono8': cv2.COLOR_RGB2GRAY}
VISIBLE_ENCODINGS = ('rgb8', 'rgb16', *_TO_RGB)

_PLAIN_THERMAL = ('mono8', '8UC1', 'mono16', '16UC1', '32FC1')
_TO_GRAY = {
    'rgb8': cv2.COLOR_RGB2GRAY, 'bgr8': cv2.COLOR_BGR2GRAY, '8UC3': cv2.COLOR_BGR2GRAY,
    'rgb16': cv2.COLOR_RGB2GRAY, 'bgr16': cv2.COLOR_BGR2GRAY,
    'rgba8': cv2.COLOR_RGBA2GRAY, 'bgra8': cv2.COLOR_BGRA2GRAY, '8UC4': cv2.COLOR_BGRA2GRAY,
    'yuv422': cv2.COLOR_YUV2GRAY_UYVY, 'uyvy': cv2.COLOR_YUV2GRAY_UYVY,
    'yuv422_yuy2': cv2.COLOR_YUV2GRAY_YUY2, 'yuyv': cv2.COLOR_YUV2GRAY_YUY2,
}
THERMAL_ENCODINGS = (*_PLAIN_THERMAL, *_TO_GRAY)


def decode(data, height: int, width: int, step: int, encoding: str,
           is_bigendian: bool) -> np.ndarray:
    """
    Return the samples of a raw image as HxW or HxWxC in native byte order.

    `data` is any C-contiguous buffer (array.array, bytes, memoryview, numpy), `step` the bytes
    from one row to the next, padding included. The result is a view of `data` (strided where
    rows are padded, read-only where `data` is) except for foreign byte order and rows that break
    the sample's alignment, which are copied.
    Raise FrameError on an unknown encoding, a size, step or length that does not fit.
    """
    dtype, channels = _layout(encoding)
    height, width, step = (_integer(n, v, encoding) for n, v in
                           (('height', height), ('width', width), ('step', step)))
    if height <= 0 or width <= 0:
        raise FrameError('empty', f'{_name(encoding)} image of {width}x{height} pixels is empty: '
                                  'the driver must set width and height')
    if height > MAX_SIDE or width > MAX_SIDE:
        raise FrameError('absurd_size', f'{_name(encoding)} image of {width}x{height} pixels is '
                                        f'larger than {MAX_SIDE} a side: check the header')
    _check_grid(encoding, height, width)
    row = width * channels * dtype.itemsize
    if step < row:
        raise FrameError('wrong_step', f'{_name(encoding)} image {width} wide has step {step}: '
                                       f'the driver must send at least {row} bytes a row')
    buffer = _bytes(data, encoding)
    needed = step * (height - 1) + row  # the last row may come without its padding
    if buffer.nbytes < needed:
        raise FrameError('short_data', f'{_name(encoding)} image {width}x{height} with step {step} '
                                       f'has {buffer.nbytes} bytes of data and needs {needed}: '
                                       'the driver or the transport cut it')
    wire = dtype.newbyteorder('>' if is_bigendian else '<')
    shape, strides = (height, width), (step, channels * dtype.itemsize)
    if channels > 1:
        shape, strides = (*shape, channels), (*strides, dtype.itemsize)
    array = np.ndarray(shape, wire, buffer, strides=strides)
    if not array.dtype.isnative:
        return array.astype(dtype)
    return array if array.flags.aligned else array.copy()


def decode_compressed_as(stream: str, data, format: str, told: str) -> tuple[np.ndarray, str]:
    """
    Return (array, encoding) of a compressed frame, by `told`, the value of input.STREAM.encoding.

    'auto' is decode_compressed, which says what is refused; so is a `told` that does not fit the
    samples. A thermal frame compressed as colour may be told to be grey: to_thermal makes it so.
    """
    array, encoding = decode_compressed(data, format)
    if told == 'auto':
        return array, encoding
    dtype, channels = ENCODINGS[told]
    colour = array.ndim == 3
    if stream == 'thermal' and colour and (dtype, channels) == (array.dtype, 1):
        return array, encoding
    if (dtype, channels) != (array.dtype, array.shape[2] if colour else 1):
        raise FrameError(
            'unsuitable_encoding', f'the compressed frame holds {encoding} samples, which cannot '
            f'be {told}: set input.{stream}.encoding to auto')
    if not colour:
        return array, told
    # `told` speaks of the frame as it was before: by its format blue first, or red; without a
    # word on that the decoder's order stands.
    if not format.startswith(('rgb', 'bgr', '8UC')):
        return array, encoding
    if encoding.startswith('bgr') != format.startswith(('bgr', '8UC')):
        array = array[..., [2, 1, 0, 3][:channels]]
    return array, told


def to_visible(array: np.ndarray, encoding: str) -> np.ndarray:
    """
    Return a decoded visible image as contiguous uint8 HxWx3 RGB, the same memory if it is that.

    16 bit samples are scaled by 255/65535. Raise FrameError on an encoding without a visible
    picture or an array that does not fit the encoding.
    """
    _check_array(array, encoding, VISIBLE_ENCODINGS, 'a visible image')
    if array.dtype == _U16:
        array = cv2.convertScaleAbs(array, alpha=255 / 65535)
    if encoding in ('rgb8', 'rgb16'):
        return np.ascontiguousarray(array)
    return cv2.cvtColor(array, _TO_RGB[encoding])


def from_rgb(picture: np.ndarray, encoding: str) -> np.ndarray:
    """Return a uint8 HxWx3 RGB or HxW grey picture as rgb8, bgr8 or mono8."""
    if picture.ndim == 2:
        return picture if encoding == 'mono8' else cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB)
    return cv2.cvtColor(picture, _FROM_RGB[encoding]) if encoding in _FROM_RGB else picture


def to_thermal(array: np.ndarray, encoding: str) -> np.ndarray:
    """
    Return a decoded thermal image as HxW uint8, uint16 or float32 in the camera's own units.

    Colour becomes luminance (uint8, or uint16 from 16 bit colour). One-channel images pass
    uncopied. Raise FrameError on other encodings or an array that does not fit the encoding.
    """
    _check_array(array, encoding, THERMAL_ENCODINGS, 'a thermal image')
    if encoding in _PLAIN_THERMAL:
        return array
    return cv2.cvtColor(array, _TO_GRAY[encoding])


def _layout(encoding):
    if not isinstance(encoding, str) or encoding not in ENCODINGS:
        raise FrameError('unknown_encoding', f'unknown image encoding {_name(encoding)}: '
                                             f'use one of {", ".join(ENCODINGS)}')
    return ENCODINGS[encoding]


def _name(encoding) -> str:
    return repr(str(encoding)[:40])  # a broken header may hold anything: keep the line short


def _integer(name, value, encoding) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise FrameError('wrong_header', f'{_name(encoding)} image has a {name} that is no whole '
                                         'number: check the header') from None


def _bytes(data, encoding) -> memoryview:
    try:
        buffer = memoryview(data).cast('B')
    except (TypeError, ValueError, BufferError):
        # An empty buffer of many dimensions cannot be cast either.
        raise FrameError('no_data', f'{_name(encoding)} image has data that is no contiguous '
                                    'buffer: send bytes or an array') from None
    if buffer.nbytes == 0:
        raise FrameError('no_data', f'{_name(encoding)} image has no data: check the driver')
    return buffer


def _check_grid(encoding, height, width):
    if ENCODINGS[encoding][1] == 2 and width % 2:
        raise FrameError('odd_size', f'{_name(encoding)} image is {width} wide, but two pixels '
                                     'share their colour: the width must be even')
    if encoding.startswith('bayer') and (height % 2 or width % 2 or min(height, width) < 4):
        raise FrameError('odd_size', f'{_name(encoding)} image of {width}x{height} does not hold '
                                     'whole 2x2 cells (4x4 pixels or more): check the header')


def _check_array(array, encoding, allowed, role):
    dtype, channels = _layout(encoding)
    if encoding not in allowed:
        raise FrameError('unsuitable_encoding', f'encoding {_name(encoding)} does not hold {role}: '
                                                f'use one of {", ".join(allowed)}')
    fits = (isinstance(array, np.ndarray) and array.dtype == dtype and array.size > 0
            and array.ndim == (2 if channels == 1 else 3)
            and (channels == 1 or array.shape[2] == channels)
            and max(array.shape[:2]) <= MAX_SIDE)
    if not fits:
        raise FrameError('wrong_array', f'array does not fit {_name(encoding)}: it must be '
                                        f'{dtype} with {channels} channel(s) and not empty')
    _check_grid(encoding, *array.shape[:2])
