# SPDX-License-Identifier: Apache-2.0
"""Put inputs, fused and restored images and their labels into one picture to look at."""

from collections.abc import Iterable

import cv2
import numpy as np

TILE_WIDTH = 640
HEADER = 30  # pixels, the strip with a tile's caption
GAP = 4  # pixels between tiles
LINE = 26  # pixels from one text line to the next
PAD = 14  # pixels of a text panel beyond its lines
_STRIP, _DARK, _INK, _SOFT = (32, 36, 42), (18, 20, 24), (236, 240, 244), (190, 198, 206)
_FONT = cv2.FONT_HERSHEY_DUPLEX
_PLAIN = str.maketrans({'Δ': 'd', '°': ' ', '–': '-', '—': '-', '·': '|', '×': 'x', '→': '>'})


def compose(visible: np.ndarray | None, thermal: np.ndarray | None, fused: np.ndarray | None,
            visible_restored: np.ndarray | None = None,
            thermal_restored: np.ndarray | None = None,
            lines: Iterable[str] = ()) -> np.ndarray:
    """
    Return a uint8 RGB mosaic: visible, thermal and fused, below them the restored and the text.

    Pictures are HxWx3 RGB or HxW, uint8, uint16 (stretched) or float32 in [0, 1]; None leaves a
    dark tile. All tiles are 640 wide and have the shape of the first picture given. Without
    restored pictures the text stands in a strip below one row.
    """
    top = [('visible', visible), ('thermal', thermal), ('fused', fused)]
    below = [('visible restored', visible_restored), ('thermal restored', thermal_restored)]
    pictures = [picture for _, picture in top + below if picture is not None]
    shape = pictures[0].shape if pictures else (480, 640)
    height = max(64, round(TILE_WIDTH * shape[0] / shape[1] / 2) * 2)
    rows = [_row([_tile(caption, picture, height) for caption, picture in top])]
    lines = [str(line) for line in lines]
    if visible_restored is not None or thermal_restored is not None:
        tiles = [_tile(caption, picture, height) for caption, picture in below]
        rows.append(_row([*tiles, _panel(lines, TILE_WIDTH, height + HEADER)]))
    elif lines:
        width = rows[0].shape[1]
        rows.append(_panel(lines, width, LINE * len(lines) + PAD))
    gap = np.full((GAP, rows[0].shape[1], 3), _DARK, np.uint8)
    return np.vstack([part for row in rows for part in (gap, row)][1:])


def _row(tiles):
    gap = np.full((tiles[0].shape[0], GAP, 3), _DARK, np.uint8)
    return np.hstack([part for tile in tiles for part in (gap, tile)][1:])


def _tile(caption, picture, height):
    tile = np.full((HEADER + height, TILE_WIDTH, 3), _STRIP, np.uint8)
    _write(tile, caption, 12, 21, 0.6, _INK)
    tile[HEADER:] = _DARK if picture is None else _displayed(picture, height)
    return tile


def _displayed(picture, height):
    """Return a picture as uint8 RGB of the tile's size."""
    if picture.dtype == np.uint16:
        picture = cv2.normalize(picture, None, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U)
    elif picture.dtype != np.uint8:
        picture = (np.clip(np.nan_to_num(picture), 0, 1) * 255).astype(np.uint8)
    shrinks = picture.shape[1] > TILE_WIDTH
    picture = cv2.resize(picture, (TILE_WIDTH, height),
                         interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return picture if picture.ndim == 3 else cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB)


def _panel(lines, width, height):
    """Return a dark panel with the lines that fit."""
    panel = np.full((height, width, 3), _STRIP, np.uint8)
    for index, line in enumerate(lines[:max(1, (height - PAD) // LINE)]):
        _write(panel, line, 12, LINE * (index + 1), 0.6, _INK if index == 0 else _SOFT)
    return panel


def _write(image, text, x, y, scale, colour):
    """Write one line, smaller where it would not fit; the font holds ASCII alone."""
    text = text.translate(_PLAIN).encode('ascii', 'replace').decode()
    width = cv2.getTextSize(text, _FONT, scale, 1)[0][0]
    scale *= min(1.0, (image.shape[1] - 2 * x) / max(1, width))
    cv2.putText(image, text, (x, y), _FONT, scale, colour, 1, cv2.LINE_AA)
