# SPDX-License-Identifier: Apache-2.0
"""Work out a registration from pairs of pictures: with a target, or from what the scene shows."""

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from degfusion_ros.imaging.geometry import Plane, Rig
from degfusion_ros.imaging.lens import Lens
from degfusion_ros.imaging.plane_fit import fit_plane, residuals
from degfusion_ros.imaging.registration import Registration
from degfusion_ros.imaging.scene_match import match_scene, NoMatch, Pairs
from degfusion_ros.imaging.targets import find_target, same_order, target_points

LEAST_POINTS, LEAST_WITH_LENS = 8, 24
LEAST_VIEWS = 5  # of a target, to calibrate two cameras
EDGE = (0, 140, 255)  # BGR of thermal edges in the overlay


class CalibrationError(ValueError):
    """Pictures that no registration can be worked out from, as one clear line."""


class Calibration(NamedTuple):
    """A registration, its residual (root mean square) in visible pixels, and what it rests on."""

    geometry: Plane | Rig
    residual_px: float
    basis: str


def from_scene(pairs: Pairs, lens: bool = True, visible_lens: Lens | None = None,
               thermal_lens: Lens | None = None,
               say: Callable[[str], None] = lambda text: None) -> Calibration:
    """Calibrate from the structure in pairs of uint8 HxW; raise CalibrationError."""
    try:
        plane, off = match_scene(pairs, lens, visible_lens=visible_lens,
                                 thermal_lens=thermal_lens, say=say)
    except (NoMatch, ValueError) as error:
        raise CalibrationError(str(error)) from None
    return Calibration(plane, _rms(off), f'{len(off)} blocks of {len(pairs)} pairs')


def from_target(pairs: Pairs, kind: str, pattern: tuple[int, int], square_m: float = 0.0,
                depth_m: float = np.inf, lens: bool = True, visible_lens: Lens | None = None,
                thermal_lens: Lens | None = None,
                say: Callable[[str], None] = lambda text: None) -> Calibration:
    """
    Calibrate from pairs of uint8 HxW that show a target; raise CalibrationError.

    kind and pattern as in find_target. square_m: the target's spacing in metres calibrates both
    cameras and how they stand to each other, for scenes depth_m away; 0 finds the one plane that
    fits all views. lens and the lenses as in fit_plane.
    """
    views = []
    for number, (visible, thermal) in enumerate(pairs):
        say(f'looking for the target, {number + 1} of {len(pairs)} pairs, found in {len(views)}')
        there = find_target(visible, kind, pattern)
        here = None if there is None else find_target(thermal, kind, pattern)
        if here is not None:
            views.append((there, same_order(there, here)))
    sizes = pairs[0][0].shape[::-1], pairs[0][1].shape[::-1]
    if square_m and kind != 'lamp':
        return _rig(views, sizes, target_points(kind, pattern, square_m), depth_m,
                    visible_lens, thermal_lens)
    visible, thermal = (np.concatenate([view[side] for view in views] or [np.empty((0, 2))])
                        for side in (0, 1))
    if len(visible) < LEAST_POINTS:
        raise CalibrationError(
            f'the {kind} was found in both pictures of {len(views)} of {len(pairs)} pairs, which '
            f'makes {len(visible)} points; {LEAST_POINTS} are needed: check kind and pattern, and '
            'heat the target')
    lens = lens and len(visible) >= LEAST_WITH_LENS
    try:
        plane = fit_plane(visible, thermal, *sizes, lens, visible_lens, thermal_lens)
    except ValueError as error:
        raise CalibrationError(f'{error}: show the target in more places') from None
    return Calibration(plane, _rms(residuals(plane, visible, thermal)),
                       f'{len(visible)} points of {len(views)} views')


def overlay(calibration: Calibration, visible: np.ndarray, thermal: np.ndarray) -> np.ndarray:
    """
    Return a picture to judge a calibration by, BGR uint8, two visible pictures side by side.

    The thermal edges lie on the visible picture: left as the camera sent them, right registered.
    """
    size = visible.shape[:2]
    registered = Registration(calibration.geometry)
    sides = []
    for heat in (Registration.identity()(thermal, size), registered(thermal, size)):
        smooth = cv2.GaussianBlur(heat, (0, 0), 1.0)
        side = cv2.cvtColor(visible, cv2.COLOR_GRAY2BGR)
        side[cv2.Canny(smooth, 40, 100) > 0] = EDGE
        sides.append(side)
    sides[1][registered.seen == 0] //= 2  # what the thermal camera does not see
    return np.hstack(sides)


def _rig(views, sizes, board, depth_m, visible_lens, thermal_lens) -> Calibration:
    if len(views) < LEAST_VIEWS:
        raise CalibrationError(f'the target was found in both pictures of {len(views)} pairs, '
                               f'{LEAST_VIEWS} are needed: check kind and pattern, add views')
    boards = [board.astype(np.float32)] * len(views)
    points = [[view[side].astype(np.float32) for view in views] for side in (0, 1)]
    lenses = [lens or _calibrated(boards, found, size) for lens, found, size in
              zip((visible_lens, thermal_lens), points, sizes)]
    undone = [[lens.directions(view).astype(np.float32) for view in found]
              for lens, found in zip(lenses, points)]
    focal = lenses[0].matrix[0, 0]
    error, *_, rotation, shift, _, _ = cv2.stereoCalibrate(
        boards, undone[1], undone[0], np.eye(3), None, np.eye(3), None, (1, 1),
        flags=cv2.CALIB_FIX_INTRINSIC)
    rig = Rig(*lenses, rotation, shift.ravel(), depth_m)
    return Calibration(rig, float(error * focal), f'{len(views)} views of the target')


def _calibrated(boards, points, size) -> Lens:
    flags = cv2.CALIB_FIX_K3 | cv2.CALIB_ZERO_TANGENT_DIST
    _, matrix, distortion, *_ = cv2.calibrateCamera(boards, points, size, None, None, flags=flags)
    return Lens(size, matrix, 'plumb_bob', tuple(distortion.ravel()[:5].tolist()))


def _rms(values) -> float:
    return float(np.sqrt(np.nanmean(np.square(values))))
