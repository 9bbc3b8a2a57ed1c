# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from scenes import errors, scene, seen_through, warp

from degfusion_ros.imaging.scene_match import match_scene, NoMatch
from degfusion_ros.imaging.scene_search import search_scene

VISIBLE, THERMAL = (400, 320), (320, 256)
SCALES = 0.7, 1.3


def pairs(back, count, seed=0):
    rng = np.random.default_rng(seed)
    both = (scene(rng, VISIBLE) for _ in range(count))
    return [(visible, seen_through(thermal, back)) for visible, thermal in both]


@pytest.mark.parametrize('change', [{}, {'angle': -6, 'scale': 0.85, 'shift': (-40, 20)}])
def test_the_search_comes_near(change):
    back = warp(VISIBLE, THERMAL, **change)
    found = search_scene(pairs(back, 2), SCALES)
    assert np.median(errors(found, back)) < 12


@pytest.mark.parametrize('change, seed', [({}, 0), ({'angle': -3, 'scale': 0.9, 'k1': 0.1}, 1)])
def test_a_known_warp_is_recovered_to_under_2_pixels(change, seed):
    """Rotation 3 degrees, scale 1.3, shift 30 px and lens distortion; no target."""
    back = warp(VISIBLE, THERMAL, **change)
    told = []
    plane, off = match_scene(pairs(back, 3, seed), scales=SCALES, say=told.append)
    error = errors(plane, back)
    print(f'rms {np.sqrt((error ** 2).mean()):.2f} px, largest {error.max():.2f} px')
    assert np.sqrt((error ** 2).mean()) < 1 and error.max() < 2
    assert np.sqrt((off ** 2).mean()) < 1.5 and told


def test_scenes_that_have_nothing_in_common_are_refused():
    rng = np.random.default_rng(2)
    strangers = [(scene(rng, (200, 160))[0], scene(rng, (200, 160))[1]) for _ in range(2)]
    with pytest.raises(NoMatch, match='calibrate with a target'):
        match_scene(strangers, scales=(0.95, 1.05))


def test_blank_pictures_are_refused():
    blank = np.full((160, 200), 90, np.uint8)
    with pytest.raises(NoMatch):
        match_scene([(blank, blank)], scales=(0.95, 1.05))


@pytest.mark.parametrize('size', [(64, 48), (320, 64), (320, 90)])
def test_pictures_too_small_for_blocks_are_refused(size):
    rng = np.random.default_rng(3)
    small = [scene(rng, size) for _ in range(2)]
    with pytest.raises(NoMatch, match='give larger pictures|only . blocks'):
        match_scene(small, scales=(0.95, 1.05))
