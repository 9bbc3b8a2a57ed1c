# SPDX-License-Identifier: Apache-2.0
"""The guidance's samples: clean stays clean, nights are known to be dark and nothing else."""

import cv2
import numpy as np
import pytest
import torch

from degfusion_ros.imaging.statistics import COUNT
from degfusion_ros.learning.conditions import Condition
from degfusion_ros.learning.judged import JudgedStream, reframe, usable
from degfusion_ros.models.labels import VISIBLE_LABELS

DARK, GLARE = (VISIBLE_LABELS.index(n) for n in ('low_light', 'overexposure'))


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    cells = rng.integers(20, 235, (30, 40, 3), dtype=np.uint8)
    visible = np.repeat(np.repeat(cells, 10, axis=0), 10, axis=1)
    return visible, np.ascontiguousarray(visible[..., 1])


def test_a_sample_has_all_that_training_needs(pair):
    one, two = (next(iter(JudgedStream([pair], seed=3))) for _ in range(2))
    assert one['views'].shape == (2, 3, 224, 224) and one['views'].dtype == torch.uint8
    assert one['measures'].shape == (COUNT,) and one['measures'].dtype == torch.float32
    assert all(torch.equal(one[k], two[k]) for k in one)


def test_a_given_condition_is_what_the_sample_tells(pair):
    stream = JudgedStream([pair], seed=3, vary=False)
    condition = Condition({'noise': 0.5}, {'stripe': 0.7})
    told = stream.sample(np.random.default_rng(0), condition)['severity']
    assert torch.equal(told, torch.tensor([0, 0, 0, 0, 0.5, 0, 0.7, 0, 0, 0]))


def test_real_nights_are_dark_and_the_rest_of_them_unknown(pair):
    night = (pair[0] // 8).astype(np.uint8)
    samples = [JudgedStream([pair], seed, [night]).sample(np.random.default_rng(seed))
               for seed in range(40)]
    found = [s['severity'] for s in samples if s['severity'].isnan().any()]
    assert found
    for severity in found:
        assert 0.5 < severity[DARK] <= 1 and severity[GLARE] == 0
        assert severity[:6].isnan().sum() == 4 and severity[6:].isfinite().all()


def test_frames_are_never_enlarged(pair):
    for seed in range(30):
        visible, thermal = reframe(*pair, np.random.default_rng(seed))
        assert visible.shape[:2] == thermal.shape
        assert thermal.shape[0] <= 300 and thermal.shape[1] <= 400


def test_pictures_that_are_not_clean_are_told(pair):
    visible, thermal = pair
    assert usable(visible, thermal)
    assert not usable(cv2.GaussianBlur(visible, (0, 0), 3), thermal)
    assert not usable(visible, cv2.GaussianBlur(thermal, (0, 0), 3))
    assert not usable(visible // 10 + 180, thermal)
    assert not usable(np.maximum(visible, 251), thermal)
