# SPDX-License-Identifier: Apache-2.0
"""Scores of single cases, in one process and in several; unreadable pictures."""

from dataclasses import replace

import cv2
import numpy as np
from odd_pictures import huge, upside_down
import pytest
from results_tree import build, save

from degfusion_ros.learning import metrics_colour as colour
from degfusion_ros.learning.picture_scores import flicker_of, read, score, score_all
from degfusion_ros.learning.result_folders import find, Sources


@pytest.fixture
def cases(tmp_path):
    root = build(tmp_path)
    return find({'ours': root / 'out'}, Sources(root / 'in', root / 'in', root / 'clean/visible',
                                                root / 'clean/thermal'))[0]


def test_figures_are_against_the_clean_sources(cases):
    from degfusion_ros.learning import metrics
    told = score(cases[0])
    expected = metrics.measure(read(cases[0].fused), read(cases[0].clean_visible),
                               read(cases[0].clean_thermal, 'thermal'))
    assert not told.problems
    assert {k: told.figures[k] for k in expected} == pytest.approx(expected, nan_ok=True)


def test_restoration_gains_over_a_degraded_input_alone(cases):
    told = score(cases[0]).figures
    assert told['gain_visible_PSNR'] > 8 and told['gain_visible_SSIM'] > 0.1
    assert told['restored_visible_PSNR'] == pytest.approx(34, abs=1)
    assert np.isnan(told['gain_thermal_PSNR']) and told['restored_thermal_SSIM'] == 1


def test_pictures_of_one_channel_have_no_colour(cases):
    assert not any('cast' in key or 'chroma' in key or 'saturation' in key
                   for key in score(cases[0]).figures)


def test_colour_of_fused_and_restored_against_the_clean_one(cases):
    case = cases[0]
    clean = np.dstack([cv2.GaussianBlur(read(path), (0, 0), 6)[..., 0] for path in (
        case.clean_visible, case.clean_thermal, case.fused)])
    more_red, grey = cv2.add(clean, (0, 0, 24, 0)), cv2.cvtColor(clean, cv2.COLOR_BGR2GRAY)
    for path, image in ((case.clean_visible, clean), (case.visible, more_red),
                        (case.fused, cv2.merge([grey] * 3)),
                        (case.restored_visible, cv2.add(clean, (0, 0, 6, 0)))):
        save(path, image)
    told = score(case).figures
    assert told['saturation'] < 0.01 and told['chroma_error'] > 10
    assert told['restored_visible_saturation'] == pytest.approx(1, abs=0.1)
    for name in ('cast', 'chroma_error'):
        of_input = colour.measure(read(case.visible), read(case.clean_visible))[name]
        assert told[f'restored_visible_{name}'] == pytest.approx(of_input / 4, rel=0.2)
        assert told[f'gain_visible_{name}'] == pytest.approx(
            of_input - told[f'restored_visible_{name}'])
    assert 'gain_visible_saturation' not in told and 'restored_thermal_cast' not in told
    save(case.visible, clean)
    told = score(case).figures
    assert np.isnan(told['gain_visible_cast']) and told['restored_visible_cast'] > 1
    save(case.visible, grey)    # a camera without colour: no figures of its own, so no gain
    assert np.isnan(score(case).figures['gain_visible_cast'])
    save(case.fused, grey)
    assert 'cast' not in score(case).figures and 'VIF_min' in score(case).figures


def test_no_colour_figures_without_clean_sources(cases):
    plain = replace(cases[0], clean_visible=None, clean_thermal=None)
    save(plain.fused, np.dstack([read(plain.visible)[..., 0]] * 3))
    assert 'cast' not in score(plain).figures and 'cast' in score(
        replace(plain, clean_visible=plain.visible, clean_thermal=plain.thermal)).figures


def test_several_processes_tell_the_same(cases):
    alone = [one.figures for one in score_all(cases)]
    for one, other in zip(alone, score_all(cases, jobs=2)):
        assert one == pytest.approx(other.figures, nan_ok=True)


def test_a_bad_picture_is_named(cases, tmp_path):
    cases[0].fused.write_bytes(b'no picture')
    assert score(cases[0]).problems == (f'{cases[0].fused}: not a readable image',)
    save(cases[1].fused, np.zeros((50, 72), np.uint8))
    told = score(cases[1])
    assert not told.figures and '72x50 where the visible source is 72x60' in told.problems[0]


def test_a_bad_restored_picture_costs_only_itself(cases):
    save(cases[0].restored_visible, np.zeros((50, 72), np.uint8))
    told = score(cases[0])
    assert 'VIF_min' in told.figures and 'restored_thermal_PSNR' in told.figures
    assert 'restored_visible_PSNR' not in told.figures
    assert str(cases[0].restored_visible) in told.problems[0]


def test_16_bit_thermal_is_stretched(tmp_path):
    ramp = np.linspace(20000, 24000, 64 * 64).reshape(64, 64)
    save(tmp_path / 'raw.png', ramp.astype(np.uint16))
    image = read(tmp_path / 'raw.png', 'thermal')
    assert image.dtype == np.uint8 and image.min() == 0 and image.max() == 255
    cv2.imwrite(str(tmp_path / 'f.tiff'), ramp.astype(np.float64))
    with pytest.raises(ValueError, match='f.tiff'):
        read(tmp_path / 'f.tiff', 'thermal')


def test_flicker_leaves_unreadable_frames_out(cases):
    whole = flicker_of(cases)
    assert {'flicker_ratio_fused', 'flicker_ratio_restored_visible'} <= set(whole)
    cases[1].fused.write_bytes(b'no picture')
    assert flicker_of(cases).keys() == whole.keys()


def test_a_picture_that_declares_too_much_is_named(cases):
    cases[0].fused.write_bytes(huge())
    assert str(cases[0].fused) in score(cases[0]).problems[0]


def test_an_orientation_tag_turns_neither_side(tmp_path):
    half = np.zeros((40, 60, 3), np.uint8)
    half[:20] = 255
    (tmp_path / 'a.jpg').write_bytes(upside_down(half))
    assert all(read(tmp_path / 'a.jpg', side)[5].mean() > 200 for side in ('visible', 'thermal'))
