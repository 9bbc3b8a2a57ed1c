# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest
from scenes import board, errors, scene, seen_through, warp

from degfusion_ros.imaging.calibration import (
    _rig,
    CalibrationError,
    from_scene,
    from_target,
    overlay,
)
from degfusion_ros.imaging.geometry import Rig
from degfusion_ros.imaging.lens import Lens
from degfusion_ros.imaging.targets import target_points

SIZE = (400, 320)
PLACES = ((140, 110), (270, 110), (140, 210), (270, 210))


def shown(back, kind, pattern, places=PLACES):
    """Return pairs in which both cameras see a board, hot where it is dark."""
    return [(board(SIZE, pattern, 16, place, kind),
             seen_through(board(SIZE, pattern, 16, place, kind, hot=True), back))
            for place in places]


@pytest.mark.parametrize('kind, pattern', [('checkerboard', (7, 4)), ('circles', (6, 5))])
def test_a_known_warp_is_recovered_to_under_1_pixel(kind, pattern):
    """Rotation 3 degrees, scale 1.3, shift 30 px and lens distortion, with a heated board."""
    back = warp(SIZE, SIZE)
    found = from_target(shown(back, kind, pattern), kind, pattern)
    error = errors(found.geometry, back)
    print(f'{kind}: rms {np.sqrt((error ** 2).mean()):.3f} px, largest {error.max():.3f} px')
    assert error.max() < 1 and found.residual_px < 0.5
    assert found.geometry.thermal_lens.distortion[0] == pytest.approx(-0.15, abs=0.03)


def test_a_lamp_carried_around_will_do():
    back, pairs = warp(SIZE, SIZE, k1=0), []
    for x in range(110, 330, 50):
        for y in range(80, 260, 45):
            lamp = np.full(SIZE[::-1], 50, np.uint8)
            cv2.circle(lamp, (x, y), 4, 250, -1, cv2.LINE_AA)
            pairs.append((lamp, seen_through(lamp, back)))
    found = from_target(pairs, 'lamp', (1, 1), lens=False)
    assert errors(found.geometry, back).max() < 1 and found.geometry.thermal_lens is None


def test_views_of_a_measured_board_calibrate_both_cameras():
    """Boards tilted before two cameras 12 cm apart: another depth is right, too."""
    rng = np.random.default_rng(0)
    rotation, shift = cv2.Rodrigues(np.radians([0.5, 2.0, 1.0]))[0], np.array([0.12, 0.01, -0.02])
    lenses = (Lens((640, 480), np.array([[600, 0, 322], [0, 605, 236], [0, 0, 1.0]]), 'plumb_bob',
                   (-0.2, 0.05, 0.0, 0.0, 0.0)),
              Lens((320, 256), np.array([[330, 0, 158], [0, 330, 130], [0, 0, 1.0]]), 'plumb_bob',
                   (-0.3, 0.1, 0.0, 0.0, 0.0)))
    truth = Rig(*lenses, rotation, shift, 20.0)
    views = []
    plane = target_points('checkerboard', (7, 5), 0.06)
    plane -= plane.mean(axis=0)
    while len(views) < 20:
        tilt = cv2.Rodrigues(rng.uniform(-0.5, 0.5, 3))[0]
        there = plane @ tilt.T + (
            rng.uniform(-0.4, 0.4), rng.uniform(-0.3, 0.3), rng.uniform(0.9, 2.0))
        here = (there - shift) @ rotation
        view = [lens.pixels(p[:, :2] / p[:, 2:]) + rng.normal(0, 0.05, (35, 2))
                for lens, p in zip(lenses, (there, here))]
        if all((v > 2).all() and (v < np.array(lens.size) - 3).all()
               for v, lens in zip(view, lenses)):
            views.append(view)
    found = _rig(views, [lens.size for lens in lenses],
                             plane - plane[0], 20.0, None, None)
    grid = np.stack(np.meshgrid(np.linspace(80, 560, 9), np.linspace(60, 420, 9)), -1)
    off = found.geometry.to_thermal(grid.reshape(-1, 2)) - truth.to_thermal(grid.reshape(-1, 2))
    assert np.nanmax(np.linalg.norm(off, axis=1)) < 1 and found.residual_px < 0.5
    np.testing.assert_allclose(found.geometry.translation, shift, atol=0.01)


def test_a_scene_will_do():
    rng, back = np.random.default_rng(1), warp(SIZE, SIZE, scale=1.1, k1=0)
    both = (scene(rng, SIZE) for _ in range(2))
    found = from_scene([(v, seen_through(t, back)) for v, t in both], lens=False)
    assert errors(found.geometry, back).max() < 2 and 'of 2 pairs' in found.basis


def test_what_cannot_be_calibrated_is_told():
    empty = [(np.full(SIZE[::-1], 90, np.uint8),) * 2]
    with pytest.raises(CalibrationError, match='found in both pictures of 0 of 1 pairs'):
        from_target(empty, 'checkerboard', (7, 5))
    with pytest.raises(CalibrationError, match='5 are needed'):
        from_target(empty, 'checkerboard', (7, 5), square_m=0.1)
    with pytest.raises(CalibrationError, match='more structure'):
        from_scene(empty)


def test_the_overlay_shows_both_before_and_after():
    back = warp(SIZE, SIZE)
    pairs = shown(back, 'circles', (6, 5))
    found = from_target(pairs, 'circles', (6, 5))
    picture = overlay(found, *pairs[0])
    assert picture.shape == (320, 800, 3) and picture.dtype == np.uint8
    orange = (picture == (0, 140, 255)).all(axis=2)
    circles = cv2.dilate(cv2.Canny(pairs[0][0], 40, 100), np.ones((3, 3))) > 0
    before, after = (orange[:, half] & circles for half in (np.s_[:400], np.s_[400:]))
    assert after.sum() > 0.9 * orange[:, 400:].sum() and before.sum() < 0.7 * orange[:, :400].sum()
