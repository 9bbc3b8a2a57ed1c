# SPDX-License-Identifier: Apache-2.0
"""The pairs that `calibrate` works on, from two folders or a bag, as gray pictures."""

from pathlib import Path
import sys

import cv2
import numpy as np

from degfusion_ros import bags
from degfusion_ros.imaging import encodings
from degfusion_ros.imaging.calibration import CalibrationError
from degfusion_ros.imaging.errors import FrameError
from degfusion_ros.imaging.picture_file import read_picture, read_thermal
from degfusion_ros.imaging.thermal import ThermalScaler
from degfusion_ros.learning.pairs import find_pairs

Pairs = list[tuple[np.ndarray, np.ndarray]]


def from_folders(visible: Path, thermal: Path, count: int, crop: tuple[int, int],
                 one_size: bool = True) -> Pairs:
    """
    Return up to `count` pairs with the same file stem, spread evenly, as uint8 HxW.

    crop: telemetry rows to cut off the top and the bottom of thermal pictures. one_size: refuse
    pictures of several sizes. Raise DataError, PictureError, CalibrationError.
    """
    found = find_pairs(visible, thermal)
    pairs = []
    for stem in _spread(list(found), count):
        gray = read_picture(found[stem][0], cv2.IMREAD_GRAYSCALE)
        try:
            heat = _scaled(read_thermal(found[stem][1]), crop)
        except FrameError as error:
            raise CalibrationError(f'{found[stem][1]}: {error}; or take it away') from error
        pairs.append(_pair(stem, gray, heat, pairs[:one_size]))
    return pairs


def from_bag(bag: Path, topics: tuple[str, str], count: int, crop: tuple[int, int],
             max_dt_s: float) -> Pairs:
    """
    Return up to `count` pairs of nearest stamps, spread evenly over a bag, as uint8 HxW.

    topics: the visible and the thermal image topic. max_dt_s: how far apart a pair's stamps may
    be. A frame that cannot be used costs its pair alone and is told on stderr. Raise BagError,
    CalibrationError.
    """
    stamps: dict[str, list[int]] = {topic: [] for topic in topics}
    for message in bags.read(bag, list(topics)):
        found = stamps[message.topic]
        try:
            found.append(bags.stamp_ns(message.raw))
        except bags.BagError as error:
            _skip(bag, message.topic, len(found), error)
            found.append(0)
    near = _nearest(*(np.array(stamps[topic]) for topic in topics), max_dt_s)
    if not near:
        raise CalibrationError(f'{bag}: no two frames of {" and ".join(topics)} are within '
                               f'{max_dt_s} s: check the stamps, or raise --max-dt-s')
    wanted = _spread(near, count)
    needed = [{pair[side] for pair in wanted} for side in (0, 1)]
    seen, pictures = [0, 0], ({}, {})
    for message in bags.read(bag, list(topics)):
        side = topics.index(message.topic)
        if seen[side] in needed[side]:
            try:
                pictures[side][seen[side]] = _decoded(message, side, crop)
            except (FrameError, bags.BagError) as error:
                _skip(bag, message.topic, seen[side], error)
        seen[side] += 1
    pairs: Pairs = []
    for there, here in wanted:
        if there in pictures[0] and here in pictures[1]:
            pairs.append(_pair(f'{bag}, frame {there}', pictures[0][there], pictures[1][here],
                               pairs))
    if not pairs:
        raise CalibrationError(f'{bag}: of each of the {len(wanted)} pairs a frame was left out, '
                               'as told above: nothing to calibrate by')
    return pairs


def _skip(bag, topic, number, error) -> None:
    print(f'calibrate: {bag}: {topic}: frame {number} is left out: '
          f'{" ".join(str(error).split())}', file=sys.stderr)


def _spread(items, count):
    """Return `count` items evenly spaced, all if there are fewer."""
    picked = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[index] for index in picked]


def _nearest(visible, thermal, max_dt_s) -> list[tuple[int, int]]:
    """Return the indices of frames whose stamps (ns) are nearest and near enough; 0 is none."""
    if not thermal.size:
        return []
    found = [(index, int(np.abs(thermal - stamp).argmin())) for index, stamp in enumerate(visible)]
    return [(index, other) for index, other in found
            if min(visible[index], thermal[other]) > 0
            and abs(thermal[other] - visible[index]) <= max_dt_s * 1e9]


def _decoded(message, side, crop) -> np.ndarray:
    frame = bags.deserialize(message.raw, message.msgtype)
    if message.msgtype == bags.IMAGE:
        encoding = frame.encoding
        array = encodings.decode(frame.data, frame.height, frame.width, frame.step, encoding,
                                 bool(frame.is_bigendian))
    else:
        array, encoding = encodings.decode_compressed(frame.data, frame.format)
    if side == 1:
        return _scaled(encodings.to_thermal(array, encoding), crop)
    return cv2.cvtColor(encodings.to_visible(array, encoding), cv2.COLOR_RGB2GRAY)


def _scaled(heat, crop) -> np.ndarray:
    scaled = ThermalScaler(smoothing=0, crop_top=crop[0], crop_bottom=crop[1])(heat)
    return (255 * scaled).round().astype(np.uint8)


def _pair(name, visible, thermal, before) -> tuple[np.ndarray, np.ndarray]:
    """Return both pictures, of the size of those before."""
    pair = visible, thermal
    for picture, first in zip(pair, before[0] if before else pair):
        if picture.shape != first.shape:
            raise CalibrationError(f'{name}: a picture of {picture.shape[1]}x{picture.shape[0]} '
                                   f'among others of {first.shape[1]}x{first.shape[0]}: give '
                                   'pairs of one camera')
    return pair
