# SPDX-License-Identifier: Apache-2.0
"""Malformed camera messages: recipes that can be mutated again, and the bytes they become."""

from dataclasses import asdict, dataclass, replace
import random

import cv2
import numpy as np
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from degfusion_ros.imaging.encodings import ENCODINGS

KINDS = {'raw': Image, 'compressed': CompressedImage, 'info': CameraInfo}
SIDE = 36  # pixels of a good frame: the fuzzer's work, not the network's, shall take the time
NUMBERS = (0, 1, 2, 3, 31, 32, 33, SIDE - 1, SIDE, SIDE + 1, 2 * SIDE, 3 * SIDE, 4 * SIDE, 255, 256,
           4096, 16384, 16385, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1)
WORDS = ('', ' ', 'RGB8', 'rgb8 ', 'jpeg2000', 'h264', '8UC5', '64FC1', '32FC3', 'bayer_rggb12',
         'mono8\n', '\N{SNOWMAN}' * 40, 'x' * 5000, '%s%n', '../../etc/passwd', *ENCODINGS)
FORMATS = ('', 'jpeg', 'png', 'tiff', 'bmp', 'webp', 'rgb8; jpeg compressed bgr8', ';;;',
           'mono16; png compressed ', 'bayer_rggb8; png compressed', '16UC1; compressedDepth png',
           '32FC1; compressedDepth png', '\N{SNOWMAN}', 'x' * 5000)
STAMPS = (-2**31, -1, 0, 1, 2**31 - 1)


@dataclass(frozen=True)
class Recipe:
    """One message: its fields, and what happens to its bytes on the wire."""

    kind: str  # of KINDS
    stream: str  # visible or thermal
    encoding: str  # or format, or distortion model
    data: bytes
    height: int = SIDE
    width: int = SIDE
    step: int = 0
    is_bigendian: int = 0
    frame_id: str = 'camera'
    stamp: tuple[int, int] | None = None  # its own; None: the right one
    wire: tuple[tuple[int, int], ...] = ()  # (place, byte) overwritten after serialisation
    cut: int | None = None  # bytes left

    def moves_time(self) -> bool:
        """Tell whether its stamp may be any: to the node, a camera whose clock jumps."""
        return bool(self.stamp or self.wire)

    def told(self) -> dict[str, object]:
        """Return it as JSON can hold it."""
        return {**asdict(self), 'data': self.data[:20000].hex()}


def good(kind: str, stream: str, rng: random.Random) -> Recipe:
    """Return the recipe of a frame that must be fused: noise in a usual encoding."""
    if kind == 'info':
        return Recipe(kind, stream, 'plumb_bob', rng.randbytes(21 * 8))
    encoding, channels, size = ('rgb8', 3, 1) if stream == 'visible' else ('mono16', 1, 2)
    data = rng.randbytes(SIDE * SIDE * channels * size)
    if kind == 'raw':
        return Recipe(kind, stream, encoding, data, step=SIDE * channels * size)
    array = np.frombuffer(data, f'u{size}').reshape((SIDE, SIDE, 3)[:2 + (channels > 1)])
    suffix = rng.choice(('.png', '.jpg', '.tiff')) if size == 1 else '.png'
    packed = cv2.imencode(suffix, array)[1].tobytes()
    return Recipe(kind, stream, suffix[1:].replace('jpg', 'jpeg'), packed)


def mutate(recipe: Recipe, rng: random.Random) -> Recipe:
    """Return the recipe with one to three things wrong with it."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        recipe = rng.choice(MUTATIONS)(recipe, rng)
    return recipe


def _number(recipe: Recipe, rng: random.Random) -> Recipe:
    field = rng.choice(('height', 'width', 'step'))
    near = getattr(recipe, field) + rng.choice((-2, -1, 1, 2))
    return replace(recipe, **{field: max(0, rng.choice((*NUMBERS, near, near)) & 0xffffffff)})


def _word(recipe: Recipe, rng: random.Random) -> Recipe:
    return replace(recipe, encoding=rng.choice(FORMATS if recipe.kind == 'compressed' else WORDS))


def _fitting(recipe: Recipe, rng: random.Random) -> Recipe:
    """Another encoding with the step and the data it needs: far in, wrong there."""
    if recipe.kind != 'raw':
        return recipe
    encoding = rng.choice((*ENCODINGS,))
    kind, channels = ENCODINGS[encoding]
    height, width = (rng.choice((32, 33, SIDE, 37, 64)) for _ in range(2))
    step = width * channels * kind.itemsize + rng.choice((0, 0, 1, 2, 3, 16))
    return replace(recipe, encoding=encoding, height=height, width=width, step=step,
                   data=rng.randbytes(step * height))


def _special(recipe: Recipe, rng: random.Random) -> Recipe:
    """Samples that are no numbers, or all the same."""
    value = rng.choice((np.nan, np.inf, -np.inf, 0, 1e38, -1e38, 1e-45, 300.0))
    data = np.full(SIDE * SIDE, value, np.float32)
    data[:rng.choice((0, 0, 1, SIDE * 8))] = 290.0
    return replace(recipe, encoding='32FC1' if recipe.kind == 'raw' else recipe.encoding,
                   height=SIDE, width=SIDE, step=4 * SIDE, data=data.tobytes())


def _data(recipe: Recipe, rng: random.Random) -> Recipe:
    data, how = bytearray(recipe.data), rng.randrange(5)
    place = rng.randrange(len(data) + 1)
    if how == 0:
        data = data[:place]
    elif how == 1:
        data += rng.randbytes(rng.choice((1, 100, 5000)))
    elif how == 2:
        data = bytearray(rng.choice((b'', b'\xff\xd8\xff', b'\x89PNG\r\n\x1a\n', b'II*\0', b'BM',
                                     b'\xff\xd8\xff\xd9'))) + data[place:]
    elif how == 3:
        data[place:place + 4] = rng.choice((0, 1, 2**31, 2**32 - 1)).to_bytes(4, 'big')
    else:
        for _ in range(min(len(data), 8)):
            data[rng.randrange(len(data))] = rng.randrange(256)
    return replace(recipe, data=bytes(data[:200_000]))


def _header(recipe: Recipe, rng: random.Random) -> Recipe:
    how = rng.randrange(3)
    if how == 0:
        return replace(recipe, is_bigendian=rng.choice((0, 1, 2, 255)))
    if how == 1:
        return replace(recipe, frame_id=rng.choice(WORDS))
    return replace(recipe, stamp=(rng.choice(STAMPS), rng.choice((0, 1, 10**9 - 1, 2**32 - 1))))


def _wire(recipe: Recipe, rng: random.Random) -> Recipe:
    if rng.random() < 0.3:
        return replace(recipe, cut=rng.randrange(200))
    # The first bytes hold the encapsulation, the stamp and the lengths.
    return replace(recipe, wire=(*recipe.wire[-8:], (
        rng.randrange(80), rng.choice((0, 1, 127, 128, 255, rng.randrange(256))))))


MUTATIONS = (_number, _number, _word, _fitting, _fitting, _special, _data, _data, _header, _wire)


def message_of(recipe: Recipe, stamp: tuple[int, int]) -> Image | CompressedImage | CameraInfo:
    """Return the message, before anything happens to its bytes."""
    message = KINDS[recipe.kind]()
    message.header.frame_id = recipe.frame_id
    message.header.stamp.sec, message.header.stamp.nanosec = recipe.stamp or stamp
    if recipe.kind == 'compressed':
        message.format = recipe.encoding
        message.data.frombytes(recipe.data)
        return message
    message.height, message.width = recipe.height, recipe.width
    if recipe.kind == 'info':
        message.distortion_model = recipe.encoding
        numbers = np.frombuffer(recipe.data[:len(recipe.data) // 8 * 8], np.float64)
        message.d = numbers[:recipe.step % 1000].tolist()
        message.k[:len(numbers[:9])] = numbers[:9]
        message.p[:len(numbers[9:21])] = numbers[9:21]
        message.binning_x = message.roi.width = recipe.step
        message.roi.x_offset = recipe.height
        return message
    message.encoding, message.step = recipe.encoding, recipe.step
    message.is_bigendian = recipe.is_bigendian
    message.data.frombytes(recipe.data)
    return message


def bytes_of(recipe: Recipe, stamp: tuple[int, int]) -> bytes:
    """Return the message as it goes over the wire: CDR, corrupted where the recipe says so."""
    raw = bytearray(serialize_message(message_of(recipe, stamp)))
    for place, value in recipe.wire:
        raw[place % len(raw)] = value
    return bytes(raw[:recipe.cut])
