# SPDX-License-Identifier: Apache-2.0
"""The size that a JPEG, PNG or TIFF says it has, read without decoding a pixel."""

import struct

PNG = b'\x89PNG\r\n\x1a\n'
JPEG = b'\xff\xd8\xff'
TIFF = {b'II*\0': '<', b'MM\0*': '>'}  # magic -> byte order
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # JPEG markers that open a frame: SOF
_BARE = {0x01, *range(0xD0, 0xD9)}  # markers without a length
_SCAN, _END = 0xDA, 0xD9
_STEPS = 5000  # through a header: real ones take dozens, a hostile one shall not take a second
_WIDTH, _HEIGHT = 256, 257  # TIFF tags
_TIFF_INTEGERS = {1: 'B', 3: 'H', 4: 'I'}  # TIFF type -> struct's


def declared_size(data: memoryview) -> tuple[int, int] | None:
    """
    Return (width, height) in pixels as the header has it; None where no such header is found.

    `data` is the whole file as bytes. A few thousand bytes can declare a picture of gigabytes, so
    this is asked before a decoder is.
    """
    start = bytes(data[:8])
    try:
        if start == PNG:
            length, kind, width, height = struct.unpack_from('>I4sII', data, 8)
            return (width, height) if (length, kind) == (13, b'IHDR') else None
        if start[:3] == JPEG:
            return _jpeg(data)
        if start[:4] in TIFF:
            return _tiff(data, TIFF[start[:4]])
    except (struct.error, IndexError):  # the header points past the end
        pass
    return None


def chunks_fit(data: memoryview) -> bool:
    """
    Tell whether all chunks of a PNG, up to its end, lie within `data`; True for other formats.

    False as well for more chunks than any encoder makes: walking through them holds up the rest.
    Decoders set as much memory aside as a chunk declares, up to 2 GB, before they look for it.
    """
    if bytes(data[:8]) != PNG:
        return True
    at = len(PNG)
    for _ in range(_STEPS + len(data) // 1024):
        if at + 12 > len(data):
            return False
        length, kind = struct.unpack_from('>I4s', data, at)
        at += 12 + length
        if kind == b'IEND':
            return at <= len(data)
    return False


def _jpeg(data) -> tuple[int, int] | None:
    at = 2
    for _ in range(_STEPS):
        if data[at] != 0xFF or data[at + 1] == 0xFF:  # decoders skip what lies between segments
            at += 1
            continue
        marker, at = data[at + 1], at + 2
        if marker in _FRAMES:
            _, _, height, width = struct.unpack_from('>HBHH', data, at)
            return width, height
        if marker in (_SCAN, _END):
            return None
        if marker and marker not in _BARE:
            at += struct.unpack_from('>H', data, at)[0]
    return None


def _tiff(data, order) -> tuple[int, int] | None:
    directory, = struct.unpack_from(f'{order}I', data, 4)
    count, = struct.unpack_from(f'{order}H', data, directory)
    found = {}
    for entry in range(directory + 2, directory + 2 + 12 * min(count, _STEPS), 12):
        tag, kind, _ = struct.unpack_from(f'{order}HHI', data, entry)
        if tag in (_WIDTH, _HEIGHT) and kind in _TIFF_INTEGERS:
            found[tag], = struct.unpack_from(order + _TIFF_INTEGERS[kind], data, entry + 8)
    return (found[_WIDTH], found[_HEIGHT]) if len(found) == 2 else None
