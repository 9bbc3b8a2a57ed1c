# SPDX-License-Identifier: Apache-2.0
"""Qabf and Nabf: hand-computed values and what must hold."""

import numpy as np
import pytest
from samples import A, AVERAGE, B, noisy

from degfusion_ros.learning.metrics_edges import nabf, qabf

BEST = 0.9994 / (1 + np.exp(-7.5)) * 0.9879 / (1 + np.exp(-4.4))    # both sigmoids at 1
FLAT = np.zeros_like(A)       # any other grey has an edge: to the zeros around the picture


def test_a_copy_of_both_sources_keeps_all_edges():
    assert qabf(A, A, A) == pytest.approx((BEST, BEST, BEST))
    assert nabf(A, A, A) == 0


def test_a_copy_of_one_source_serves_it_alone():
    both, visible, thermal = qabf(A, B, A)
    assert visible == pytest.approx(BEST) and thermal < 0.3 and thermal < both < visible


def test_nothing_is_kept_of_edges_in_a_flat_image():
    assert max(qabf(A, B, FLAT)) < 1e-3 and nabf(A, B, FLAT) == 0
    assert qabf(FLAT, FLAT, A) == (0, 0, 0)


def test_half_an_edge_is_a_point_of_the_strength_curve():
    # both have the edge of the zero border, equally strong relative to their level
    step = np.zeros((40, 40), np.uint8)
    step[:, 20:] = 200
    half = (step // 2).astype(np.uint8)
    expected = 0.9994 / (1 + np.exp(-15 * (0.5 - 0.5))) * 0.9879 / (1 + np.exp(-4.4))
    assert qabf(step, step, half)[0] == pytest.approx(expected)


def test_swapping_the_sources_changes_nothing():
    both, visible, thermal = qabf(A, B, AVERAGE)
    assert qabf(B, A, AVERAGE) == pytest.approx((both, thermal, visible))
    assert nabf(A, B, AVERAGE) == pytest.approx(nabf(B, A, AVERAGE))


def test_noise_is_an_artefact_and_averaging_is_none():
    scores = [nabf(A, B, noisy(AVERAGE, sigma)) for sigma in (0, 10, 40)]
    assert scores[0] < 0.02 < scores[1] < scores[2] < 1


def test_the_swapped_call_can_rank_noise_as_better():
    assert nabf(noisy(AVERAGE, 40), B, A) < nabf(AVERAGE, B, A)
