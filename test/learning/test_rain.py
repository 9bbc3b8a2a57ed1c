# SPDX-License-Identifier: Apache-2.0
"""Rain is of either kind that published sets have, and covers and hides what its docstrings say."""

import cv2
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

from degfusion_ros.learning.rain import drawn_lines, published_rain, rain, stretched_noise
from degfusion_ros.learning.veiled_rain import veiled_rain

MAKERS = (stretched_noise, drawn_lines)


def _grey(level: float, size: int = 240) -> np.ndarray:
    return np.full((size, size, 3), level, np.float32)


def _rain(image: np.ndarray, severity: float, seed: int) -> np.ndarray:
    return published_rain(image, severity, np.random.default_rng(seed)).mean(axis=2)


def _lean(layer: np.ndarray) -> float:
    """Return the streaks' angle from upright by the structure tensor, in radians."""
    dx, dy = cv2.Sobel(layer, cv2.CV_32F, 1, 0), cv2.Sobel(layer, cv2.CV_32F, 0, 1)
    return -0.5 * np.arctan2(2 * (dx * dy).mean(), (dx * dx).mean() - (dy * dy).mean())


@pytest.mark.parametrize('make', MAKERS)
@settings(max_examples=25, deadline=None)
@given(st.floats(0.02, 0.2), st.floats(10, 60), st.floats(-0.7, 0.7), st.floats(1, 4),
       st.integers(0, 99))
def test_layers_stay_in_range_and_cover_about_what_is_asked(make, covered, length, angle, width,
                                                            seed):
    layer = make((300, 400), covered, length, angle, width, np.random.default_rng(seed))
    assert layer.shape == (300, 400) and layer.dtype == np.float32
    assert 0 <= layer.min() and layer.max() <= 1
    assert 0.2 * covered < (layer > 0.15).mean() < 2.5 * covered + 0.01


@pytest.mark.parametrize('make', MAKERS)
@pytest.mark.parametrize('angle', (-0.6, 0.0, 0.4))
def test_streaks_lean_as_asked(make, angle):
    layer = make((400, 400), 0.05, 40, angle, 1.5, np.random.default_rng(1))
    assert _lean(layer) == pytest.approx(angle, abs=0.12)


@pytest.mark.parametrize('make', MAKERS)
def test_rain_fills_the_frame_to_its_borders(make):
    covered = np.zeros((128, 128))
    for seed in range(60):
        covered += make((128, 128), 0.1, 40, 0.3, 1, np.random.default_rng(seed)) > 0.1
    blocks = covered.reshape(4, 32, 4, 32).mean(axis=(1, 3))
    assert blocks.max() < 1.35 * blocks.min()


def test_lines_of_a_plain_generator_are_drawn_in_one_order():
    """What a seed gave in a training, it gives on."""
    rng, twin = np.random.default_rng(5), np.random.default_rng(5)
    layer = drawn_lines((64, 64), 0.1, 20, 0.2, 1, rng)
    count = int(0.1 * 64 * 64 / 20)
    for draw in ('random', 'normal', 'uniform', 'uniform', 'random'):
        getattr(twin, draw)(size=count)
    twin.random(), twin.uniform()
    assert layer.any() and rng.random() == twin.random()


def test_streaks_are_short_in_one_frame_and_long_in_another():
    long = []
    for seed in range(30):
        wet = _rain(_grey(0.2), 0.3, seed)
        streaks = (wet > np.median(wet) + 0.05).astype(np.uint8)
        heights = cv2.connectedComponentsWithStats(streaks)[2][1:, cv2.CC_STAT_HEIGHT]
        long.append(np.percentile(heights, 80) if len(heights) else 0)
    assert max(long) > 3 * np.percentile(long, 10)


def test_streaks_before_a_bright_sky_are_at_times_darker_than_it():
    wet = [_rain(_grey(0.95, 120), 0.6, seed) for seed in range(30)]
    darker = [np.median(x) - np.percentile(x, 1) > 0.05 for x in wet]
    assert 3 < sum(darker) < 27


def test_far_drops_veil_some_frames_darker_some_lighter_and_others_not():
    image = np.concatenate([_grey(0.2, 120), _grey(0.8, 120)])
    between = np.array([[np.median(half) for half in np.split(_rain(image, 0.4, seed), 2)]
                        for seed in range(40)])
    contrast = (between[:, 1] - between[:, 0]) / 0.6
    assert 8 < (contrast > 0.99).sum() < 32 and contrast.min() < 0.9
    assert (between.mean(axis=1) < 0.495).any() and (between.mean(axis=1) > 0.52).any()


def test_a_drop_is_about_as_bright_as_the_scene_around_it_or_brighter():
    lit = [np.percentile(_rain(_grey(0.3), 0.9, seed), 99.5) for seed in range(30)]
    assert min(lit) < 0.5 and max(lit) > 0.75


def test_either_maker_is_drawn():
    image = _grey(0.5, 64)
    same = []
    for seed in range(20):
        wet, (one, other) = rain(image, 0.5, np.random.default_rng(seed)), (
            _drawn(maker, image, seed) for maker in (published_rain, veiled_rain))
        assert (wet == one).all() or (wet == other).all()
        same.append((wet == one).all())
    assert 4 < sum(same) < 16


def _drawn(maker, image: np.ndarray, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rng.random()
    return maker(image, 0.5, rng)
