# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from degfusion_ros.imaging.mosaic import compose, GAP, HEADER, LINE, PAD, TILE_WIDTH

RED, GREEN, BLUE = ((np.zeros((100, 200, 3), np.uint8) + np.uint8(colour))
                    for colour in ((250, 0, 0), (0, 250, 0), (0, 0, 250)))
GRAY = np.full((100, 200), 128, np.uint8)
HEIGHT = 320  # 640 wide at 2:1


def middle(mosaic, column, row):
    y = row * (HEADER + HEIGHT + GAP) + HEADER + HEIGHT // 2
    return mosaic[y, column * (TILE_WIDTH + GAP) + TILE_WIDTH // 2].tolist()


def test_six_tiles_stand_in_their_places():
    mosaic = compose(RED, GRAY, GREEN, BLUE, GRAY // 2, ['fog 0.7'])
    assert mosaic.dtype == np.uint8 and mosaic.flags.c_contiguous
    assert mosaic.shape == (2 * (HEADER + HEIGHT) + GAP, 3 * TILE_WIDTH + 2 * GAP, 3)
    assert middle(mosaic, 0, 0) == [250, 0, 0] and middle(mosaic, 2, 0) == [0, 250, 0]
    assert middle(mosaic, 1, 0) == [128] * 3 and middle(mosaic, 1, 1) == [64] * 3
    assert middle(mosaic, 0, 1) == [0, 0, 250]
    assert max(middle(mosaic, 2, 1)) < 60  # the text panel is dark


def test_without_restored_pictures_there_is_one_row_and_a_strip():
    lines = ['visible: fog', 'thermal: clean', 'Δt 3 ms']
    mosaic = compose(RED, GRAY, GREEN, lines=iter(lines))
    assert mosaic.shape[0] == HEADER + HEIGHT + GAP + 3 * LINE + PAD
    assert mosaic.shape[0] % 2 == mosaic.shape[1] % 2 == 0  # video encoders want even sides
    assert compose(RED, GRAY, GREEN).shape[0] == HEADER + HEIGHT


def test_captions_and_lines_are_written():
    mosaic = compose(RED, GRAY, GREEN, lines=['fog'])
    for column in range(3):
        left = column * (TILE_WIDTH + GAP)
        assert mosaic[:HEADER, left:left + TILE_WIDTH].max() > 200
    assert mosaic[-LINE - PAD:].max() > 200
    assert not np.array_equal(mosaic, compose(RED, GRAY, GREEN, lines=['fig']))


def test_any_text_fits_and_does_no_harm():
    lines = ['x' * 500, 'Δt 3 ms · 20 °C', '雨', '', 7, *['more'] * 40]
    for restored in (None, BLUE):
        mosaic = compose(RED, GRAY, GREEN, restored, None, lines)
        assert mosaic[:, -8:].max() <= 250 and mosaic.shape[1] == 3 * TILE_WIDTH + 2 * GAP
    wide = compose(RED, GRAY, GREEN, lines=['x' * 500])
    assert wide[-LINE - PAD:, -11:].max() < 60  # shrunk, not cut at the edge


@pytest.mark.parametrize('thermal, value', [
    (np.full((50, 80), 0.5, np.float32), 127), (np.full((50, 80), np.nan, np.float32), 0),
    (np.full((50, 80), 7.0, np.float32), 255), (np.full((50, 80), 200, np.uint8), 200)])
def test_thermal_kinds(thermal, value):
    assert middle(compose(RED, thermal, None), 1, 0) == [value] * 3


def test_16_bit_thermal_is_stretched():
    ramp = np.tile(np.linspace(8000, 8300, 200).astype(np.uint16), (100, 1))
    tile = compose(RED, ramp, None)[HEADER:HEADER + HEIGHT, TILE_WIDTH + GAP:2 * TILE_WIDTH + GAP]
    assert tile.min() < 5 and tile.max() > 250


def test_missing_pictures_leave_dark_tiles():
    mosaic = compose(None, None, None)
    assert mosaic[HEADER:].max() < 60
    assert middle(compose(None, GRAY, None), 1, 0) == [128] * 3
