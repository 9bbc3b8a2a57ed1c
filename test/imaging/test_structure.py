# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest
from scenes import scene

from degfusion_ros.imaging.structure import Agreement, edges, power, sums

PICTURE = scene(np.random.default_rng(0), (160, 128))[1]


def test_edges_are_the_same_whichever_side_is_bright():
    np.testing.assert_allclose(edges(PICTURE), edges(255 - PICTURE), atol=1e-4)


@pytest.mark.parametrize('factor', [0.01, 40.0])
def test_edges_do_not_depend_on_the_unit(factor):
    np.testing.assert_allclose(edges(PICTURE), edges(PICTURE * factor), atol=1e-2)


def test_edges_are_weak_where_there_is_nothing_and_never_long():
    assert np.abs(edges(np.full((40, 50), 7, np.uint8))).max() == 0
    assert 0.3 < power(edges(PICTURE)).max() < 1


def test_a_turned_edge_is_another():
    upright = np.zeros((64, 64), np.uint8)
    upright[:, 32:] = 200
    there, turned = edges(upright)[32, 32], edges(upright.T)[32, 32]
    assert there @ turned < -0.1


@given(st.integers(1, 20), st.integers(1, 30))
@settings(max_examples=30, deadline=None)
def test_sums_are_those_of_every_window(down, across):
    image = np.random.default_rng(down).random((20, 30)).astype(np.float32)
    found = sums(image, (down, across))
    assert found.shape == (21 - down, 31 - across)
    assert found[0, 0] == pytest.approx(image[:down, :across].sum(), rel=1e-4)
    assert found[-1, -1] == pytest.approx(image[20 - down:, 30 - across:].sum(), rel=1e-4)


@given(st.integers(-8, 8), st.integers(-8, 8), st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_the_peak_is_the_shift(dx, dy, frames):
    agreement = Agreement(10)
    for number in range(frames):
        there, here = (edges(p) for p in scene(np.random.default_rng(number), (160, 128)))
        agreement.add(np.roll(there, (-dy, -dx), (0, 1))[20:-20, 20:-20], here[10:-10, 10:-10])
    peak = agreement.peak()
    assert (peak.dx, peak.dy) == pytest.approx((dx, dy), abs=0.6)
    assert peak.lead > 0.05 and peak.score <= 1.001
    assert agreement.surface().shape == (21, 21)


def test_half_a_pixel_is_told():
    fine = edges(np.repeat(np.repeat(PICTURE, 2, 0), 2, 1))
    agreement = Agreement(6)
    agreement.add(fine[20:-20:2, 21:-19:2], fine[8:-8:2, 8:-8:2])
    assert agreement.peak().dx == pytest.approx(0.5, abs=0.2)
    assert agreement.peak().dy == pytest.approx(0, abs=0.2)


def test_older_frames_fade():
    there, here = edges(PICTURE), np.roll(edges(PICTURE), 5, 1)
    agreement = Agreement(10)
    for field in (there, here, here, here):
        agreement.add(there[20:-20, 20:-20], field[10:-10, 10:-10], keep=0.3)
    assert agreement.peak().dx == pytest.approx(5, abs=0.3)
    agreement.clear()
    agreement.add(there[20:-20, 20:-20], there[10:-10, 10:-10])
    assert agreement.peak().dx == pytest.approx(0, abs=0.1)


def test_nothing_agrees_with_nothing():
    agreement = Agreement(5)
    agreement.add(np.zeros((30, 30, 2), np.float32), np.zeros((40, 40, 2), np.float32))
    assert agreement.peak().lead == 0
