# SPDX-License-Identifier: Apache-2.0
"""Pairs from disk, the sample stream and its reservoir."""

import cv2
import numpy as np
import pytest
import torch

from degfusion_ros.learning.pairs import (
    DataError,
    DegradedStream,
    find_pairs,
    PairFolders,
    Reservoir,
)


@pytest.fixture
def root(tmp_path):
    rng = np.random.default_rng(0)
    for side in ('visible', 'thermal'):
        (tmp_path / 'street' / side).mkdir(parents=True)
    for i in range(12):
        shape = (160, 200)
        cv2.imwrite(str(tmp_path / 'street/visible' / f'{i:03}.png'),
                    rng.integers(60, 255, (*shape, 3), dtype=np.uint8))
        cv2.imwrite(str(tmp_path / 'street/thermal' / f'{i:03}.jpg'),
                    rng.integers(0, 255, shape, dtype=np.uint8))
    return tmp_path


def test_split_and_exclusion_are_disjoint_and_stable(root):
    folders = PairFolders(root, ('street',), exclude=('003',), validation_share=0.4)
    train, held = folders.load(), folders.load(validation=True)
    assert len(train) + len(held) == 11 and train and held
    assert all((a[0] == b[0]).all() for a, b in zip(train, folders.load()))


def test_stream_is_reproducible_and_shaped(root):
    pairs = PairFolders(root, ('street',)).load()
    one, two = (next(iter(DegradedStream(pairs, seed=4, crops=2, size=64))) for _ in range(2))
    assert one['views'].shape == (2, 3, 224, 224) and one['views'].dtype == torch.uint8
    assert one['severity'].shape == (10,)
    assert one['degraded'].shape == one['clean'].shape == (2, 4, 64, 64)
    assert all(torch.equal(one[k], two[k]) for k in one)


def test_reservoir_keeps_the_newest():
    stream = ({'n': torch.tensor(i)} for i in range(100))
    reservoir = Reservoir(stream, capacity=5, seed=0)
    reservoir.fill(12)
    assert sorted(reservoir.draw(5)['n'].tolist()) == [7, 8, 9, 10, 11]
    assert reservoir.draw_one('n', 30).shape == (30,)


def test_bad_folders_are_named(root, tmp_path):
    with pytest.raises(DataError, match='absent'):
        find_pairs(tmp_path / 'absent', root / 'street/thermal')
    (root / 'street/visible/bad.png').write_bytes(b'no image')
    cv2.imwrite(str(root / 'street/thermal/bad.png'), np.zeros((8, 8), np.uint8))
    with pytest.raises(DataError, match=r'bad\.png'):
        PairFolders(root, ('street',), validation_share=0.0).load()


def test_unaligned_pairs_are_refused(root):
    cv2.imwrite(str(root / 'street/thermal/000.jpg'), np.zeros((8, 8), np.uint8))
    with pytest.raises(DataError, match='aligned'):
        PairFolders(root, ('street',), validation_share=0.0).load()
