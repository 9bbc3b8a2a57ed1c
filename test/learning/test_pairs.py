# SPDX-License-Identifier: Apache-2.0
"""Pairs from disk, the sample stream and its reservoir."""

import cv2
import numpy as np
import pytest
import torch

from degfusion_ros.imaging.statistics import COUNT
from degfusion_ros.learning.pairs import (
    a_moment_ago,
    cells,
    DataError,
    DegradedStream,
    find_pairs,
    misplaced,
    NoPairs,
    PairFolders,
)
from degfusion_ros.models.labels import VISIBLE_LABELS


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
    assert one['cells'].shape == (2, 48, 64)
    assert 0 <= one['cells'].min() < one['cells'].max() < 1.001
    assert all(torch.equal(one[k], two[k]) for k in one)


def test_most_samples_have_the_label_asked_for():
    stream = DegradedStream([(np.full((64, 64, 3), 90, np.uint8), np.eye(64, dtype=np.uint8))],
                            seed=0, mostly=['rain'])
    rng = np.random.default_rng(0)
    rain = np.mean([stream.sample(rng)['severity'][VISIBLE_LABELS.index('rain')] > 0
                    for _ in range(60)])
    assert 0.75 < rain < 1
    with pytest.raises(DataError, match=r"mostly: \['hail'\]: choose from fog"):
        DegradedStream([], seed=0, mostly=['hail'])
    with pytest.raises(DataError, match='alone: 0.5: .* mostly'):
        DegradedStream([], seed=0, alone=0.5)


def test_samples_may_have_the_label_asked_for_alone_or_nothing():
    stream = DegradedStream([(np.full((64, 64, 3), 90, np.uint8), np.eye(64, dtype=np.uint8))],
                            seed=0, mostly=['rain'], alone=1.0)
    rng = np.random.default_rng(0)
    found = np.array([stream.sample(rng)['severity'][:len(VISIBLE_LABELS)].numpy() > 0
                      for _ in range(60)])
    rain = VISIBLE_LABELS.index('rain')
    assert not np.delete(found, rain, axis=1).any() and 0.75 < found[:, rain].mean() < 1


def test_what_is_judged_is_a_frame_nearly_the_same():
    rng, frame = np.random.default_rng(0), np.arange(100 * 120 * 3).reshape(100, 120, 3)
    heat, sizes = frame[..., 0], set()
    for _ in range(50):
        seen, warmth = a_moment_ago(frame, heat, rng)
        assert np.array_equal(seen[..., 0], warmth)
        (h, w), first = warmth.shape, warmth[0, 0] // 3
        y, x = divmod(first, 120)
        assert np.array_equal(warmth, heat[y:y + h, x:x + w])
        sizes.add((h, w))
    assert len(sizes) > 20 and min(h for h, _ in sizes) >= 90 and min(w for _, w in sizes) >= 108


def test_a_misplaced_thermal_image_is_off_by_up_to_three_pixels_and_ends_as_it_did():
    rng, moves = np.random.default_rng(0), []
    y, x = np.indices((60, 80), dtype=np.float32)
    for _ in range(60):
        across, down = (misplaced(ramp, np.random.default_rng(seed)) for seed in
                        [int(rng.integers(2 ** 31))] for ramp in (x, y))
        assert across.shape == x.shape and across.dtype == np.float32
        inside = slice(4, -4), slice(4, -4)
        dx, dy = (x - across)[inside], (y - down)[inside]
        assert np.ptp(dx) < 0.05 and np.ptp(dy) < 0.05      # the whole image, and it alone moves
        moves.append((dx.mean(), dy.mean()))
        assert across.min() >= 0 and down.min() >= 0
        flat = misplaced(np.full((60, 80), 0.7, np.float32), rng)
        assert np.abs(flat - 0.7).max() < 1e-6              # no black border comes in
    moves = np.array(moves)
    assert np.abs(moves).max() <= 3 + 1 / 32                # what warpAffine rounds to
    assert (moves.max(axis=0) > 2).all() and (moves.min(axis=0) < -2).all()
    assert abs(np.corrcoef(moves.T)[0, 1]) < 0.5


def test_cells_are_luminance_of_bytes_and_of_floats():
    frame = np.full((96, 128, 3), (51, 102, 153), np.uint8)
    want = (0.299 * 51 + 0.587 * 102 + 0.114 * 153) / 255
    for image in (frame, frame.astype(np.float32) / 255):
        np.testing.assert_allclose(cells(image), want, atol=1e-5)


def test_excluded_stems_without_a_pair_are_told_once(pair_root, capsys):
    for _ in range(2):
        PairFolders(pair_root, ('street',), exclude=('003', 'never_a_pair', 17)).load()
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert 'exclude: never_a_pair, 17: no such pair in the sets street' in told[0]


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


@pytest.mark.parametrize('validation, change, told', [
    (True, {'validation_share': 0.0},
     r'no pair is held back, of 12: raise validation_share \(0\), or name some in exclude'),
    (False, {'validation_share': 1.0},
     r'all 12 pairs are held back: lower validation_share \(1\), or name fewer in exclude'),
    (False, {'validation_share': 0.0, 'max_luminance': 9.0},
     '12 pairs are to train on, none with a mean luminance from 0 to 9: change min_luminance, '),
    (True, {'validation_share': 1.0, 'min_luminance': 250.0},
     '12 pairs are held back, none with a mean luminance from 250 to 255: change min_luminance, ')])
def test_where_no_pair_is_left_it_is_said_why_and_what_to_do(pair_root, validation, change, told):
    folders = PairFolders(pair_root, ('street',), **change)
    with pytest.raises(NoPairs, match=f'of the sets street {told}'):
        folders.load(validation)
