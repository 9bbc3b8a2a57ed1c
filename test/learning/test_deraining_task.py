# SPDX-License-Identifier: Apache-2.0
"""What the deraining network is taught: clean crops, seen every way round."""

import itertools

import pytest
import torch

from degfusion_ros.learning.deraining_task import DerainingTask
from degfusion_ros.models.dgmoe import DgMoe
from degfusion_ros.models.enhancement import STATISTICS


@pytest.fixture
def task():
    torch.manual_seed(3)
    network = DgMoe(widths=(8, 8, 8, 8), deraining=(4, 4))
    return DerainingTask(network, {'visible': 1.0})


def _batch():
    clean = torch.randint(0, 200, (2, 1, 4, 32, 32), dtype=torch.uint8)
    return {'clean': clean, 'degraded': clean + 51, 'statistics': torch.rand(2, sum(STATISTICS))}


def test_crops_come_mirrored_and_with_their_colours_exchanged_and_the_truth_with_them(task):
    batch, met, told = _batch(), [], []
    whole = batch['degraded'][:, 0, :3].float() / 255

    def drained(image, statistics):
        met.append(image)
        told.append(statistics)
        return torch.full_like(image, -51 / 255)
    task.network.deraining.forward = drained
    losses = [task(batch, {})['total'] for _ in range(60)]
    ways = [whole[:, list(colours)].flip(sides)
            for colours in itertools.permutations(range(3)) for sides in ((), (2,), (3,), (2, 3))]
    seen = {next(i for i, way in enumerate(ways) if torch.equal(way, x)) for x in met}
    assert len(seen) > 15
    # what is told of the frames changes places with the colours
    for image, statistics in zip(met, told):
        order = next(colours for colours in itertools.permutations(range(3)) for sides in
                     ((), (2,), (3,), (2, 3))
                     if torch.equal(whole[:, list(colours)].flip(sides), image))
        numbers = [3 * kind + colour for kind in range(3) for colour in order]
        assert torch.equal(statistics, batch['statistics'][:, [*numbers, 9]])
    torch.testing.assert_close(torch.stack(losses), torch.zeros(60), atol=1e-5, rtol=0)


def test_a_network_that_changes_nothing_leaves_all_of_the_rain(task):
    assert task(_batch(), {})['visible'].item() == pytest.approx(0.2, abs=1e-3)
