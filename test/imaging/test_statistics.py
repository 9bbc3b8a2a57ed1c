# SPDX-License-Identifier: Apache-2.0
"""What frames measure: finite for any frame, steady under mirroring, and moved by what counts."""

from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

from degfusion_ros.imaging.statistics import (
    COUNT,
    pair_statistics,
    thermal_statistics,
    VISIBLE_COUNT,
    visible_statistics,
)


def _scene(height: int = 240, width: int = 320, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    cells = rng.integers(30, 220, (height // 20, width // 20, 3))
    return np.repeat(np.repeat(cells, 20, axis=0), 20, axis=1).astype(np.uint8)


@settings(max_examples=25, deadline=None)
@given(st.integers(32, 90), st.integers(32, 90), st.sampled_from([0, 7, 255]), st.booleans())
def test_every_frame_measures_finite_numbers(height, width, level, noisy):
    visible = np.full((height, width, 3), level, np.uint8)
    if noisy:
        visible = np.random.default_rng(level).integers(0, 256, visible.shape, dtype=np.uint8)
    found = pair_statistics(visible, visible[..., 0])
    assert found.shape == (COUNT,) and found.dtype == np.float32
    assert np.isfinite(found).all() and np.abs(found).max() < 300


def test_the_visible_frame_comes_first():
    scene = _scene()
    found = pair_statistics(scene, scene[..., 1])
    np.testing.assert_array_equal(found[:VISIBLE_COUNT], visible_statistics(scene))
    np.testing.assert_array_equal(found[VISIBLE_COUNT:], thermal_statistics(
        np.ascontiguousarray(scene[..., 1])))


@pytest.mark.parametrize('width', [320, 336])
def test_a_mirrored_scene_measures_about_the_same(width):
    scene = _scene(width=width)
    here, there = (thermal_statistics(np.ascontiguousarray(x[..., 0]))
                   for x in (scene, scene[:, ::-1]))
    assert np.abs(here - there).mean() < 0.25


def test_stripes_move_the_thermal_numbers_far_more_than_chance():
    scene = _scene()[..., 0].astype(np.float32)
    rng = np.random.default_rng(3)

    def seen(extra):
        return thermal_statistics((scene + extra).clip(0, 255).astype(np.uint8))
    noise = rng.normal(0, 3, scene.shape)
    again, striped = seen(rng.normal(0, 3, scene.shape)), seen(noise + rng.normal(0, 8, (1, 320)))
    first = seen(noise)
    assert np.abs(striped - first).max() > 3 > 4 * np.abs(again - first).mean()
