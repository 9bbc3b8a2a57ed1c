# SPDX-License-Identifier: Apache-2.0
"""Conditions by name: what they do to a pair, what they tell of it, and what they refuse."""

import cv2
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

from degfusion_ros.learning import effects
from degfusion_ros.learning.effects import ConditionError, degrade, EFFECTS
from degfusion_ros.models.labels import LABELS

GREY = np.full((96, 128, 3), 128, np.uint8), np.full((96, 128), 128, np.uint8)
_rng = np.random.default_rng(3)
SCENE = tuple(cv2.resize(_rng.integers(60, 200, (12, 16, *c), dtype=np.uint8), (128, 96),
                         interpolation=cv2.INTER_CUBIC) for c in ((3,), ()))


def at(condition, pair=SCENE, name='a', scene='a', seed=0):
    return degrade(condition, *pair, seed, name, scene)


@pytest.mark.parametrize('condition', [*EFFECTS, *effects.COMPOSITES])
def test_a_condition_changes_what_its_labels_say_and_nothing_else(condition):
    made = at(condition)
    wanted = {(EFFECTS[n].modality, EFFECTS[n].label) for n, _ in effects.parse(condition)}
    assert {(m, label) for m in made.severities for label in made.severities[m]} == wanted
    for modality, before in zip(('visible', 'thermal'), SCENE):
        after = getattr(made, modality)
        assert after.shape == before.shape and after.dtype == np.uint8
        touched = any(m == modality for m, _ in wanted)
        assert np.array_equal(before, after) != touched
        assert set(made.severities[modality]) <= set(LABELS[modality])
        assert all(0 < s <= 1 for s in made.severities[modality].values())
        assert set(made.parameters[modality]) == set(made.severities[modality])


@pytest.mark.parametrize('sigma', [15, 25, 50])
def test_gaussian_noise_has_the_published_sigma(sigma):
    made = at(f'noise{sigma}', GREY)
    assert np.std(made.visible.astype(float) - 128) == pytest.approx(sigma, rel=0.03)
    assert abs(np.mean(made.visible.astype(float) - 128)) < 1
    assert made.parameters['visible']['noise']['draws'] == [['sigma', sigma]]


def test_the_composites_are_the_17_of_the_benchmark():
    assert len({frozenset(c.split('+')) for c in effects.COMPOSITES}) == 17
    assert {w for c in effects.COMPOSITES for w in c.split('+')} == set(effects.DEMMI)


def test_defocus_grows_with_severity_and_keeps_the_brightness():
    sharp = [np.abs(np.diff(at(f'defocus@{s}').visible.astype(float), axis=1)).mean()
             for s in (0.1, 0.5, 1.0)]
    assert sharp[0] > sharp[1] > sharp[2]
    made = at('defocus@1', GREY)
    assert np.ptp(made.visible) == 0 and made.visible[0, 0, 0] == 128


@given(st.sampled_from([*EFFECTS, *effects.COMPOSITES, 'mixed']), st.integers(0, 9))
@settings(max_examples=20, deadline=None)
def test_the_same_words_give_the_same_bytes(condition, seed):
    one, two = at(condition, seed=seed), at(condition, seed=seed)
    assert np.array_equal(one.visible, two.visible)
    assert np.array_equal(one.thermal, two.thermal)
    assert (one.severities, one.parameters) == (two.severities, two.parameters)


def test_frames_of_a_scene_share_all_but_the_noise():
    one, two = (at('haze+stripe+noise25', name=name, scene='clip') for name in 'ab')
    assert (one.severities, one.parameters) == (two.severities, two.parameters)
    assert np.array_equal(one.thermal, two.thermal)         # columns stay where they are
    assert not np.array_equal(one.visible, two.visible)     # grain does not
    other = at('haze+stripe+noise25', name='a', scene='b')
    assert other.severities != one.severities


def test_rain_falls_on_in_a_scene():
    one, two = (at('rain', name=name, scene='clip') for name in 'ab')
    assert one.parameters == two.parameters and not np.array_equal(one.visible, two.visible)


def test_no_drop_hangs_in_the_air():
    """In either maker's rain a frame tells nothing of where the next one's drops are."""
    likeness = []
    for scene in range(12):
        one, two = (at('rain@0.6', GREY, name, f'clip{scene}') for name in 'ab')
        assert one.parameters == two.parameters
        drops = [made.visible.astype(float).mean(axis=2).ravel() for made in (one, two)]
        if all(np.ptp(seen) for seen in drops):     # not as grey as what is behind them
            likeness.append(abs(np.corrcoef(*drops)[0, 1]))
    assert len(likeness) > 8 and max(likeness) < 0.3


def test_a_fixed_severity_is_the_label():
    made = at('haze@0.8+thermal_noise@0.4')
    assert made.severities == {'visible': {'fog': 0.8}, 'thermal': {'noise': 0.4}}


def test_mixed_draws_other_conditions_for_other_scenes():
    told = [at('mixed', scene=str(i)).severities for i in range(12)]
    assert len({str(t) for t in told}) > 6
    assert any(t['thermal'] for t in told) and any(t['visible'] for t in told)


@given(st.sampled_from([*EFFECTS, *effects.COMPOSITES]),
       st.lists(st.sampled_from([0.25, 0.5, 1.0]), min_size=1, max_size=3, unique=True))
def test_levels_fill_every_free_severity(condition, levels):
    named = effects.at_levels(condition, levels)
    free = [n for n, _ in effects.parse(condition) if not EFFECTS[n].fixed]
    assert len(named) == (len(levels) if free else 1)
    for name, level in zip(named, levels):
        parts = effects.parse(name)
        assert [n for n, _ in parts] == [n for n, _ in effects.parse(condition)]
        assert all(s == level for n, s in parts if n in free)


@pytest.mark.parametrize('condition, told', [
    ('snow', 'snow'), ('', 'known are'), ('haze+', 'known are'), ('haze@2', 'at most 1'),
    ('haze@much', 'much'), ('noise15@0.5', 'sigma'), ('noise15+noise25', 'keep one'),
    ('haze+fog', 'keep one'), ('mixed+haze', 'mixed')])
def test_what_is_no_condition_is_refused_in_a_line(condition, told):
    with pytest.raises(ConditionError) as error:
        effects.parse(condition)
    assert told in str(error.value) and '\n' not in str(error.value)
