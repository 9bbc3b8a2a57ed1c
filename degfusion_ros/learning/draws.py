# SPDX-License-Identifier: Apache-2.0
"""Random numbers that are written down, seeded by words, and still within a sequence."""

from collections.abc import Callable
import hashlib

import numpy as np

_SHORT = 4      # longer arrays follow from the seed; nobody reads them


def seed_of(*words: object) -> int:
    """Return a 64-bit seed that depends on the words alone, on every machine."""
    told = '\x1f'.join(str(word) for word in words)
    return int.from_bytes(hashlib.sha256(told.encode()).digest()[:8], 'big')


def of_moment(rng: 'np.random.Generator | Draws') -> np.random.Generator:
    """Return what gives a frame's own noise: the frame's generator of Draws, else `rng` itself."""
    return rng.moment if isinstance(rng, Draws) else rng


class Draws:
    """
    Stands in for a numpy Generator and writes down what it gave.

    Arrays of the frame's shape are the noise of the moment and come from `frame_seed`, as does what
    `of_moment` draws; everything else is a parameter of the scene or the camera and comes from
    `scene_seed`. Frames that share a scene seed get the same fog, streak slant or column offsets
    under noise of their own.
    `log` holds [name, value] in order. `moment` is the frame's generator, for noise of any shape.
    """

    def __init__(self, scene_seed: int, frame_seed: int, shape: tuple[int, int]):
        self._scene = np.random.default_rng(scene_seed)
        self.moment = np.random.default_rng(frame_seed)
        self._shape = tuple(shape)
        self.log: list[list] = []

    def note(self, name: str, value: float) -> None:
        """Write a parameter down that was not drawn."""
        self.log.append([name, value])

    def __getattr__(self, method: str) -> Callable:
        def draw(*args, **kwargs):
            given = (*args, *kwargs.values())
            moment = any(isinstance(x, tuple) and x[:2] == self._shape for x in given)
            value = getattr(self.moment if moment else self._scene, method)(*args, **kwargs)
            if not moment and np.size(value) <= _SHORT:
                limits = ', '.join(str(x) for x in args)
                self.log.append([f'{method}({limits})', np.asarray(value).tolist()])
            return value
        return draw
