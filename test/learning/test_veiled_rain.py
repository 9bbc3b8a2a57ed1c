# SPDX-License-Identifier: Apache-2.0
"""Veiled rain: dashes and threads that cover as much, and a veil darker or lighter than a scene."""

import cv2
import numpy as np

from degfusion_ros.learning.veiled_rain import veiled_rain


def _rain(image: np.ndarray, severity: float, seed: int) -> np.ndarray:
    return veiled_rain(image, severity, np.random.default_rng(seed)).mean(axis=2)


def test_rain_comes_in_dashes_and_in_threads_but_covers_as_much():
    grey = np.full((240, 240, 3), 0.3, np.float32)
    covered, long = [], []
    for seed in range(30):
        streaks = (_rain(grey, 0.6, seed) > 0.42).astype(np.uint8)
        heights = cv2.connectedComponentsWithStats(streaks)[2][1:, cv2.CC_STAT_HEIGHT]
        covered.append(streaks.mean())
        long.append(np.percentile(heights, 80) if len(heights) else 0)
    assert max(long) > 3 * np.percentile(long, 10)
    assert abs(np.corrcoef(covered, long)[0, 1]) < 0.7


def test_rain_is_of_threads_a_pixel_or_two_wide_or_of_soft_drops():
    grey, thin, steep = np.full((240, 240, 3), 0.3, np.float32), [], []
    for seed in range(40):
        wet = _rain(grey, 0.25, seed)
        streaks = (wet > np.median(wet) + 0.05).astype(np.uint8)
        stats = cv2.connectedComponentsWithStats(streaks)[2][1:]
        long = stats[stats[:, cv2.CC_STAT_HEIGHT] > 10]
        if len(long) > 5:
            across = long[:, cv2.CC_STAT_AREA] / long[:, cv2.CC_STAT_HEIGHT]
            thin.append(np.median(across))
            steep.append(np.median(long[:, cv2.CC_STAT_WIDTH] / long[:, cv2.CC_STAT_HEIGHT]))
    assert min(thin) < 1.6 and max(thin) > 2.6
    assert min(steep) < 0.2 and max(steep) > 0.4     # one slant a frame, another in the next


def test_rain_fills_the_frame_to_its_borders():
    grey, covered = np.full((128, 128, 3), 0.2, np.float32), np.zeros((128, 128))
    for seed in range(80):
        wet = _rain(grey, 0.8, seed)
        covered += wet > wet.min() + 0.05
    blocks = covered.reshape(4, 32, 4, 32).mean(axis=(1, 3))
    assert blocks.max() < 1.2 * blocks.min()


def test_rains_veil_is_at_times_darker_than_the_scene_and_at_times_lighter():
    grey = np.full((120, 120, 3), 0.5, np.float32)
    between = [np.median(_rain(grey, 0.5, seed)) - 0.5 for seed in range(30)]
    assert min(between) < -0.01 and max(between) > 0.02


def test_streaks_before_a_bright_sky_are_at_times_darker_than_it():
    sky = np.full((120, 120, 3), 0.95, np.float32)
    wet = [_rain(sky, 0.6, seed) for seed in range(30)]
    darker = [np.median(x) - np.percentile(x, 1) > 0.05 for x in wet]
    assert 3 < sum(darker) < 27
