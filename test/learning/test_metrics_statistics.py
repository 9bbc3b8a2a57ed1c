# SPDX-License-Identifier: Apache-2.0
"""Figures of one image, against cases that a hand can compute."""

import numpy as np
import pytest

from degfusion_ros.learning import metrics_statistics as m

RAMP = np.tile(np.arange(0, 60, 3, dtype=np.uint8), (20, 1))    # rises by 3 a column
BOARD = (np.indices((16, 16)).sum(axis=0) % 2 * 10).astype(np.uint8)


def test_entropy_counts_bits():
    assert m.entropy(np.full((8, 8), 77, np.uint8)) == 0
    assert m.entropy(np.repeat(np.arange(4, dtype=np.uint8), 16).reshape(8, 8)) == 2
    assert m.entropy(np.arange(256, dtype=np.uint8).reshape(16, 16)) == 8


def test_deviation():
    halves = np.repeat(np.array([0, 100], np.uint8), 32).reshape(8, 8)
    assert m.deviation(halves) == 50


def test_spatial_frequency_and_gradient_of_a_ramp_and_a_board():
    assert m.spatial_frequency(RAMP) == pytest.approx(3)
    assert m.average_gradient(RAMP) == pytest.approx(3 / np.sqrt(2))
    assert m.spatial_frequency(BOARD) == pytest.approx(np.sqrt(200))
    assert m.average_gradient(BOARD) == pytest.approx(10)


def test_spatial_frequency_and_gradient_are_the_formulas_pixel_by_pixel():
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (7, 9), dtype=np.uint8)
    x = image.tolist()
    rows = [(x[i][j + 1] - x[i][j]) ** 2 for i in range(7) for j in range(8)]
    columns = [(x[i + 1][j] - x[i][j]) ** 2 for i in range(6) for j in range(9)]
    assert m.spatial_frequency(image) == pytest.approx(np.sqrt(np.mean(rows) + np.mean(columns)))
    steps = [np.sqrt(((x[i][j + 1] - x[i][j]) ** 2 + (x[i + 1][j] - x[i][j]) ** 2) / 2)
             for i in range(6) for j in range(8)]
    assert m.average_gradient(image) == pytest.approx(np.mean(steps))


def test_entropy_of_an_uneven_histogram():
    image = np.repeat(np.array([3, 8, 200], np.uint8), [8, 4, 4]).reshape(4, 4)
    assert m.entropy(image) == pytest.approx(1.5)


def test_all_rise_with_noise_and_so_choose_nothing():
    noisy = RAMP + np.random.default_rng(0).integers(0, 30, RAMP.shape, dtype=np.uint8)
    for of in (m.entropy, m.deviation, m.spatial_frequency, m.average_gradient):
        assert of(noisy) > of(RAMP)
