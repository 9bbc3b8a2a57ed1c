# SPDX-License-Identifier: Apache-2.0
"""Pairs of image files: finding them in two folders and reading them."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from degfusion_ros.imaging.errors import FrameError
from degfusion_ros.imaging.picture_file import PictureError, read_picture, read_rgb
from degfusion_ros.imaging.thermal import ThermalScaler

SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff')


class DataError(ValueError):
    """A folder of pairs that cannot be used; the message names it and says why."""


class Border(NamedTuple):
    """A frame of `px` pixels that a publisher drew around images of `width` x `height`."""

    width: int
    height: int
    px: int


@dataclass(frozen=True)
class Pair:
    """One visible-thermal pair on disk; no two of a dataset share a `name`."""

    name: str
    visible: Path
    thermal: Path
    split: str = ''     # train, val or test as published; empty where nobody divided the set
    folder: str = ''    # where it was found, relative to the root
    border: Border | None = None
    sequence: str = ''  # the video that it is a frame of, where the dataset tells


def images_in(folder: Path) -> dict[str, Path]:
    """Return the images of a folder by file stem, in order of name."""
    return {p.stem: p for p in sorted(Path(folder).iterdir()) if p.suffix.lower() in SUFFIXES}


def find_pairs(visible: Path, thermal: Path) -> dict[str, tuple[Path, Path]]:
    """Match the images of two folders by file stem; raises DataError when none match."""
    for folder in (visible, thermal):
        if not Path(folder).is_dir():
            raise DataError(f'{folder}: no such folder of images')
    seen, heat = images_in(visible), images_in(thermal)
    both = {stem: (path, heat[stem]) for stem, path in seen.items() if stem in heat}
    if not both:
        raise DataError(f'{visible} and {thermal}: no two images share a file stem')
    return both


def read(pair: Pair) -> tuple[np.ndarray, np.ndarray]:
    """
    Return a pair as uint8 HxWx3 RGB and uint8 HxW, its published border cut off.

    Thermal images of more than 8 bits are scaled by their own 1st and 99th percentile. Raises
    DataError naming the file that cannot be read or has no partner of its size.
    """
    try:
        rgb, heat = read_rgb(pair.visible), read_picture(pair.thermal, cv2.IMREAD_ANYDEPTH)
    except PictureError as error:
        raise DataError(str(error)) from error
    if heat.dtype != np.uint8:
        try:
            heat = (ThermalScaler()(heat) * 255 + 0.5).astype(np.uint8)
        except FrameError as error:
            raise DataError(f'{pair.thermal}: {error}') from error
    if rgb.shape[:2] != heat.shape:
        raise DataError(f'{pair.visible}: {rgb.shape[1]}x{rgb.shape[0]}, but its thermal '
                        f'partner is {heat.shape[1]}x{heat.shape[0]}; pairs must be aligned')
    return _cut(rgb, pair.border), _cut(heat, pair.border)


def _cut(image: np.ndarray, border: Border | None) -> np.ndarray:
    # Copies without the border are about, too: only images of the published size have one.
    if border is None or image.shape[:2] != (border.height, border.width):
        return image
    return np.ascontiguousarray(image[border.px:-border.px, border.px:-border.px])
