# SPDX-License-Identifier: Apache-2.0
"""Flicker: what a steady, a noisy, a pumping and a moving sequence are told."""

import numpy as np
import pytest
from samples import A, B

from degfusion_ros.learning.metrics_flicker import flicker


def sequence(fused, count=6, sigma=2.0):
    rng = np.random.default_rng(0)
    grain = lambda x: (x + rng.normal(0, sigma, x.shape)).clip(0, 255).astype(np.uint8)  # noqa
    for i in range(count):
        visible, thermal = grain(A), grain(B)
        yield {'visible': visible, 'thermal': thermal, 'fused': fused(i, visible, thermal)}


def test_a_copy_adds_nothing_and_an_average_calms():
    copied = flicker(sequence(lambda i, visible, thermal: visible))
    assert copied['flicker_ratio_fused'] == pytest.approx(1, abs=0.02)
    assert copied['still_share'] > 0.99
    calm = flicker(sequence(lambda i, v, t: ((v.astype(int) + t) // 2).astype(np.uint8)))
    assert calm['flicker_ratio_fused'] == pytest.approx(np.sqrt(0.5), abs=0.06)


def test_flicker_and_pumping_of_two_frames_by_hand():
    still = np.full((40, 40), 100, np.uint8)
    half = still.copy()
    half[:20] += 4
    half[20:] -= 2
    frames = [{'visible': still, 'thermal': still, 'fused': still},
              {'visible': still + 2, 'thermal': still - 1, 'fused': half}]
    told = flicker(frames)
    assert (told['flicker_visible'], told['flicker_thermal']) == (2, 1)
    assert told['flicker_fused'] == 3 and told['pumping_fused'] == 1
    assert told['pumping_thermal'] == 1     # down is as bad as up
    # beside the more restless source
    assert told['flicker_ratio_fused'] == 1.5 and told['pumping_ratio_fused'] == 0.5
    assert told['still_share'] == 1
    frames[1] = {**frames[1], 'thermal': still + 4}
    assert flicker(frames) == {}            # either source moves
    moved = still + 2
    moved[20:] += 50
    told = flicker([frames[0], {'visible': moved, 'thermal': still, 'fused': still + 3}])
    assert told['flicker_fused'] == 3 and 0.2 < told['still_share'] < 0.5


def test_pumping_is_seen():
    told = flicker(sequence(lambda i, visible, thermal: visible // 2 + 8 * (i % 2)))
    assert told['pumping_fused'] == pytest.approx(8, abs=0.2)
    assert told['pumping_ratio_fused'] > 20 and told['flicker_ratio_fused'] > 1


def test_motion_does_not_count():
    def moving(count=5):
        for i in range(count):
            visible = A.copy()
            visible[60:100, 20 * i:20 * i + 40] = 255
            yield {'visible': visible, 'thermal': B, 'fused': visible}
    told = flicker(moving())
    assert told['flicker_fused'] < 0.5 and 0.5 < told['still_share'] < 0.97


def test_noise_of_the_input_is_not_motion_where_the_clean_source_is_known():
    frames = [dict(frame, clean_visible=A, clean_thermal=B)
              for frame in sequence(lambda i, v, t: v, sigma=40)]
    told = flicker(frames)
    assert told['still_share'] == 1 and told['flicker_visible'] > 20


def test_a_restored_picture_is_told_beside_its_own_source():
    frames = [dict(frame, restored_visible=A) for frame in sequence(lambda i, v, t: v)]
    assert flicker(frames)['flicker_ratio_restored_visible'] == 0


def test_nothing_to_compare():
    assert flicker([]) == {}
    assert flicker([{'visible': A, 'thermal': B, 'fused': A}]) == {}
    cut = {'visible': A[:-4], 'thermal': B[:-4], 'fused': A[:-4]}
    assert flicker([{'visible': A, 'thermal': B, 'fused': A}, cut]) == {}
