# SPDX-License-Identifier: Apache-2.0
"""Clean visible-thermal pairs from disk, and an endless stream of degraded samples of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
import hashlib
from pathlib import Path
import sys

import cv2
import numpy as np
import torch
from torch.utils.data import IterableDataset

from degfusion_ros.learning import conditions, judged, layouts
from degfusion_ros.learning.folders import DataError, find_pairs, Pair, read
from degfusion_ros.models.enhancement import scene_statistics
from degfusion_ros.models.labels import VISIBLE_LABELS

MOSTLY = 0.85       # share of samples that have a label asked for; others may have it too
UNDEGRADED = 0.1    # share of pairs with nothing wrong, beyond the few of `conditions.draw`


class NoPairs(DataError):
    """Sets in which no pair is left to use."""


@dataclass(frozen=True)
class PairFolders:
    """
    Where the clean pairs are: `root`/SET/visible and `root`/SET/thermal.

    With `layout` (auto, or a name of layouts.LAYOUTS) each `root`/SET is a dataset in the folders
    of its release; what was published for testing is left out, for validation held back.
    """

    root: Path
    sets: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    validation_share: float = 0.06
    max_width: int = 640
    min_luminance: float = 0.0      # mean of 255; real nights have no clean truth to train on
    max_luminance: float = 255.0    # to find just these nights
    layout: str = ''

    def load(self, validation: bool = False) -> list[tuple[np.ndarray, np.ndarray]]:
        """
        Return (uint8 HxWx3 RGB, uint8 HxW) pairs; the split is fixed by the file stem, or the
        sequence.

        The validation pairs are the share and all of `exclude`, stems or the names that `layout`
        makes of them: what is never trained on. Raises DataError; NoPairs where none is left.
        """
        pairs, met, chosen, other = [], set(), 0, 0
        for name in self.sets:
            for found in self._find(Path(self.root) / name):
                known = {found.name, found.visible.stem}
                met |= known
                if found.split == 'test':
                    continue
                share = int(hashlib.sha1(_stem(found).encode()).hexdigest()[:8], 16) / 2 ** 32
                held_back = (found.split == 'val' or share < self.validation_share
                             or not known.isdisjoint(self.exclude))
                if held_back != validation:
                    other += 1
                    continue
                chosen += 1
                pair = self._fitted(*read(found))
                if self.min_luminance <= pair[0].mean() <= self.max_luminance:
                    pairs.append(pair)
        if not validation:
            self._tell_unmatched(met)
        if not pairs:
            raise NoPairs(f'{self.root}: of the sets {", ".join(self.sets)} '
                          f'{self._why_none(validation, chosen, other)}')
        return pairs

    def _why_none(self, validation: bool, chosen: int, other: int) -> str:
        if chosen:
            return (f'{chosen} pairs are {"held back" if validation else "to train on"}, none with '
                    f'a mean luminance from {self.min_luminance:g} to {self.max_luminance:g}: '
                    'change min_luminance, max_luminance or validation_share')
        if not other:
            return 'all pairs are published test images: add others to sets'
        if validation:
            return (f'no pair is held back, of {other}: raise validation_share '
                    f'({self.validation_share:g}), or name some in exclude')
        return (f'all {other} pairs are held back: lower validation_share '
                f'({self.validation_share:g}), or name fewer in exclude')

    def _find(self, folder: Path) -> list[Pair]:
        if self.layout:
            return layouts.find(folder, self.layout).pairs
        both = find_pairs(folder / 'visible', folder / 'thermal')
        return [Pair(stem, *paths) for stem, paths in both.items()]

    def _tell_unmatched(self, met: set[str]) -> None:
        unmatched = [str(stem) for stem in self.exclude if stem not in met]
        if unmatched:
            _tell(f'train: exclude: {", ".join(unmatched)}: no such pair in the sets '
                  f'{", ".join(self.sets)}; give file stems, in quotes where they are numbers')

    def _fitted(self, rgb: np.ndarray, heat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if rgb.shape[1] > self.max_width:
            size = (self.max_width, round(rgb.shape[0] * self.max_width / rgb.shape[1]))
            rgb, heat = (cv2.resize(x, size, interpolation=cv2.INTER_AREA) for x in (rgb, heat))
        return rgb, heat


@cache      # once, however often the sets are read
def _tell(line: str) -> None:
    print(line, file=sys.stderr)


def _stem(pair: Pair) -> str:
    """
    Return what divides a pair: its file's stem, which a layout's name may end with.

    The frames of a sequence are much alike, and stay together.
    """
    if pair.sequence:
        return pair.sequence
    stem = pair.visible.stem        # TNO's names are its scenes; the files of many are called Vis
    return stem if f'_{pair.name}'.endswith(f'_{stem}') else pair.name


class DegradedStream(IterableDataset):
    """
    Endless degraded samples as dictionaries of uint8 and float32 tensors.

    `views` 2x3x224x224 (visible, thermal) and `measures`, the guidance's input; `severity` (10,)
    visible then thermal labels;
    with crops > 0 also `degraded` and `clean`, crops x 4 x size x size (RGB, thermal), `warm`,
    crops x 2 x size x size (see warm_targets), the whole degraded frame's `statistics` (14,), and
    its luminance and the clean one's in `cells`, 2 x 48 x 64 in 0..1. With `mostly`, labels of
    visible images, most samples have one of them; a share of `alone` these alone, or nothing.
    """

    def __init__(self, pairs: list[tuple[np.ndarray, np.ndarray]], seed: int, crops: int = 0,
                 size: int = 128, mostly: Sequence[str] = (), alone: float = 0.0):
        self.pairs, self.seed, self.crops, self.size = pairs, seed, crops, size
        self.mostly, self.alone = set(mostly), alone
        if alone and not mostly:
            raise DataError(f'alone: {alone}: a share of frames with labels of mostly alone, which '
                            'names none: name some, or set it to 0')
        if not self.mostly <= set(VISIBLE_LABELS):
            raise DataError(f'mostly: {list(mostly)}: choose from {", ".join(VISIBLE_LABELS)}, '
                            'or leave it out')

    def __iter__(self):
        rng = judged.worker_rng(self.seed)
        while True:
            yield self.sample(rng)

    def sample(self, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        """Draw one frame, degrade the whole of it, judge-view it and crop it."""
        visible, thermal = augment(*self.pairs[rng.integers(len(self.pairs))], self.size, rng)
        if rng.random() < 0.3:
            thermal = misplaced(thermal, rng)
        condition = self._condition(rng)
        bad_visible = conditions.to_bytes(
            conditions.degrade_visible(visible, condition.visible, rng))
        bad_thermal = conditions.to_bytes(
            conditions.degrade_thermal(thermal, condition.thermal, rng))
        if rng.random() < 0.15:
            bad_visible = conditions.compress(bad_visible, rng)
        sample = {**judged.look(*a_moment_ago(bad_visible, bad_thermal, rng)),
                  'severity': judged.table(condition.visible, condition.thermal)}
        if self.crops:
            clean = np.dstack([conditions.to_bytes(visible), conditions.to_bytes(thermal)])
            degraded = np.dstack([bad_visible, bad_thermal])
            h, w = thermal.shape
            seen = torch.from_numpy(degraded).permute(2, 0, 1)[None].float() / 255
            sample['statistics'] = torch.cat(
                [scene_statistics(x)[0] for x in (seen[:, :3], seen[:, 3:])])
            sample['cells'] = torch.from_numpy(np.stack([cells(bad_visible), cells(visible)]))
            warm = np.dstack(warm_targets(clean[..., 3]))
            corners = [(rng.integers(h - self.size + 1), rng.integers(w - self.size + 1))
                       for _ in range(self.crops)]
            for key, image in (('degraded', degraded), ('clean', clean), ('warm', warm)):
                cut = np.stack([image[y:y + self.size, x:x + self.size] for y, x in corners])
                sample[key] = torch.from_numpy(cut).permute(0, 3, 1, 2).contiguous()
        return sample

    def _condition(self, rng: np.random.Generator) -> conditions.Condition:
        if rng.random() < self.alone:
            return self._alone(rng)
        if self.mostly and rng.random() < MOSTLY:
            drawn = conditions.draw(rng)
            while not self.mostly & set(drawn.visible):
                drawn = conditions.draw(rng)
        elif rng.random() < UNDEGRADED:
            return conditions.Condition()
        else:
            drawn = conditions.draw(rng)
        return conditions.with_faint_noise(drawn, rng)

    def _alone(self, rng: np.random.Generator) -> conditions.Condition:
        if rng.random() < UNDEGRADED:
            return conditions.Condition()
        drawn = conditions.draw(rng)
        while not self.mostly & set(drawn.visible):
            drawn = conditions.draw(rng)
        return replace(drawn, visible={label: severity for label, severity
                                       in drawn.visible.items() if label in self.mostly})


def augment(visible: np.ndarray, thermal: np.ndarray, smallest: int,
            rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Cut, scale, mirror and re-tone a clean uint8 pair; returns float32 in [0, 1]."""
    h, w = thermal.shape
    if rng.random() < 0.6:          # another framing of the scene
        keep = rng.uniform(0.55, 1.0)
        ch, cw = round(h * keep), round(w * keep)
        y, x = rng.integers(h - ch + 1), rng.integers(w - cw + 1)
        visible, thermal = visible[y:y + ch, x:x + cw], thermal[y:y + ch, x:x + cw]
        h, w = ch, cw
    scale = max(rng.uniform(0.75, 1.4), (smallest + 2) / min(h, w))
    size = (round(w * scale), round(h * scale))
    mode = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    visible, thermal = (cv2.resize(x, size, interpolation=mode) for x in (visible, thermal))
    if rng.random() < 0.5:
        visible, thermal = visible[:, ::-1], thermal[:, ::-1]
    visible = visible.astype(np.float32) / 255
    thermal = np.ascontiguousarray(thermal).astype(np.float32) / 255
    if rng.random() < 0.3:
        visible = np.power(visible, np.float32(rng.uniform(0.8, 1.3)))
        visible = visible * rng.uniform(0.94, 1.06, 3).astype(np.float32)
    if rng.random() < 0.3:
        thermal = np.power(thermal, np.float32(rng.uniform(0.7, 1.4)))
    return np.ascontiguousarray(visible.clip(0, 1)), thermal


def a_moment_ago(visible: np.ndarray, thermal: np.ndarray,
                 rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """
    Cut a pair to 90..100 % a side: what was judged is an earlier frame than the one restored.

    A network that hangs on its vector's last digits would pump with every judgement.
    """
    h, w = thermal.shape
    ch, cw = round(h * rng.uniform(0.9, 1)), round(w * rng.uniform(0.9, 1))
    y, x = rng.integers(h - ch + 1), rng.integers(w - cw + 1)
    return tuple(np.ascontiguousarray(i[y:y + ch, x:x + cw]) for i in (visible, thermal))


def misplaced(thermal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shift by up to 3 px, as registration leaves it; borders go on as they end."""
    move = np.float32([[1, 0, rng.uniform(-3, 3)], [0, 1, rng.uniform(-3, 3)]])
    return cv2.warpAffine(thermal, move, thermal.shape[::-1], flags=cv2.INTER_LINEAR,
                          borderMode=cv2.BORDER_REPLICATE)


def cells(rgb: np.ndarray) -> np.ndarray:
    """Return the luminance of a whole frame, uint8 or in 0..1, shrunk to float32 48 x 64."""
    small = cv2.resize(rgb.astype(np.float32), (64, 48), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY) / (255 if rgb.dtype == np.uint8 else 1)


def warm_targets(thermal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return masks (0, 1) of the hottest 2 % of a uint8 frame, and of 12 px around them."""
    smooth = cv2.GaussianBlur(thermal, (0, 0), 1.5)
    warm = (smooth >= np.percentile(smooth, 98)).astype(np.uint8)
    return warm, cv2.dilate(warm, np.ones((25, 25))) - cv2.dilate(warm, np.ones((5, 5)))
