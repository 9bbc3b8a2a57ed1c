# SPDX-License-Identifier: Apache-2.0
"""The second generator degrades what it is asked to, in amounts that grow, reproducibly."""

import numpy as np
import pytest

from degfusion_ros.learning import unseen
from degfusion_ros.models.labels import THERMAL_LABELS, VISIBLE_LABELS

CASES = [*((label, 3) for label in VISIBLE_LABELS), *((label, 1) for label in THERMAL_LABELS)]


def _scene(channels: int) -> np.ndarray:
    cells = np.random.default_rng(0).random((24, 32, channels), dtype=np.float32)
    image = np.repeat(np.repeat(cells, 8, axis=0), 8, axis=1) * 0.6 + 0.2
    return image if channels == 3 else image[..., 0]


@pytest.mark.parametrize(('label', 'channels'), CASES)
def test_a_degradation_grows_with_its_severity(label, channels):
    scene = _scene(channels)
    faint, strong = (unseen.degrade(scene, {label: s}, np.random.default_rng(5))
                     for s in (0.3, 1.0))
    assert strong.shape == scene.shape and strong.dtype == np.float32
    assert 0 <= strong.min() and strong.max() <= 1
    assert np.abs(strong - scene).mean() > 1.3 * np.abs(faint - scene).mean() > 0


@pytest.mark.parametrize('channels', [1, 3])
def test_it_is_reproducible_and_leaves_alone_what_nothing_befell(channels):
    scene = _scene(channels)
    everything = dict.fromkeys(THERMAL_LABELS if channels == 1 else VISIBLE_LABELS, 0.5)
    one, two = (unseen.degrade(scene, everything, np.random.default_rng(9)) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(unseen.degrade(scene, {}, np.random.default_rng(9)), scene)
