# SPDX-License-Identifier: Apache-2.0
"""Picture files that most readers get wrong."""

import struct
import zlib

import cv2


def upside_down(picture):
    """Return a JPEG whose EXIF tag asks for a turn by 180 degrees."""
    data = cv2.imencode('.jpg', picture)[1].tobytes()
    exif = b'Exif\0\0II*\0' + struct.pack('<IHHHIII', 8, 1, 0x112, 3, 1, 3, 0)
    return data[:2] + b'\xff\xe1' + struct.pack('>H', len(exif) + 2) + exif + data[2:]


def huge():
    """Return a PNG of a hundred bytes that declares 60000x60000 pixels."""
    def chunk(kind, data):
        return (struct.pack('>I', len(data)) + kind + data
                + struct.pack('>I', zlib.crc32(kind + data)))
    header = struct.pack('>IIBBBBB', 60000, 60000, 8, 2, 0, 0, 0)
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(b'abc'))
            + chunk(b'IEND', b''))
