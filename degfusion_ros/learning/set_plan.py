# SPDX-License-Identifier: Apache-2.0
"""What a benchmark set is to hold: which pair goes into which split under which conditions."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
import hashlib

import cv2
import numpy as np

from degfusion_ros import __version__
from degfusion_ros.learning import effects
from degfusion_ros.learning.draws import seed_of
from degfusion_ros.learning.folders import DataError, Pair

CLEAN = 'clean'
GENERATOR = 2       # counts the changes of what an effect does to the same picture by the same seed


@dataclass(frozen=True)
class Recipe:
    """
    The settings of a set; the same recipe on the same images gives the same bytes.

    conditions, composites: names as effects.parse takes them. composite_pairs: pairs (scenes, in
    a sequence) of each composite, 30 in DeMMI-RF. test_share: of the scenes that nobody divided.
    per_pair: conditions drawn for each scene, 0 for all. split: auto, or train or test for
    everything. sequence: '' for single pairs, folder or prefix for what one scene is.
    """

    conditions: tuple[str, ...]
    composites: tuple[str, ...] = effects.COMPOSITES
    composite_pairs: int = 30
    test_share: float = 0.25
    per_pair: int = 0
    split: str = 'auto'
    sequence: str = ''
    seed: int = 0

    def __post_init__(self):
        for condition in (*self.conditions, *self.composites):
            effects.parse(condition)


@dataclass(frozen=True)
class Task:
    """One clean pair, the scene it belongs to and every (split, condition) it is wanted in."""

    pair: Pair
    scene: str
    wanted: tuple[tuple[str, str], ...]


def plan(pairs: Sequence[Pair], recipe: Recipe) -> list[Task]:
    """
    Return a task a pair, in order.

    A scene is in one split as a whole: the published one, else by a hash of its name, so that
    more images leave the others where they are. Composites are of test scenes. Raises DataError
    when two pairs share a name.
    """
    twice = next((n for n, count in Counter(p.name for p in pairs).items() if count > 1), None)
    if twice is not None:
        raise DataError(f'{twice}: two pairs have this name; give their folders one by one')
    scenes = [_scene(pair, recipe.sequence) for pair in pairs]
    splits = [_split(pair, scene, recipe, alone=len(set(scenes)) == 1)
              for pair, scene in zip(pairs, scenes)]
    tested = sorted({scene for scene, split in zip(scenes, splits) if split == 'test'})
    composite = {name: _chosen(tested, recipe.composite_pairs, recipe.seed, name)
                 for name in recipe.composites}
    tasks = []
    for pair, scene, split in zip(pairs, scenes, splits):
        wanted = [(split, CLEAN), *((split, c) for c in _own(scene, recipe))]
        joint = [('composite', c) for c, chosen in composite.items()
                 if split == 'test' and scene in chosen]
        if joint:
            wanted += [('composite', CLEAN), *joint]
        tasks.append(Task(pair, scene, tuple(wanted)))
    return tasks


def settings(recipe: Recipe, tasks: Sequence[Task]) -> dict:
    """Return what decides the bytes of a set, for a file that tells two runs apart."""
    names = '\n'.join(f'{task.wanted[0][0]}/{task.pair.name}' for task in tasks)
    recipe_told = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(recipe).items()}
    return {'version': __version__, 'generator': GENERATOR, 'numpy': np.__version__,
            'opencv': cv2.__version__, **recipe_told, 'pairs': len(tasks),
            'names_sha256': hashlib.sha256(names.encode()).hexdigest()}


def _scene(pair: Pair, sequence: str) -> str:
    if sequence == 'folder':
        return pair.folder
    if sequence == 'prefix':
        return pair.name.rstrip('0123456789').rstrip('_-. ')
    return pair.name


def _split(pair: Pair, scene: str, recipe: Recipe, alone: bool) -> str:
    if recipe.split != 'auto':
        return recipe.split
    if pair.split:
        return pair.split
    share = seed_of('split', scene) / 2 ** 64
    return 'test' if alone or share < recipe.test_share else 'train'


def _own(scene: str, recipe: Recipe) -> list[str]:
    if not recipe.per_pair:
        return list(recipe.conditions)
    chosen = _chosen(recipe.conditions, recipe.per_pair, recipe.seed, scene)
    return [c for c in recipe.conditions if c in chosen]


def _chosen(names: Sequence[str], count: int, seed: int, purpose: str) -> set[str]:
    return set(sorted(names, key=lambda name: seed_of(seed, 'choice', purpose, name))[:count])
