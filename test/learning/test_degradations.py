# SPDX-License-Identifier: Apache-2.0
"""Each degradation does what its name says, stays in range and grows with its severity."""

import cv2
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

from degfusion_ros.learning import conditions, degradations


def _scene(h: int = 96, w: int = 128) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    rgb = cv2.resize(rng.random((12, 16, 3), dtype=np.float32), (w, h),
                     interpolation=cv2.INTER_CUBIC).clip(0.05, 0.95)
    depth = np.repeat(np.linspace(100, 2, h, dtype=np.float32)[:, None], w, axis=1)
    return rgb, rgb.mean(axis=2), depth


def _apply(label: str, image: np.ndarray, severity: float, seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if label == 'fog':
        return degradations.fog(image, severity, _scene(*image.shape[:2])[2], rng)
    return getattr(degradations, label)(image, severity, rng)


ALL = [('visible', n) for n in conditions.VISIBLE_ORDER] + \
      [('thermal', n) for n in conditions.THERMAL_ORDER]


@pytest.mark.parametrize('modality, label', ALL)
def test_range_type_and_growth(modality, label):
    image = _scene()[0 if modality == 'visible' else 1]
    errors = []
    for severity in (0.0, 0.2, 0.9):
        out = _apply(label, image, severity)
        assert out.shape == image.shape and out.dtype == np.float32
        assert out.min() >= 0 and out.max() <= 1
        errors.append(float(np.abs(out - image).mean()))
    assert errors[0] < 1e-3 and errors[0] < errors[1] < errors[2]


def test_fog_follows_the_scattering_model():
    rgb, _, depth = _scene()
    out = _apply('fog', rgb, 0.8)
    far, near = np.abs(out[:8] - rgb[:8]).mean(), np.abs(out[-8:] - rgb[-8:]).mean()
    assert far > 2 * near
    assert out[:8].std() < 0.3 * rgb[:8].std()      # far structure is washed out


def guesses(scene, count=20):
    depths = [degradations.scene_depth(scene, np.random.default_rng(i)) for i in range(count)]
    assert all(x.shape == scene.shape[:2] and x.dtype == np.float32 for x in depths)
    return depths


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2 ** 31), colours=st.booleans())
def test_guessed_depth_is_in_range_and_farther_at_the_top(seed, colours):
    rgb, grey, _ = _scene()
    depth = degradations.scene_depth(rgb if colours else grey, np.random.default_rng(seed))
    assert depth.shape == grey.shape and 0.02 <= depth.min() and depth.max() <= 1
    assert depth[:24].mean() > depth[-24:].mean() + 0.3


def test_guessed_depths_differ_but_grow_upwards_below_the_horizon():
    depths = np.stack(guesses(_scene()[0]))
    assert (depths.std(axis=0)[-30:].mean()) > 0.02
    rows = depths.mean(axis=(0, 2))
    assert (rows[:24] > 0.75).all() and rows[-1] < 0.2
    assert (np.diff(rows[60::6]) < 0).all()


def test_guessed_depth_jumps_where_the_picture_does_and_within_a_pixel():
    wall = np.full((120, 160, 3), 0.3, np.float32)
    wall[:, 80:] = 0.7
    for scene, axis in ((wall, 1), (wall[:, :120].transpose(1, 0, 2).copy(), 0)):
        jumps = np.mean([np.abs(np.diff(x, axis=axis)).mean(axis=1 - axis)
                         for x in guesses(scene)], axis=0)
        assert jumps.argmax() == 79 and jumps[79] > 0.01
        assert jumps[79] > 4 * max(*jumps[76:79], *jumps[80:83])


def test_darkness_comes_by_gain_or_by_gamma_but_keeps_as_much_of_mid_grey():
    grey = np.stack([np.full((8, 8, 3), level, np.float32) for level in (0.5, 0.9)])
    dark = np.stack([[_apply('low_light', image, 0.8, seed) for image in grey]
                     for seed in range(40)]).mean((2, 3, 4))
    assert dark[:, 0].max() < 2 * dark[:, 0].min()
    ratios = dark[:, 1] / dark[:, 0]            # 1.8 by a gain alone
    assert ratios.min() < 2.1 and ratios.max() > 3.2


def test_dark_and_weak_frames_are_grainy_more_often_than_not():
    rng, found = np.random.default_rng(2), []
    told = conditions.Condition({'low_light': 0.5}, {'low_contrast': 0.5, 'stripe': 0.4})
    for _ in range(200):
        both = conditions.with_faint_noise(told, rng)
        assert both.visible['low_light'] == 0.5 and both.thermal['stripe'] == 0.4
        found += [both.visible.get('noise', 0), both.thermal.get('noise', 0)]
    assert 0.5 < np.mean(np.array(found) > 0) < 0.7
    assert max(found) <= 0.4 and min(x for x in found if x) < 0.05


@settings(max_examples=30, deadline=None)
@given(noise=st.floats(0.2, 1), seed=st.integers(0, 2 ** 31))
def test_noise_that_is_there_stays_and_bright_frames_stay_clean(noise, seed):
    rng = np.random.default_rng(seed)
    for told in (conditions.Condition({'low_light': 1.0, 'noise': noise}, {'noise': noise}),
                 conditions.Condition({'fog': 0.5}, {'stripe': 0.5})):
        assert conditions.with_faint_noise(told, rng) == told


def test_stripes_run_along_columns():
    thermal = np.full((64, 96), 0.5, np.float32)
    columns = [_apply('stripe', thermal, 0.7, seed) for seed in range(20)]
    across = np.mean([np.abs(np.diff(x, axis=1)).mean() for x in columns])
    along = np.mean([np.abs(np.diff(x, axis=0)).mean() for x in columns])
    assert across > 3 * along


def test_light_goes_down_up_and_contrast_down():
    rgb, thermal, _ = _scene()
    assert _apply('low_light', rgb, 0.8).mean() < 0.4 * rgb.mean()
    assert _apply('overexposure', rgb, 0.8).mean() > 1.2 * rgb.mean()
    assert _apply('low_contrast', thermal, 1.0).std() < 0.4 * thermal.std()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2 ** 31))
def test_composites_are_reproducible_and_named_right(seed):
    rgb, thermal, _ = _scene(48, 64)
    results = []
    for _ in range(2):
        rng = np.random.default_rng(seed)
        condition = conditions.draw(rng)
        results.append((condition, conditions.degrade_visible(rgb, condition.visible, rng),
                        conditions.degrade_thermal(thermal, condition.thermal, rng)))
    (first, visible, heat), again = results
    assert first == again[0] and (visible == again[1]).all() and (heat == again[2]).all()
    assert set(first.visible) <= set(conditions.VISIBLE_ORDER)
    assert not {'low_light', 'overexposure'} <= set(first.visible)
    assert all(0.15 <= s <= 1 for s in (*first.visible.values(), *first.thermal.values()))
    assert 0 <= visible.min() and visible.max() <= 1 and 0 <= heat.min() and heat.max() <= 1


def test_faults_with_a_cause_in_common_meet_in_both_images():
    rng = np.random.default_rng(0)
    drawn = [conditions.draw(rng) for _ in range(2000)]
    for faults in ({'blur'}, {'noise'}, {'blur', 'noise'}):
        both = np.mean([faults <= set(c.visible) and faults <= set(c.thermal) for c in drawn])
        assert 0.03 < both < 0.3, faults
    alone = [c for c in drawn if set(c.visible) == set(c.thermal) == {'blur', 'noise'}]
    assert alone and all(c.visible['blur'] != c.thermal['blur'] for c in alone)
    assert not {'stripe', 'low_contrast'} & {label for c in drawn for label in c.visible}


def test_lamps_only_add_light_and_most_near_themselves():
    scene = np.full((120, 160, 3), 0.5, np.float32)
    for seed in range(8):
        added = degradations.lamplight(scene, np.random.default_rng(seed))
        assert added.shape == scene.shape and added.min() >= 0
        assert added.max() > 1.5 * np.median(added)


@pytest.mark.parametrize('channels', [(), (3,)])
def test_noise_is_as_strong_as_its_label_of_whatever_kind(channels):
    grey = np.full((160, 160, *channels), 0.5, np.float32)      # shot noise is 0.75..1 of it here
    drawn = [_apply('noise', grey, 0.4, seed).std() / (0.4 * 45 / 255) for seed in range(60)]
    assert max(drawn) < 1.04 and min(drawn) > 0.84 and np.median(drawn) > 0.9
