# SPDX-License-Identifier: Apache-2.0
"""Colour figures on hand-made pictures whose CIELAB values are known."""

import cv2
import numpy as np
import pytest
from samples import noisy
from skimage.color import lab2rgb, rgb2lab

from degfusion_ros.learning.metrics_colour import measure

SHAPE = (120, 160)


def painted(lightness, a, b):
    """Return RGB of CIELAB values that a screen can show."""
    lab = np.dstack([np.broadcast_to(np.asarray(x, float), SHAPE) for x in (lightness, a, b)])
    rgb = lab2rgb(lab)
    assert np.abs(rgb2lab(rgb) - lab).max() < 1e-3
    return (rgb * 255 + 0.5).astype(np.uint8)


def fields(seed, low, high):
    """Return smooth values from low to high."""
    coarse = np.random.default_rng(seed).uniform(low, high, (5, 7)).astype(np.float32)
    return cv2.resize(coarse, SHAPE[::-1], interpolation=cv2.INTER_LINEAR)


L, A, B = fields(0, 45, 65), fields(1, -15, 15), fields(2, -15, 15)
SCENE = painted(L, A, B)
GREY = painted(L, 0, 0)
HALVES = np.where(np.arange(SHAPE[1]) < SHAPE[1] // 2, 1, -1)


def test_the_same_picture():
    assert measure(SCENE, SCENE) == {'cast': 0, 'chroma_error': 0, 'saturation': 1}


def test_a_cast_is_measured_as_long_as_it_is():
    told = measure(painted(L, A + 6, B - 8), SCENE)
    assert told['cast'] == pytest.approx(10, abs=0.2)
    assert told['chroma_error'] == pytest.approx(10, abs=0.2)


def test_wrong_colours_that_cancel_are_an_error_and_no_cast():
    told = measure(painted(L, 10 * HALVES, 0), painted(L, -10 * HALVES, 0))
    assert told['cast'] < 0.3 and told['saturation'] == pytest.approx(1, abs=0.02)
    assert told['chroma_error'] == pytest.approx(20, rel=0.04)      # less where the halves meet


def test_saturation_is_the_share_of_the_chroma():
    assert measure(GREY, SCENE)['saturation'] < 0.03
    for share in (0.5, 1.4):
        told = measure(painted(L, A * share, B * share), SCENE)
        assert told['saturation'] == pytest.approx(share, abs=0.03)
        assert told['chroma_error'] == pytest.approx(
            abs(1 - share) * np.hypot(A, B).mean(), rel=0.05)


def test_a_clean_picture_without_colour_has_no_saturation():
    told = measure(SCENE, GREY)
    assert np.isnan(told['saturation']) and told['chroma_error'] > 5
    assert np.isnan(measure(SCENE, painted(L, 1, 1))['saturation'])
    assert measure(SCENE, painted(L, 2, 2))['saturation'] > 1


@pytest.mark.parametrize('picture', [SCENE, GREY], ids=['colours', 'grey'])
def test_grain_is_hardly_colour(picture):
    grainy = noisy(picture, 10)
    by_pixel = np.hypot(*(rgb2lab(grainy) - rgb2lab(picture))[..., 1:].transpose(2, 0, 1)).mean()
    told = measure(grainy, picture)
    assert told['cast'] < 0.25 and by_pixel > 6
    assert told['chroma_error'] < by_pixel / 4
    assert measure(noisy(SCENE, 10), SCENE)['saturation'] == pytest.approx(1, abs=0.03)


def test_lightness_is_not_colour():
    for other in (painted(L + 8, A, B), painted(110 - L, A, B)):
        told = measure(other, SCENE)
        assert told['cast'] < 0.2 and told['chroma_error'] < 0.4
        assert told['saturation'] == pytest.approx(1, abs=0.02)


def test_channels_are_rgb():
    # sRGB's red has a* 80.1, b* 67.2, its blue 79.2, -107.9: BGR would tell them otherwise
    red, blue = (np.full((*SHAPE, 3), x, np.uint8) for x in ([255, 0, 0], [0, 0, 255]))
    assert measure(red, blue)['cast'] == pytest.approx(np.hypot(0.9, 175.1), abs=0.2)
    assert measure(red, blue)['saturation'] == pytest.approx(104.55 / 133.81, abs=0.001)


def test_unlike_images_are_refused():
    with pytest.raises(ValueError, match='sizes'):
        measure(SCENE, SCENE[:-1])
