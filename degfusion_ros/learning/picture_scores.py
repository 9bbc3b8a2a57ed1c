# SPDX-License-Identifier: Apache-2.0
"""Score every picture of one or more results, in several processes."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
import multiprocessing
from typing import NamedTuple

import cv2
import numpy as np

from degfusion_ros.imaging.errors import FrameError
from degfusion_ros.imaging.picture_file import read_picture, read_rgb, read_thermal
from degfusion_ros.imaging.thermal import ThermalScaler
from degfusion_ros.learning import metrics, metrics_colour, metrics_likeness as likeness
from degfusion_ros.learning.metrics_flicker import flicker
from degfusion_ros.learning.result_folders import Case, EvaluationError, SIDES

Progress = Callable[[Iterable, int], Iterable]


class Scored(NamedTuple):
    """Figures of one case, empty where it could not be scored, and what was wrong with it."""

    case: Case
    figures: dict[str, float]
    problems: tuple[str, ...]


def score_all(cases: list[Case], jobs: int = 1, progress: Progress | None = None) -> list[Scored]:
    """Score all cases in `jobs` processes; `progress` wraps the iteration (results, count)."""
    watched = progress or (lambda results, count: results)
    if jobs <= 1:
        return list(watched(map(score, cases), len(cases)))
    with ProcessPoolExecutor(jobs, multiprocessing.get_context('spawn'), _one_thread) as pool:
        try:
            return list(watched(pool.map(score, cases, chunksize=4), len(cases)))
        except BrokenProcessPool as error:
            raise EvaluationError(f'a scoring process died, perhaps for want of memory: try fewer '
                                  f'than {jobs} jobs') from error


def score(case: Case) -> Scored:
    """
    Measure one fused picture against the clean sources, or the inputs where there are no clean.

    Clean sources add the figures of metrics_colour.measure. With them, restored pictures add
    restored_SIDE_PSNR and _SSIM, the restored visible one's colour (restored_visible_cast, ...),
    and gain_*, what these are better by than the input (nan where that was not degraded).
    """
    clean = {side: getattr(case, f'clean_{side}') for side in SIDES}
    sources = {side: clean[side] or getattr(case, side) for side in SIDES}
    try:
        against = {side: read(path, side) for side, path in sources.items()}
        fused = read(case.fused)
        for path, image in ((sources['thermal'], against['thermal']), (case.fused, fused)):
            if image.shape[:2] != against['visible'].shape[:2]:
                raise ValueError(f'{path}: {_size(image)} where the visible source is '
                                 f'{_size(against["visible"])}')
        figures = metrics.measure(fused, **against)
        if clean['visible']:
            figures |= _colour(case.fused, fused, against['visible'])
    except ValueError as error:
        return Scored(case, {}, (str(error),))
    problems = []
    for side in SIDES:
        if clean[side] and getattr(case, f'restored_{side}'):
            try:
                figures |= _restoration(case, side, against[side])
            except ValueError as error:
                problems.append(str(error))
    return Scored(case, figures, tuple(problems))


def flicker_of(cases: list[Case]) -> dict[str, float]:
    """Measure the flicker of one result's sequence, in the order of the names."""
    return flicker(_frames(sorted(cases, key=lambda case: case.name)))


def read(path: object, side: str = 'visible') -> np.ndarray:
    """
    Read a picture as uint8: RGB, or grey for side 'thermal' (16 bits stretched as fuse does).

    Raises ValueError naming the file.
    """
    if side == 'visible':
        return read_rgb(path)
    image = read_thermal(path)
    if image.dtype == np.uint8:
        return image
    try:
        return (ThermalScaler()(image) * 255 + 0.5).astype(np.uint8)
    except FrameError as error:
        raise ValueError(f'{path}: {error}') from error


def _restoration(case: Case, side: str, truth: np.ndarray) -> dict[str, float]:
    path, source = getattr(case, f'restored_{side}'), getattr(case, side)
    restored, given = read(path, side), read(source, side)
    for image in (restored, given):
        if image.shape != truth.shape:
            raise ValueError(f'{path}: restored {side} of {_size(restored)}, input of '
                             f'{_size(given)}, clean source of {_size(truth)}')
    figures, degraded = {}, not np.array_equal(given, truth)
    for name, of in (('PSNR', _psnr), ('SSIM', likeness.ssim)):
        now = of(truth, restored)
        figures[f'restored_{side}_{name}'] = now
        figures[f'gain_{side}_{name}'] = now - of(truth, given) if degraded else float('nan')
    if side == 'visible':
        colour, before = _colour(path, restored, truth), _colour(source, given, truth)
        figures |= {f'restored_visible_{name}': value for name, value in colour.items()}
        figures |= {f'gain_visible_{name}': before.get(name, float('nan')) - value if degraded
                    else float('nan') for name, value in colour.items()
                    if metrics_colour.BETTER[name] < 0}
    return figures


def _colour(path: object, image: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Measure the colour of a picture read from `path`; a file of one channel has none."""
    if read_picture(path, cv2.IMREAD_ANYCOLOR).ndim == 2:
        return {}
    return metrics_colour.measure(image, truth)


def _psnr(truth: np.ndarray, image: np.ndarray) -> float:
    return likeness.psnr(likeness.squared_error(truth, image))


def _frames(cases: list[Case]) -> Iterator[dict[str, np.ndarray]]:
    for case in cases:
        paths = {'visible': case.visible, 'thermal': case.thermal, 'fused': case.fused}
        paths |= {name: path for side in SIDES for kind in ('clean', 'restored')
                  if (path := getattr(case, name := f'{kind}_{side}'))}
        try:
            frame = {name: read(path, 'thermal') for name, path in paths.items()}
        except ValueError:
            continue        # already told by `score`
        if len({picture.shape for picture in frame.values()}) == 1:
            yield frame


def _size(image: np.ndarray) -> str:
    return f'{image.shape[1]}x{image.shape[0]}'


def _one_thread() -> None:
    cv2.setNumThreads(1)
