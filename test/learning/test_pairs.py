# SPDX-License-Identifier: Apache-2.0
"""Pairs from disk, the sample stream and its reservoir."""

import cv2
import numpy as np
import pytest
import torch

from degfusion_ros.imaging.statistics import COUNT
from degfusion_ros.learning.pairs import (
    DataError,
    DegradedStream,
    find_pairs,
    PairFolders,
    Reservoir,
)


def test_split_and_exclusion_are_disjoint_and_stable(pair_root):
    folders = PairFolders(pair_root, ('street',), exclude=('003',), validation_share=0.4)
    train, held = folders.load(), folders.load(validation=True)
    assert len(train) + len(held) == 12 and train and held
    assert all((a[0] == b[0]).all() for a, b in zip(train, folders.load()))


def test_stream_is_reproducible_and_shaped(pair_root):
    pairs = PairFolders(pair_root, ('street',)).load()
    one, two = (next(iter(DegradedStream(pairs, seed=4, crops=2, size=64))) for _ in range(2))
    assert one['views'].shape == (2, 3, 224, 224) and one['views'].dtype == torch.uint8
    assert one['severity'].shape == (10,)
    assert one['measures'].shape == (COUNT,)
    assert one['degraded'].shape == one['clean'].shape == (2, 4, 64, 64)
    assert one['statistics'].shape == (14,)
    assert all(torch.equal(one[k], two[k]) for k in one)


def test_reservoir_keeps_the_newest():
    stream = ({'n': torch.tensor(i)} for i in range(100))
    reservoir = Reservoir(stream, capacity=5, seed=0)
    reservoir.fill(12)
    assert sorted(reservoir.draw(5)['n'].tolist()) == [7, 8, 9, 10, 11]
    assert reservoir.draw_one('n', 30).shape == (30,)


def test_bad_folders_are_named(pair_root, tmp_path):
    with pytest.raises(DataError, match='absent'):
        find_pairs(tmp_path / 'absent', pair_root / 'street/thermal')
    (pair_root / 'street/visible/bad.png').write_bytes(b'no image')
    cv2.imwrite(str(pair_root / 'street/thermal/bad.png'), np.zeros((8, 8), np.uint8))
    with pytest.raises(DataError, match=r'bad\.png'):
        PairFolders(pair_root, ('street',), validation_share=0.0).load()


def test_unaligned_pairs_are_refused(pair_root):
    cv2.imwrite(str(pair_root / 'street/thermal/000.jpg'), np.zeros((8, 8), np.uint8))
    with pytest.raises(DataError, match='aligned'):
        PairFolders(pair_root, ('street',), validation_share=0.0).load()
