# SPDX-License-Identifier: Apache-2.0
"""The table of metrics, the worst source and the published variants."""

import cv2
import numpy as np
import pytest
from samples import A, AVERAGE, B, noisy

from degfusion_ros.learning import (
    metrics,
    metrics_edges as edges,
    metrics_likeness as likeness,
    metrics_statistics as statistics,
)
from degfusion_ros.learning.metrics_warmth import hot


def test_every_figure_is_there_and_the_worst_source_is_the_worst():
    told = metrics.measure(AVERAGE, A, B)
    each = {f'{n}_{side}' for n in metrics.BOTH_SOURCES for side in metrics.SIDES}
    worst = {metrics.worst(n) for n in metrics.BOTH_SOURCES}
    assert set(told) == {*metrics.METRICS, *each, *worst}
    for name in metrics.BOTH_SOURCES:
        sides = [told[f'{name}_{side}'] for side in metrics.SIDES]
        assert told[metrics.worst(name)] == (max(sides) if name == 'MSE' else min(sides))
    assert told['VIF'] == pytest.approx(told['VIF_visible'] + told['VIF_thermal'])
    assert told['SSIM'] == pytest.approx((told['SSIM_visible'] + told['SSIM_thermal']) / 2)
    assert told['PSNR'] == pytest.approx(-10 * np.log10(told['MSE']))


def test_every_name_is_the_measure_of_that_name():
    fused = noisy(AVERAGE, 10)
    told = metrics.measure(fused, A, B)
    for name, of in (('EN', statistics.entropy), ('SD', statistics.deviation),
                     ('SF', statistics.spatial_frequency), ('AG', statistics.average_gradient)):
        assert told[name] == of(fused), name
    for name, of, joined in (
            ('MI', likeness.mutual_information, sum), ('VIF', likeness.vif, sum),
            ('CC', likeness.correlation, np.mean), ('SSIM', likeness.ssim, np.mean),
            ('MSE', likeness.squared_error, np.mean), ('MS_SSIM', likeness.ms_ssim, np.mean)):
        each = [of(A, fused), of(B, fused)]
        assert [told[f'{name}_visible'], told[f'{name}_thermal']] == each, name
        assert told[name] == pytest.approx(joined(each)), name
    assert told['PSNR_thermal'] == likeness.psnr(likeness.squared_error(B, fused))
    # what is left without one source, beside the other
    differences = {'visible': (fused - B.astype(float), A), 'thermal': (fused - A.astype(float), B)}
    for side, (left, source) in differences.items():
        assert told[f'SCD_{side}'] == pytest.approx(likeness.correlation(left, source))
    assert told['SCD'] == pytest.approx(told['SCD_visible'] + told['SCD_thermal'])
    assert (told['Qabf'], told['Qabf_visible'], told['Qabf_thermal']) == edges.qabf(A, B, fused)
    assert told['Nabf'] == edges.nabf(A, B, fused)
    assert told['Nabf_swapped'] == edges.nabf(fused, B, A)
    assert told['hot'] == hot(B, fused) != hot(A, fused)


def test_copying_one_source_wins_a_sum_and_loses_the_worst():
    copy, shared = metrics.measure(A, A, B), metrics.measure(AVERAGE, A, B)
    for name in ('VIF', 'SSIM', 'MS_SSIM', 'CC'):
        assert copy[f'{name}_visible'] > shared[f'{name}_visible']
        assert copy[f'{name}_min'] < shared[f'{name}_min']


def test_published_psnr_is_24_db_and_half_the_true_one():
    told = metrics.measure(noisy(AVERAGE, 10), A, B)
    assert told['PSNR_published'] == pytest.approx(
        10 * np.log10(255 / np.sqrt(told['MSE'])))
    assert told['PSNR_published'] == pytest.approx(24.0654 + told['PSNR'] / 2, abs=1e-4)


def test_colour_is_measured_on_its_luma():
    colour = np.dstack([A, B, AVERAGE])
    luma = cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY)
    assert metrics.measure(colour, A, B) == metrics.measure(luma, A, B)


@pytest.mark.parametrize('key, direction', [('VIF_min', 1), ('MSE_max', -1), ('Nabf', -1),
                                            ('EN', 0), ('CC_thermal', 1)])
def test_where_the_best_is(key, direction):
    assert metrics.better(key) == direction


def test_unlike_images_are_refused():
    with pytest.raises(ValueError, match='sizes'):
        metrics.measure(A, A[:-1], B)
    with pytest.raises(ValueError, match='float32'):
        metrics.measure(A.astype(np.float32), A, B)
