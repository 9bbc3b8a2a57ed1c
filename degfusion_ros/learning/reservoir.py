# SPDX-License-Identifier: Apache-2.0
"""A store between a slow stream of samples and the training that draws from them."""

from collections.abc import Callable, Iterator

import numpy as np
import torch

_AT_ONCE = 64       # samples completed together: more would want much memory


class Reservoir:
    """
    The newest samples of a slow stream, drawn from at random by a fast consumer.

    Degrading whole frames on a few cores is slower than training; every sample is met about
    `reuse` times before `capacity` newer ones displace it.
    """

    def __init__(self, stream, capacity: int, seed: int):
        self._stream, self._capacity = iter(stream), capacity
        self._items: list[dict] = []
        self._next = 0
        self._rng = np.random.default_rng(seed)

    def fill(self, count: int, prepare: Callable[[list[dict]], list[dict]] | None = None) -> None:
        """Take `count` fresh samples in; `prepare` may complete them once, all together."""
        # copies: every tensor that a worker process sent holds a file open
        fresh = [{k: v.clone() for k, v in next(self._stream).items()} for _ in range(count)]
        for item in prepare(fresh) if prepare else fresh:
            if len(self._items) < self._capacity:
                self._items.append(item)
            else:
                self._items[self._next] = item
                self._next = (self._next + 1) % self._capacity

    def begin(self, first: int, since: float = 0.0,
              prepare: Callable[[list[dict]], list[dict]] | None = None) -> None:
        """
        Fill as a run has it that began with `first` samples and took in `since` later.

        A run that resumes would else go through few samples over and over.
        """
        for left in range(min(self._capacity, first + round(since)), 0, -_AT_ONCE):
            self.fill(min(left, _AT_ONCE), prepare)

    def __len__(self) -> int:
        return len(self._items)

    def draw(self, count: int) -> dict[str, torch.Tensor]:
        """Stack `count` different random samples."""
        chosen = self._rng.choice(len(self._items), size=count, replace=False)
        keys = self._items[0]
        return {k: torch.stack([self._items[i][k] for i in chosen]) for k in keys}

    def chunks(self, count: int) -> Iterator[dict[str, torch.Tensor]]:
        """Go through all samples, oldest first or not, `count` at a time."""
        for i in range(0, len(self._items), count):
            part = self._items[i:i + count]
            yield {k: torch.stack([item[k] for item in part]) for k in part[0]}

    def draw_some(self, keys: tuple[str, ...], count: int) -> dict[str, torch.Tensor]:
        """Stack some entries of `count` random samples, some of them perhaps twice."""
        chosen = self._rng.integers(len(self._items), size=count)
        return {k: torch.stack([self._items[i][k] for i in chosen]) for k in keys}
