# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from scenes import errors, warp

from degfusion_ros.imaging.lens import Lens
from degfusion_ros.imaging.plane_fit import fit_affine, fit_plane, residuals

VISIBLE, THERMAL = (640, 512), (320, 256)


def points(back, count=60, noise=0.0, seed=0):
    """Return visible points and where the thermal camera of a warp sees them."""
    rng = np.random.default_rng(seed)
    thermal = rng.random((count, 2)) * THERMAL
    return back.to_thermal(thermal), thermal + rng.normal(0, noise, thermal.shape)


@pytest.mark.parametrize('change', [
    {}, {'k1': 0.12}, {'k1': 0, 'scale': 0.7, 'angle': -8}, {'k1': -0.3, 'shift': (0, 40)}])
def test_exact_points_give_the_exact_warp(change):
    back = warp(VISIBLE, THERMAL, **change)
    plane = fit_plane(*points(back), VISIBLE, THERMAL)
    assert errors(plane, back).max() < 0.1
    assert residuals(plane, *points(back)).max() < 0.05
    assert plane.thermal_lens.distortion[0] == pytest.approx(change.get('k1', -0.15), abs=0.01)


def test_noise_is_averaged_out_and_told_as_residual():
    back = warp(VISIBLE, THERMAL)
    visible, thermal = points(back, 200, 0.25)
    plane = fit_plane(visible, thermal, VISIBLE, THERMAL, noise=0.5)
    assert np.sqrt((errors(plane, back) ** 2).mean()) < 0.3
    # 0.25 thermal pixels a side are 0.25 * 2 / 1.3 visible ones
    assert np.sqrt((residuals(plane, visible, thermal) ** 2).mean()) == pytest.approx(
        0.25 * 2 / 1.3 * np.sqrt(2), rel=0.15)


def test_wrong_points_do_not_pull():
    back = warp(VISIBLE, THERMAL)
    visible, thermal = points(back, 80)
    thermal[:12] += np.random.default_rng(1).normal(0, 40, (12, 2))
    assert errors(fit_plane(visible, thermal, VISIBLE, THERMAL), back).max() < 1


def test_points_on_one_side_do_not_bend_the_other_away():
    back = warp(VISIBLE, THERMAL, k1=0)
    visible, thermal = points(back, 200, 0.5)
    left = visible[:, 0] < 300
    plane = fit_plane(visible[left], thermal[left], VISIBLE, THERMAL, noise=1.0)
    assert errors(plane, back).max() < 12


def test_a_lens_that_is_known_is_kept():
    back = warp(VISIBLE, THERMAL)
    lens = Lens(THERMAL, Lens.guess(THERMAL).matrix, 'plumb_bob', (-0.15, 0.0, 0.0, 0.0))
    plane = fit_plane(*points(back), VISIBLE, THERMAL, thermal_lens=lens)
    assert plane.thermal_lens is lens and errors(plane, back).max() < 0.05
    bare = fit_plane(*points(warp(VISIBLE, THERMAL, k1=0)), VISIBLE, THERMAL, lens=False)
    assert bare.thermal_lens is None


def test_an_affine_map_takes_few_points():
    back = warp(VISIBLE, THERMAL, k1=0)
    assert errors(fit_affine(*points(back, 6), VISIBLE, THERMAL), back).max() < 0.1


@pytest.mark.parametrize('fit', [fit_plane, fit_affine])
def test_points_on_a_line_are_refused(fit):
    line = np.stack([np.arange(10.0), np.arange(10.0)], axis=1)
    with pytest.raises(ValueError, match='on a line'):
        fit(line, line, VISIBLE, THERMAL)
