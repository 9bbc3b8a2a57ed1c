# SPDX-License-Identifier: Apache-2.0
"""The reservoir: what it keeps, and how full it begins."""

import torch

from degfusion_ros.learning.reservoir import Reservoir


def test_reservoir_keeps_the_newest():
    stream = ({'n': torch.tensor(i)} for i in range(100))
    reservoir = Reservoir(stream, capacity=5, seed=0)
    reservoir.fill(12)
    assert sorted(reservoir.draw(5)['n'].tolist()) == [7, 8, 9, 10, 11]
    assert reservoir.draw_some(('n',), 30)['n'].shape == (30,)


def test_reservoir_begins_as_full_as_the_run_had_it():
    def filled(capacity, *begin):
        parts = []
        reservoir = Reservoir(({'n': torch.tensor(i)} for i in range(999)), capacity, seed=0)
        reservoir.begin(*begin, lambda fresh: parts.append(len(fresh)) or fresh)
        return len(reservoir), parts
    assert filled(500, 64, 0) == (64, [64])
    assert filled(500, 64, 100.4) == (164, [64, 64, 36])     # completed in parts: memory
    assert filled(100, 64, 4000) == (100, [64, 36])


def test_reservoir_keeps_copies():
    sample = {'x': torch.zeros(1)}      # a worker's memory, of which every tensor is an open file
    reservoir = Reservoir(iter([sample]), capacity=5, seed=0)
    reservoir.fill(1)
    sample['x'].fill_(7)
    assert reservoir.draw(1)['x'].item() == 0
