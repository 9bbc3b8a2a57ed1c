# SPDX-License-Identifier: Apache-2.0
"""
Flicker of a sequence: how restless the results are where nothing moves, beside their sources.

Still pixels of two successive frames are those where the change of both reference sources, smoothed
over 3 px so that sensor noise does not count as motion, stays below 3 grey levels. There
`flicker` is the mean absolute change of a picture's luma and `pumping` the absolute change of its
mean luma, averaged over the sequence, both in grey levels of 255. The ratios relate a result to its
inputs: the fused image to the more restless of both sources, a restored image to its own source.
Up to 1 nothing was added; a copy of a source scores 1 or less.
"""

from collections.abc import Iterable

import cv2
import numpy as np

_SMOOTHING, _STILL = 3.0, 3.0
_FLOOR = 0.1        # grey levels: a source that stands absolutely still has no ratio to it
_SOURCES = {'fused': ('visible', 'thermal'), 'restored_visible': ('visible',),
            'restored_thermal': ('thermal',)}


def flicker(frames: Iterable[dict[str, np.ndarray]]) -> dict[str, float]:
    """
    Measure a sequence of frames, each a dictionary of grey HxW uint8 pictures.

    Keys: visible and thermal (the inputs), fused, and where they exist restored_visible,
    restored_thermal, clean_visible and clean_thermal (then the references of what is still).
    Returns flicker_NAME and pumping_NAME of inputs and results, flicker_ratio_NAME and
    pumping_ratio_NAME of the results, and still_share; empty where no frame follows another of
    its size or nothing is still.
    """
    last, sums, pumps, still, seen, steps = None, {}, {}, 0, 0, 0
    for frame in frames:
        now = {name: picture.astype(np.float32) for name, picture in frame.items()}
        if last is not None and _alike(last, now):
            where = _still(last, now)
            seen += where.size
            if where.any():
                still += int(where.sum())
                steps += 1
                for name in now:
                    if not name.startswith('clean_'):
                        change = (now[name] - last[name])[where]
                        sums[name] = sums.get(name, 0.0) + float(np.abs(change).sum())
                        pumps[name] = pumps.get(name, 0.0) + float(abs(change.mean()))
        last = now
    if not still:
        return {}
    told = {'still_share': still / seen}
    for kind, values in (('flicker', {n: s / still for n, s in sums.items()}),
                         ('pumping', {n: p / steps for n, p in pumps.items()})):
        told |= {f'{kind}_{name}': value for name, value in values.items()}
        told |= {f'{kind}_ratio_{name}':
                 values[name] / max(*(values[s] for s in sources), _FLOOR)
                 for name, sources in _SOURCES.items() if name in values}
    return told


def _alike(last: dict[str, np.ndarray], now: dict[str, np.ndarray]) -> bool:
    return last.keys() == now.keys() and all(last[n].shape == now[n].shape for n in now)


def _still(last: dict[str, np.ndarray], now: dict[str, np.ndarray]) -> np.ndarray:
    where = None
    for side in ('visible', 'thermal'):
        name = f'clean_{side}' if f'clean_{side}' in now else side
        change = cv2.GaussianBlur(now[name] - last[name], (0, 0), _SMOOTHING)
        calm = np.abs(change) < _STILL
        where = calm if where is None else where & calm
    return where
