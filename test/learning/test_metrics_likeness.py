# SPDX-License-Identifier: Apache-2.0
"""Likeness to a source: hand-computed values, other libraries' values, and what must hold."""

import cv2
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest
from samples import A, B, noisy, picture
from skimage.metrics import peak_signal_noise_ratio
import torch
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    structural_similarity_index_measure,
    visual_information_fidelity,
)

from degfusion_ros.learning import metrics_likeness as m
from degfusion_ros.learning.metrics_statistics import entropy


def tensors(*images):
    return [torch.from_numpy(x.astype(np.float64))[None, None] for x in images]


def test_a_copy_scores_the_best():
    assert m.mutual_information(A, A) == pytest.approx(entropy(A))
    assert m.correlation(A, A) == pytest.approx(1)
    assert m.squared_error(A, A) == 0 and m.psnr(0) == 100
    for of in (m.ssim, m.ms_ssim, m.vif):
        assert of(A, A) == pytest.approx(1)


@pytest.mark.parametrize('of', [m.mutual_information, m.correlation, m.ssim, m.ms_ssim, m.vif])
def test_more_noise_scores_lower(of):
    scores = [of(A, noisy(A, sigma)) for sigma in (2, 10, 40)]
    assert scores == sorted(scores, reverse=True) and scores[0] < of(A, A)


def test_mutual_information_of_independent_halves_is_zero():
    rows, columns = np.indices((64, 64)) % 2
    assert m.mutual_information(rows.astype(np.uint8), columns.astype(np.uint8)) == \
        pytest.approx(0, abs=1e-12)
    assert m.mutual_information(rows.astype(np.uint8), (7 * rows).astype(np.uint8)) == 1


def test_mutual_information_of_a_table_of_three_quarters():
    # a one where the other has one, in three pixels of four: H(1/4) + H(1/2) - H(1/4, 1/4, 1/2)
    one, other = (np.array([row] * 8, np.uint8) for row in ([0, 0, 0, 9], [0, 0, 5, 5]))
    expected = 2 - 0.75 * np.log2(3) + 1 - 1.5
    assert m.mutual_information(one, other) == pytest.approx(expected)


def test_correlations_are_numpys():
    far = noisy(B, 30)
    assert m.correlation(A, far) == pytest.approx(np.corrcoef(A.ravel(), far.ravel())[0, 1])
    less = far.astype(float) - B
    assert m.difference_correlation(A, B, far) == pytest.approx(
        np.corrcoef(less.ravel(), A.ravel())[0, 1])
    assert m.difference_correlation(A, B, 255 - A) < -0.3


def test_correlation_ignores_gain_and_sees_a_negative():
    assert m.correlation(A, (A // 2 + 9).astype(np.uint8)) == pytest.approx(1, abs=1e-3)
    assert m.correlation(A, 255 - A) == pytest.approx(-1)
    assert m.correlation(A, np.full_like(A, 9)) == 0


def test_the_sum_of_both_sources_has_all_differences():
    dim_a, dim_b = A // 2, B // 2
    assert m.difference_correlation(dim_a, dim_b, dim_a + dim_b) == pytest.approx(1)
    assert m.difference_correlation(A, B, B) == 0       # nothing of A is in a copy of B


def test_error_and_psnr():
    dark, light = np.zeros((9, 9), np.uint8), np.full((9, 9), 51, np.uint8)
    assert m.squared_error(dark, light) == pytest.approx(0.04)
    assert m.psnr(0.04) == pytest.approx(13.9794)
    other = noisy(A, 10)
    assert m.psnr(m.squared_error(A, other)) == pytest.approx(
        peak_signal_noise_ratio(A, other, data_range=255))


def test_ssim_of_flat_images_is_their_luminance_term():
    dark, light = np.full((176, 176), 100, np.uint8), np.full((176, 176), 150, np.uint8)
    c1 = 2.55 ** 2
    luminance = (2 * 100 * 150 + c1) / (100 ** 2 + 150 ** 2 + c1)
    assert m.ssim(dark, light) == pytest.approx(luminance)
    assert m.ms_ssim(dark, light) == pytest.approx(luminance ** 0.1333)


def test_ssim_is_the_mean_of_wangs_formula_over_whole_windows():
    a, b = A[:23, :29], noisy(A, 20)[:23, :29]
    t = np.arange(11) - 5
    window = np.exp(-(t[:, None] ** 2 + t ** 2) / (2 * 1.5 ** 2))
    window, found = window / window.sum(), []
    for y in range(23 - 10):
        for x in range(29 - 10):
            p, q = (image[y:y + 11, x:x + 11].astype(float) for image in (a, b))
            mp, mq = (window * p).sum(), (window * q).sum()
            vp, vq = (window * (p - mp) ** 2).sum(), (window * (q - mq) ** 2).sum()
            both = (window * (p - mp) * (q - mq)).sum()
            found.append((2 * mp * mq + 2.55 ** 2) * (2 * both + 7.65 ** 2)
                         / ((mp ** 2 + mq ** 2 + 2.55 ** 2) * (vp + vq + 7.65 ** 2)))
    assert m.ssim(a, b) == pytest.approx(np.mean(found), abs=1e-6)


def test_ssim_is_what_torchmetrics_says_up_to_its_borders():
    ours = m.ssim(A, noisy(A, 20))
    theirs = structural_similarity_index_measure(*tensors(noisy(A, 20), A), data_range=255.0)
    assert ours == pytest.approx(float(theirs), abs=0.01)


def test_ms_ssim_is_what_torchmetrics_says_up_to_its_borders():
    for sigma in (5, 30):
        theirs = multiscale_structural_similarity_index_measure(
            *tensors(noisy(A, sigma), A), data_range=255.0, sigma=1.5)
        assert m.ms_ssim(A, noisy(A, sigma)) == pytest.approx(float(theirs), abs=0.005)


def test_vif_is_what_torchmetrics_says():
    a, b = A[:80, :97], B[:80, :97]
    for other in (noisy(a, 10), b, cv2.blur(a, (5, 5)), 255 - a):
        theirs = float(visual_information_fidelity(*tensors(other, a)))
        assert m.vif(a, other) == pytest.approx(theirs, abs=1e-6)


def test_vif_rewards_contrast_and_has_no_value_on_nothing():
    dim = (A // 2).astype(np.uint8)
    assert m.vif(dim, A) > 1 > m.vif(A, dim)
    assert np.isnan(m.vif(np.full_like(A, 50), A))


def test_too_small_images_have_no_value():
    small = picture(0, (48, 36))
    assert np.isnan(m.vif(small, small)) and np.isnan(m.ms_ssim(small, small))
    assert np.isnan(m.ssim(small[:10], small[:10])) and m.ssim(small, small) == pytest.approx(1)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2 ** 16), st.integers(0, 2 ** 16))
def test_both_ways_alike(one, two):
    a, b = picture(one, (60, 72)), picture(two, (60, 72))
    for of in (m.mutual_information, m.correlation, m.squared_error, m.ssim):
        assert of(a, b) == pytest.approx(of(b, a), abs=1e-9)
    assert 0 <= m.mutual_information(a, b) <= min(entropy(a), entropy(b)) + 1e-9
    assert -1 <= m.ssim(a, b) <= 1 and m.vif(a, b) >= 0
