# SPDX-License-Identifier: Apache-2.0
"""Degradations come in the order of nature: scene, optics, exposure, sensor; whoever made them."""

import numpy as np
import pytest

from degfusion_ros.learning import conditions, degradations as d, unseen

GREY = np.full((96, 128, 3), 0.3, np.float32)
VISIBLE = {'noise': 0.3, 'overexposure': 0.4, 'low_light': 0.3, 'blur': 0.5, 'rain': 0.6,
           'fog': 0.7}
THERMAL = {'noise': 0.3, 'stripe': 0.4, 'low_contrast': 0.5, 'blur': 0.6}
both_generators = pytest.mark.parametrize('make', ['own', 'unseen'])


def degrade(make, image, severities, rng):
    if make == 'unseen':
        return unseen.degrade(image, severities, rng)
    one = conditions.degrade_visible if image.ndim == 3 else conditions.degrade_thermal
    return one(image, severities, rng)


def grain(image):
    """Return the typical jump from one column to the next."""
    return float(np.median(np.abs(np.diff(image, axis=1))))


def streaks(image):
    """Return the mean jump: rare and strong ones count."""
    return float(np.abs(np.diff(image, axis=1)).mean())


def typical(of, make, image, *severities):
    """Return the median over seeds of what `severities`, applied one after the other, leave."""
    found = []
    for seed in range(12):
        rng, made = np.random.default_rng(seed), image
        for part in severities:
            made = degrade(make, made, part, rng)
        found.append(of(made))
    return float(np.median(found))


def test_visible_degradations_are_applied_in_one_order_whatever_that_of_their_names():
    scene = np.random.default_rng(3).random((96, 128, 3), dtype=np.float32)
    rng = np.random.default_rng(7)
    expected = d.fog(scene, 0.7, d.scene_depth(scene, rng), rng)
    for label in ('rain', 'blur', 'low_light', 'overexposure', 'noise'):
        expected = getattr(d, label)(expected, VISIBLE[label], rng)
    for told in (VISIBLE, dict(reversed(VISIBLE.items()))):
        assert np.array_equal(conditions.degrade_visible(scene, told, np.random.default_rng(7)),
                              expected)


def test_thermal_degradations_are_applied_in_one_order_whatever_that_of_their_names():
    scene = np.random.default_rng(3).random((96, 128), dtype=np.float32)
    rng, expected = np.random.default_rng(7), scene
    for label in ('blur', 'low_contrast', 'stripe', 'noise'):
        expected = getattr(d, label)(expected, THERMAL[label], rng)
    for told in (THERMAL, dict(reversed(THERMAL.items()))):
        assert np.array_equal(conditions.degrade_thermal(scene, told, np.random.default_rng(7)),
                              expected)


@both_generators
@pytest.mark.parametrize('earlier, later, image', [
    ({'fog': 0.9}, {'noise': 0.3}, GREY), ({'blur': 0.9}, {'noise': 0.3}, GREY),
    ({'low_light': 0.5}, {'noise': 0.3}, GREY), ({'overexposure': 0.9}, {'noise': 0.3}, GREY - 0.1),
    ({'blur': 0.9}, {'noise': 0.3}, GREY[..., 0]), ({'blur': 0.9}, {'stripe': 0.6}, GREY[..., 0]),
    ({'low_contrast': 0.9}, {'noise': 0.3}, GREY[..., 0]),
    ({'low_contrast': 0.9}, {'stripe': 0.6}, GREY[..., 0])],
    ids=lambda x: '_'.join(x) if isinstance(x, dict) else x.ndim)
def test_what_the_sensor_adds_is_neither_fogged_nor_blurred_nor_darkened(make, earlier, later,
                                                                         image):
    alone = typical(grain, make, image, later)
    assert 0.65 < typical(grain, make, image, {**later, **earlier}) / alone < 1.5
    assert not 0.65 < typical(grain, make, image, later, earlier) / alone < 1.5


@both_generators
def test_the_fog_is_as_dark_as_the_night_and_burnt_out_with_the_scene(make):
    def both(label):
        return (typical(np.mean, make, GREY, {label: 0.9, 'fog': 0.9}),
                typical(np.mean, make, GREY, {label: 0.9}, {'fog': 0.9}))
    night, grey_night = both('low_light')
    assert night < 0.2 < 0.4 < grey_night
    burnt, veiled = both('overexposure')
    assert burnt > 0.95 > 0.9 > veiled


@both_generators
def test_rain_falls_in_front_of_a_blurred_lens(make):
    blurred, sharp = (typical(streaks, make, GREY, *parts) for parts in (
        [{'blur': 0.9, 'rain': 0.9}], [{'blur': 0.9}, {'rain': 0.9}]))
    assert blurred < 0.85 * sharp


def test_a_depth_that_is_known_is_not_guessed():
    near_left = np.repeat(np.linspace(0.02, 1, 128, dtype=np.float32)[None], 96, axis=0)
    for depth in (near_left, near_left[:, ::-1]):
        made = conditions.degrade_visible(GREY, {'fog': 0.8}, np.random.default_rng(0), depth)
        fogged = np.abs(made - GREY).mean((0, 2))
        order = slice(None) if depth is near_left else slice(None, None, -1)
        assert fogged[order][:16].mean() < 0.25 * fogged[order][-16:].mean()
