# SPDX-License-Identifier: Apache-2.0
"""The guidance's view: the whole frame in one tile, native detail in the other three."""

import numpy as np
import pytest

from degfusion_ros.imaging.views import guidance_view, SIZE

HALF = SIZE // 2
H, W = 480, 640


def tiles(image):
    """Return the tiles resized, native, left detail and right detail as floats."""
    view = guidance_view(image)
    assert view.shape == (SIZE, SIZE, 3) and view.dtype == np.uint8
    rows = view.astype(float).reshape(2, HALF, 2, HALF, 3).transpose(0, 2, 1, 3, 4)
    return rows.reshape(4, HALF, HALF, 3)


def grey(level=128):
    return np.full((H, W), level, np.uint8)


def noisy(sigma):
    noise = np.random.default_rng(0).normal(0, sigma, (H, W))
    return (grey() + noise).round().clip(0, 255).astype(np.uint8)


def test_the_resized_tile_shows_the_whole_frame_in_its_colours():
    frame = np.zeros((H, W, 3), np.uint8)
    for y in range(4):
        for x in range(4):
            frame[y * H // 4:(y + 1) * H // 4, x * W // 4:(x + 1) * W // 4] = \
                60 * y, 60 * x, 200 - 30 * (x + y)
    whole = tiles(frame)[0]
    cells = whole.reshape(4, HALF // 4, 4, HALF // 4, 3)[:, 4:-4, :, 4:-4]     # off their borders
    middles = frame[H // 8::H // 4, W // 8::W // 4].astype(float)
    assert np.abs(cells - middles[:, None, :, None]).max() < 1


def test_the_native_tiles_are_the_middle_and_both_sides_at_half_height():
    y, x = np.indices((H, W))
    frame = np.dstack([x // 4, y // 2, (x + y) % 97]).astype(np.uint8)
    top, left = (H - HALF) // 2, (W - HALF) // 2
    _, native, _, _ = tiles(frame)
    assert np.array_equal(native, frame[top:top + HALF, left:left + HALF])
    for side, columns in ((2, slice(None, 180)), (3, slice(-180, None))):
        spotted = grey()
        spotted[top:top + HALF, columns] = noisy(10)[top:top + HALF, columns]
        whole = tiles(spotted)
        assert whole[side].std() > 30 and whole[1].std() == whole[5 - side].std() == 0
        spotted[top:top + HALF] = 128       # above and below nobody looks
        spotted[:top], spotted[top + HALF:] = 30, 220
        assert tiles(spotted)[side, 9:-9].std() == 0


@pytest.mark.parametrize('sigma', [4, 12])
def test_noise_survives_in_the_native_tiles_and_not_in_the_resized_one(sigma):
    resized, native, *details = (tile.std() for tile in tiles(noisy(sigma)))
    assert native == pytest.approx(sigma, rel=0.05)
    assert details == pytest.approx([4 * sigma] * 2, rel=0.05)
    assert resized < 0.3 * sigma


def test_stripes_survive_in_the_native_tiles_and_not_in_the_resized_one():
    striped = grey()
    striped[:, ::2] += 10
    jumps = [np.abs(np.diff(tile[..., 0], axis=1)).mean() for tile in tiles(striped)]
    assert jumps[1] == 10 and jumps[2:] == pytest.approx([4 * (10 - 10 / 9)] * 2, abs=4)
    assert jumps[0] < 4


def test_details_are_what_differs_from_the_surroundings_about_mid_grey():
    ramp = np.repeat(np.arange(W)[None] // 4, H, axis=0).astype(np.uint8)
    left, right = tiles(ramp)[2:, :, 9:-9]
    assert np.abs(left - 128).max() <= 4 and np.abs(right - 128).max() <= 4
    dotted = grey(100)
    dotted[H // 2, W // 8] = 120
    _, native, left, _ = tiles(dotted)
    assert left.max() == pytest.approx(128 + 4 * (20 - 20 / 81), abs=4)
    assert native.max() == 100 and left.min() == pytest.approx(128 - 4 * 20 / 81, abs=4)


def test_a_grey_frame_is_shown_as_a_grey_one_and_a_small_one_whole():
    view = guidance_view(noisy(9))
    assert (view == view[..., :1]).all()
    assert np.array_equal(view, guidance_view(np.dstack([noisy(9)] * 3)))
    small = np.zeros((30, 60), np.uint8)
    small[:, 30:] = 200
    whole = tiles(small)[0]
    assert whole[:, :50].max() == 0 and whole[:, -50:].min() == 200
