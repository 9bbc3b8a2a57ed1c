# SPDX-License-Identifier: Apache-2.0
"""Every kind of image over real topics, and the pixels the fuser then gets."""

import cv2
from flow import FUSED
import numpy as np
import pytest
from rclpy.parameter import Parameter
from rig import EchoFuser, frame, header, PERIOD, wait_for
from sensor_msgs.msg import CompressedImage, Image

SIZE = (64, 80)
RAMP = np.linspace(0, 1, SIZE[0] * SIZE[1]).reshape(SIZE)
GRAY = (RAMP * 255).astype(np.uint8)
RGB = np.dstack([GRAY, GRAY // 2 + 60, 255 - GRAY])
COUNTS = (8000 + RAMP * 1000).astype(np.uint16)
KELVIN = (280 + RAMP * 40).astype(np.float32)


def message(array, encoding, padding=0, bigendian=False):
    """Write an image row by row, as a driver with its own ideas of layout would."""
    rows = array.astype(array.dtype.newbyteorder('>' if bigendian else '<'))
    made = frame(np.zeros((2, 2), np.uint8), 'mono8')
    made.height, made.width = array.shape[:2]
    made.step = array[0].nbytes + padding
    made.data = b''.join(row.tobytes() + b'\x7f' * padding for row in rows)
    made.encoding, made.is_bigendian = encoding, int(bigendian)
    return made


def yuv(luma_first):
    """Return gray as 4:2:2, which keeps luma within 16 to 235: neutral chroma."""
    pair = [(16 + RAMP * 219).astype(np.uint8), np.full(SIZE, 128, np.uint8)]
    return np.dstack(pair if luma_first else pair[::-1])


def mosaic(pattern):
    """Return one colour as a sensor sees it through its filter."""
    values = dict(zip('rgb', (200, 90, 30)))
    cell = np.uint8([[values[c] for c in pattern[:2]], [values[c] for c in pattern[2:]]])
    return np.tile(cell, (SIZE[0] // 2, SIZE[1] // 2))


FLAT = np.zeros((*SIZE, 3), np.uint8) + np.uint8((200, 90, 30))
GRAYS = np.dstack([GRAY] * 3)
VISIBLE = [
    (message(RGB, 'rgb8'), RGB), (message(RGB, 'rgb8', padding=5), RGB),
    (message(RGB[..., ::-1], 'bgr8', padding=2), RGB),
    (message(np.dstack([RGB, GRAY]), 'rgba8'), RGB),
    (message(np.dstack([RGB[..., ::-1], GRAY]), 'bgra8'), RGB),
    (message(GRAY, 'mono8'), GRAYS), (message(GRAY, '8UC1'), GRAYS),
    (message(GRAY.astype(np.uint16) * 257, 'mono16', bigendian=True), GRAYS),
    (message(RGB.astype(np.uint16) * 257, 'rgb16'), RGB),
    (message(yuv(False), 'yuv422'), GRAYS), (message(yuv(True), 'yuv422_yuy2'), GRAYS),
    *[(message(mosaic(p), f'bayer_{p}8'), FLAT) for p in ('rggb', 'bggr', 'gbrg', 'grbg')]]


def with_dead_pixels():
    picture = KELVIN.copy()
    picture[3, 4], picture[30, 40], picture[60, 70] = np.nan, np.inf, -np.inf
    return picture


COUNTED = {'thermal.window': [8000.0, 9000.0]}
WARM = {'thermal.window': [280.0, 320.0]}
THERMAL = [
    (message(GRAY, 'mono8'), {}), (message(GRAY, '8UC1', padding=3), {}),
    (message(COUNTS, 'mono16'), COUNTED), (message(COUNTS, '16UC1', padding=6), COUNTED),
    (message(COUNTS, 'mono16', bigendian=True), COUNTED),
    (message(KELVIN, '32FC1'), WARM), (message(KELVIN, '32FC1', bigendian=True), WARM),
    (message((KELVIN - 273.15).astype(np.float32), '32FC1'),
     {'thermal.window': [6.85, 46.85]}),
    (message(with_dead_pixels(), '32FC1'), WARM),
    (message(np.vstack([np.full((2, 80), 65535, np.uint16), COUNTS]), 'mono16'),
     COUNTED | {'thermal.crop_top_px': 2}),
    (message(17000 - COUNTS, 'mono16'), COUNTED | {'thermal.invert': True}),
    (message((RAMP * 16383).astype(np.uint16), '16UC1'), {'thermal.sensor_bits': 14}),
    (message(COUNTS, 'mono16'), {'thermal.percentile': [0.0, 100.0]})]
PLAIN = {'thermal.window': [0.0, 0.0], 'thermal.percentile': [1.0, 99.0], 'thermal.invert': False,
         'thermal.crop_top_px': 0, 'thermal.sensor_bits': 0}


@pytest.fixture
def sent(start, peer):
    """Return a function that sends a pair through a node and returns what its fuser got."""
    fuser, number = EchoFuser(), [0]

    def sent(visible, thermal, kinds=(Image, Image), parameters=None):
        if not number[0]:
            names = {Image: 'raw', CompressedImage: 'compressed'}
            sent.node = start(fuser, {f'input.{stream}.transport': names[kind]
                                      for stream, kind in zip(('visible', 'thermal'), kinds)})
            sent.heard = peer.listen(FUSED, Image)
        given = [Parameter(name, value=v) for name, v in (PLAIN | (parameters or {})).items()]
        assert sent.node.do(sent.node.node.set_parameters_atomically, given).successful
        number[0] += 1
        for stream, item, kind in zip(('visible', 'thermal'), (visible, thermal), kinds):
            item.header = header(number[0] * PERIOD)
            topic = f'{stream}/image_raw' + '/compressed' * (kind is CompressedImage)
            peer.camera(topic, kind).publish(item)
        wait_for(lambda: len(sent.heard) == number[0], f'pair {number[0]} fused')
        return fuser.fused[-1][:2]

    return sent


def test_raw_images_of_every_kind(sent):
    thermal = message(GRAY, 'mono8')
    for made, expected in VISIBLE:
        picture, _ = sent(made, thermal)
        inner = np.s_[2:-2, 2:-2]  # a mosaic's border is guessed
        np.testing.assert_allclose(picture[inner].astype(int), expected[inner], atol=2,
                                   err_msg=made.encoding)
    for made, parameters in THERMAL:
        _, heat = sent(VISIBLE[0][0], made, parameters=parameters)
        alive = ~np.isin(np.arange(RAMP.size), (3 * 80 + 4, 30 * 80 + 40, 60 * 80 + 70))
        np.testing.assert_allclose(heat.ravel()[alive], RAMP.ravel()[alive], atol=0.005,
                                   err_msg=f'{made.encoding} {parameters}')
        assert np.isfinite(heat).all() and heat.dtype == np.float32


def packed(extension, picture, form):
    return CompressedImage(format=form, data=cv2.imencode(extension, picture)[1].tobytes())


def test_compressed_images_of_both_cameras(sent):
    kinds = CompressedImage, CompressedImage
    for extension, tolerance in (('.png', 1e-3), ('.jpg', 12)):
        form = {'.png': 'png', '.jpg': 'jpeg'}[extension]
        visible = packed(extension, RGB[..., ::-1], f'rgb8; {form} compressed bgr8')
        picture, heat = sent(visible, packed(extension, GRAY, f'mono8; {form} compressed '), kinds)
        assert np.abs(picture.astype(int) - RGB).mean() <= tolerance
        assert np.abs(heat * 255 - GRAY).mean() <= tolerance
    whole = packed('.png', COUNTS, '16UC1; png compressed ')
    _, heat = sent(visible, whole, kinds, COUNTED)
    np.testing.assert_allclose(heat, (COUNTS - 8000.0) / 1000, atol=1e-6)  # all 16 bits
