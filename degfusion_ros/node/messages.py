# SPDX-License-Identifier: Apache-2.0
"""Messages out of arrays and back: images, camera_info at the output's size, severities."""

import cv2
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
import numpy as np
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from degfusion_ros.imaging.camera_info import scaled_camera_info

__all__ = ['compressed', 'image', 'key_values', 'scaled_camera_info', 'scores', 'shifted',
           'stamp_ns']

LAST_NS = 2 ** 31 * 1_000_000_000 - 1  # seconds are an int32


def stamp_ns(header: Header) -> int:
    """Return the header's stamp in nanoseconds."""
    return header.stamp.sec * 1_000_000_000 + header.stamp.nanosec


def shifted(header: Header, by_ns: int) -> Header:
    """Return the header with its stamp moved by nanoseconds, as far as stamps go."""
    if not by_ns:
        return header
    made = Header(frame_id=header.frame_id)
    made.stamp.sec, made.stamp.nanosec = divmod(
        min(max(1, stamp_ns(header) + by_ns), LAST_NS), 1_000_000_000)
    return made


def image(array: np.ndarray, encoding: str, header: Header) -> Image:
    """Return an Image of a uint8 HxW or HxWxC array; the header is shared, not copied."""
    message = Image(header=header, encoding=encoding)
    message.height, message.width = array.shape[:2]
    message.step = array.strides[0] if array.flags.c_contiguous else array[0].nbytes
    # Fills the message's own array. Assigning to data would check every byte in Python.
    message.data.frombytes(memoryview(np.ascontiguousarray(array)).cast('B'))
    return message


def compressed(array: np.ndarray, encoding: str, header: Header, quality: int) -> CompressedImage:
    """
    Return a CompressedImage, JPEG of `quality` 1 to 100, as compressed_image_transport writes it.

    `array` is uint8 HxWx3 rgb8 or bgr8, or HxW mono8; the header is shared, not copied.
    """
    colour = array.ndim == 3
    picture = cv2.cvtColor(array, cv2.COLOR_RGB2BGR) if encoding == 'rgb8' else array
    _, written = cv2.imencode('.jpg', picture, (cv2.IMWRITE_JPEG_QUALITY, quality))
    message = CompressedImage(
        header=header, format=f'{encoding}; jpeg compressed {"bgr8" if colour else ""}')
    message.data.frombytes(memoryview(written).cast('B'))
    return message


def scores(header: Header, judged: dict[str, tuple[dict[str, float], tuple]]) -> DiagnosticArray:
    """
    Return one status per modality: its severities as values, its labels as the message.

    `judged` maps visible and thermal to (severities 0..1, active labels).
    """
    message = DiagnosticArray(header=header)
    for modality, (severities, labels) in judged.items():
        clean = labels == ('clean',)
        message.status.append(DiagnosticStatus(
            level=DiagnosticStatus.OK if clean else DiagnosticStatus.WARN,
            name=modality, message=','.join(labels),
            values=key_values({k: f'{v:.3f}' for k, v in severities.items()})))
    return message


def key_values(values: dict[str, object]) -> list[KeyValue]:
    """Return the diagnostic values of a dict, as text, in its order."""
    return [KeyValue(key=key, value=str(value)) for key, value in values.items()]
