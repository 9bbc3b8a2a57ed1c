# SPDX-License-Identifier: Apache-2.0
"""
What a pair of frames measures: numbers that say fog, noise, blur or stripes on any scene.

A network taught on a few hundred scenes learns the scenes; these figures do not know them. Pixel
sizes count: only light and haze are measured after a resize.
"""

from itertools import pairwise

import cv2
import numpy as np

_BLOCK = 16
_BANDS = (0, 1, 2, 3, 5, 8, 12, 16)                 # frequencies of a 16-point cosine transform
_LEVELS = (0.5, 5, 25, 50, 75, 95, 99.5)            # percent of pixels
_SHARES = (5, 25, 50, 75, 90, 97)                   # percent of blocks
_SLANTS = (-0.5, -0.25, 0.0, 0.25, 0.5)             # of rain, columns a row
_STREAK = 13
_k, _n = np.mgrid[:_BLOCK, :_BLOCK]
_COSINES = (np.cos(np.pi * (_n + 0.5) * _k / _BLOCK) * np.where(_k, 1, np.sqrt(0.5))
            * np.sqrt(2 / _BLOCK)).astype(np.float32)
_MEANS = np.stack([(_k[:, 0] >= a) & (_k[:, 0] < b) for a, b in pairwise(_BANDS)], axis=1)
_MEANS = _MEANS / _MEANS.sum(axis=0)                # coefficients x bands
# 256 coefficients of a block, as rows, to the means of 7 x 7 bands, without the block's mean
_GROUPS = np.kron(_MEANS, _MEANS)[:, 1:].astype(np.float32)


def pair_statistics(visible: np.ndarray, thermal: np.ndarray) -> np.ndarray:
    """
    Measure uint8 HxWx3 RGB and uint8 HxW (32 or more on a side): float32 (COUNT,).

    The first VISIBLE_COUNT are the visible frame's, the others the thermal one's; equal meanings
    for every size. Counts of light are shares of 255, energies are log2.
    """
    return np.concatenate([visible_statistics(visible), thermal_statistics(thermal)])


def visible_statistics(rgb: np.ndarray) -> np.ndarray:
    """Measure light, haze, detail and upright streaks: float32 (VISIBLE_COUNT,)."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    small = _shrunk(rgb, 4)
    return np.concatenate([_size(grey), _light(grey), _contrast(_shrunk(grey, 4)), _haze(small),
                           _detail(grey), _streaks(grey)]).astype(np.float32)


def thermal_statistics(grey: np.ndarray) -> np.ndarray:
    """Measure light, contrast, detail and what columns and rows share: float32."""
    values = grey.astype(np.float32)
    return np.concatenate([_size(grey), _light(grey), _contrast(_shrunk(grey, 4)), _detail(grey),
                           _lines(values[::2]),
                           _lines(np.ascontiguousarray(values[:, ::2].T))]).astype(np.float32)


def _shrunk(image: np.ndarray, factor: int) -> np.ndarray:
    size = (image.shape[1] // factor, image.shape[0] // factor)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _log(values: np.ndarray | float, floor: float) -> np.ndarray:
    return np.log2(np.maximum(values, 0) + floor)


def _levels(image: np.ndarray, shares: tuple[float, ...]) -> np.ndarray:
    # percentiles of bytes, by their histogram
    below = np.cumsum(cv2.calcHist([image], [0], None, [256], [0, 256]))
    return np.searchsorted(below, np.array(shares) / 100 * image.size).astype(np.float32)


def _size(grey: np.ndarray) -> np.ndarray:
    return np.log2([grey.shape[0] / 480, grey.shape[1] / 640])


def _light(grey: np.ndarray) -> np.ndarray:
    # of all pixels, then of means over 4x4, which noise does not widen; and what is clipped
    small = _shrunk(grey, 4)
    spread = cv2.meanStdDev(small)[1][0, 0] / 255
    counts = cv2.calcHist([grey], [0], None, [256], [0, 256])[:, 0] / grey.size
    clipped = np.array([counts[:4].sum(), counts[240:].sum(), counts[252:].sum(), counts[255],
                        counts.max(), (counts > 1e-4).mean()])
    return np.concatenate([_levels(grey, _LEVELS) / 255, _levels(small, _LEVELS) / 255,
                           [spread, _log(spread, 0.01)], clipped, np.sqrt(clipped)])


def _contrast(small: np.ndarray) -> np.ndarray:
    # local contrast, as such and relative to the light, and light from the sky to the ground
    light = small.astype(np.float32)
    mean = cv2.blur(light, (7, 7))
    spread = _log(np.sqrt(np.maximum(cv2.blur(light * light, (7, 7)) - mean * mean, 0)), 0.5)
    return np.concatenate([np.percentile(spread, _SHARES),
                           np.percentile(spread - _log(mean, 4), _SHARES),
                           *([part.mean() for part in np.array_split(x, 4)]
                             for x in (spread, light / 255))])


def _haze(small: np.ndarray) -> np.ndarray:
    # dark channel and saturation, overall and from the sky to the ground; colour cast
    low, high = small.min(axis=2), small.max(axis=2)
    rows = []
    for image in (cv2.erode(low, np.ones((5, 5), np.uint8)), high - low):
        rows.append(_levels(image, _LEVELS) / 255)
        rows.append([part.mean() / 255 for part in np.array_split(image, 4)])
    means = np.array(cv2.mean(small)[:3])
    return np.concatenate([*rows, (small >= 250).mean(axis=(0, 1)), means / max(means.mean(), 1)])


def _detail(grey: np.ndarray) -> np.ndarray:
    # block cosine transforms: dull blocks tell noise and stripes, lively ones blur; half size
    # sees wider blur, through more noise
    return np.concatenate([_spectrum(grey, _SHARES, every=2),
                           _spectrum(_shrunk(grey, 2), _SHARES[2:], every=1)])


def _spectrum(grey: np.ndarray, shares: tuple[float, ...], every: int) -> np.ndarray:
    rows, columns = (max(n // _BLOCK, 1) for n in grey.shape)
    grey = cv2.copyMakeBorder(grey, 0, max(_BLOCK - grey.shape[0], 0), 0,
                              max(_BLOCK - grey.shape[1], 0), cv2.BORDER_REFLECT_101)
    blocks = grey[:rows * _BLOCK, :columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK)
    blocks = blocks.transpose(0, 2, 1, 3).reshape(-1, _BLOCK, _BLOCK)[::every].astype(np.float32)
    power = np.square(_COSINES @ blocks @ _COSINES.T)
    bands = np.sort(_log(_grouped(power.reshape(-1, _BLOCK * _BLOCK)), 0.1).T, axis=1)
    # np.percentile gives the same, slowly
    rank = np.array(shares) / 100 * (bands.shape[1] - 1)
    low = rank.astype(int)
    high = np.minimum(low + 1, bands.shape[1] - 1)
    return (bands[:, low] + (bands[:, high] - bands[:, low]) * (rank - low)).T.ravel()


def _grouped(power: np.ndarray) -> np.ndarray:
    # 16 rows at a time: larger products wake the threads of numpy's library, which then spin
    whole = len(power) // 16 * 16
    parts = power[:whole].reshape(-1, 16, power.shape[1]) @ _GROUPS
    return np.concatenate([parts.reshape(-1, _GROUPS.shape[1]), power[whole:] @ _GROUPS])


def _lines(values: np.ndarray) -> np.ndarray:
    # what a column has in common from top to bottom: products of its quarters, free of noise
    found = []
    for width in (3, 9, 33):
        rough = np.clip(values - cv2.blur(values, (width, 1)), -24, 24)
        quarters = np.stack([part.mean(axis=0) for part in np.array_split(rough, 4)])
        whole = quarters.mean(axis=0)
        own, joint = np.mean(quarters * quarters), np.mean(whole * whole)
        common = (16 * joint - 4 * own) / 12
        found += [_log(common, 0.01), _log(joint, 0.01), _log(np.mean(rough * rough), 0.01),
                  common / (own + 0.01), *_log(np.percentile(np.abs(whole), (50, 98)), 0.05)]
    return np.array(found)


def _streaks(grey: np.ndarray) -> np.ndarray:
    # thin upright lines, brighter (rain) and darker (posts, twigs) than both sides
    h, w = (min(n, limit) for n, limit in zip(grey.shape, (320, 448)))
    y, x = (grey.shape[0] - h) // 2, (grey.shape[1] - w) // 2
    core, bar = grey[y:y + h, x:x + w], np.ones((1, 7), np.uint8)
    found = []
    for kind in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT):
        thin = cv2.convertScaleAbs(cv2.morphologyEx(core, kind, bar), alpha=4)
        spread = cv2.meanStdDev(thin)[1][0, 0] + 2
        levels, sums = [], []
        for slant in _SLANTS:       # put the streaks upright, then run along them
            upright = cv2.warpAffine(thin, np.float32([[1, slant, -slant * h / 2], [0, 1, 0]]),
                                     (w, h), flags=cv2.INTER_NEAREST)
            drawn = cv2.blur(upright, (1, _STREAK))
            sums.append(cv2.meanStdDev(drawn)[1][0, 0] / spread)
            levels.append(_levels(drawn, (50, 90, 98, 99.7)))
        sums = np.array(sums)
        found.append(np.concatenate([
            [np.log2(spread)], sums, [np.ptp(sums), sums.max() - np.median(sums)],
            _log(np.max(levels, axis=0), 1), _log(np.median(levels, axis=0), 1),
            _log(_levels(thin, (50, 90, 98, 99.7)), 1)]))
    return np.concatenate([*found, found[0] - found[1]])


_smallest = np.zeros((32, 32, 3), np.uint8)
VISIBLE_COUNT = len(visible_statistics(_smallest))
COUNT = VISIBLE_COUNT + len(thermal_statistics(_smallest[..., 0]))
