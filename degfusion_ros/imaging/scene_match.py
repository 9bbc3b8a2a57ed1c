# SPDX-License-Identifier: Apache-2.0
"""Registration without a target: from the structure both cameras see, in many frames at once."""

from collections.abc import Callable

import cv2
import numpy as np

from degfusion_ros.imaging.geometry import Plane
from degfusion_ros.imaging.lens import Lens
from degfusion_ros.imaging.plane_fit import fit_affine, fit_plane
from degfusion_ros.imaging.registration import Registration
from degfusion_ros.imaging.scene_search import Pairs, search_scene
from degfusion_ros.imaging.structure import Agreement, edges

# width of the visible picture, search in pixels, blocks across: from far off to fine
STEPS = ((200, 14, 4), (320, 12, 5), (480, 8, 7), (640, 7, 8), (640, 6, 8))
LEAD = 0.03  # a block whose best shift leads the next by less tells nothing
COVERED = 0.8  # of a block: less seen by the thermal camera, it is left out
SMALLEST = 12  # pixels, half the side of a block
NOISE = 1.0  # pixels, of a block's place
LEAST = 5, 8  # blocks for an affine map, for a homography


class NoMatch(ValueError):
    """Pictures whose structure does not tell how the cameras lie to each other."""


def match_scene(pairs: Pairs, lens: bool = True, scales: tuple[float, float] = (0.5, 2.0),
                visible_lens: Lens | None = None, thermal_lens: Lens | None = None,
                say: Callable[[str], None] = lambda text: None) -> tuple[Plane, np.ndarray]:
    """
    Return the Plane between two cameras, and how far off each block of the picture is, in pixels.

    pairs: (visible, thermal) as uint8 HxW, all of one size per camera; the more and the more
    different, the better. scales: the least and the largest width of the thermal picture within
    the visible one, 1 for as wide. lens and the lenses as in fit_plane. `say` is told what is
    going on. Raise NoMatch.
    """
    say('searching scale, rotation and shift')
    plane = search_scene(pairs, scales)
    for number, step in enumerate(STEPS):
        say(f'matching blocks, step {number + 1} of {len(STEPS)}')
        visible, warped = _blocks(pairs, plane, *step)
        least = LEAST[number > 0]
        if len(visible) < least:
            raise NoMatch(f'only {len(visible)} blocks of the pictures match, {least} are needed: '
                          'add frames with more structure (buildings, vehicles, poles), or '
                          'calibrate with a target')
        thermal = plane.to_thermal(warped)
        sizes = plane.visible_size, plane.thermal_size
        if number == 0:
            plane = fit_affine(visible, thermal, *sizes)
        else:
            plane = fit_plane(visible, thermal, *sizes, lens and number > 1, visible_lens,
                              thermal_lens, NOISE * sizes[0][0] / step[0])
    visible, warped = _blocks(pairs, plane, *STEPS[-1])
    return plane, np.linalg.norm(warped - visible, axis=1)


def _blocks(pairs, plane, width, reach, across) -> tuple[np.ndarray, np.ndarray]:
    """Return Nx2 block centres and where the warped thermal picture has them, visible pixels."""
    full = plane.visible_size
    width = min(width, full[0])
    size = width, round(width * full[1] / full[0])
    registration = Registration(plane)
    blocks = None
    for visible, thermal in pairs:
        warped = registration(thermal, full[::-1], size[::-1])
        if blocks is None:  # what is seen is known after the first
            seen = cv2.erode(registration.seen, np.ones((5, 5)))
            blocks = _places(seen, reach, across)
        here = edges(warped) * seen[..., None]
        there = edges(cv2.resize(visible, size, interpolation=cv2.INTER_AREA))
        for (x, y, half), agreement in blocks.items():
            around = half + reach
            agreement.add(there[y - half:y + half, x - half:x + half],
                          here[y - around:y + around, x - around:x + around])
    centres, moves = [], []
    for (x, y, _), agreement in blocks.items():
        peak = agreement.peak()
        if peak.lead > LEAD and max(abs(peak.dx), abs(peak.dy)) < reach - 0.5:
            centres.append((x - 0.5, y - 0.5))  # the middle of an even block
            moves.append((peak.dx, peak.dy))
    centres, moves = np.array(centres).reshape(-1, 2), np.array(moves).reshape(-1, 2)
    grow = full[0] / size[0]
    return (centres + 0.5) * grow - 0.5, (centres + moves + 0.5) * grow - 0.5


def _places(seen, reach, across) -> dict[tuple[int, int, int], Agreement]:
    """Return overlapping blocks (centre x, y, half the side) over what the thermal camera sees."""
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    spans = []
    for found, side in ((columns, seen.shape[1]), (rows, seen.shape[0])):
        low, high = (found[0], found[-1] + 1) if found.size else (0, 0)
        spans.append((max(low, reach), min(high, side - reach)))
    room = int(min(high - low for low, high in spans))
    if room < 2 * SMALLEST:
        raise NoMatch(f'the thermal camera sees {len(columns)}x{len(rows)} of a picture of '
                      f'{seen.shape[1]}x{seen.shape[0]} pixels, too few to match blocks of it: '
                      'give larger pictures, or calibrate with a target')
    half = max(SMALLEST, round(0.8 * (spans[0][1] - spans[0][0]) / across / 2))
    half = min(half, room // 2)
    down = max(2, round(across * (spans[1][1] - spans[1][0]) / (spans[0][1] - spans[0][0])))
    xs, ys = (np.linspace(low + half, high - half, count).astype(int)
              for (low, high), count in zip(spans, (across, down)))
    return {(x, y, half): Agreement(reach) for y in ys for x in xs
            if seen[y - half:y + half, x - half:x + half].mean() > COVERED}
