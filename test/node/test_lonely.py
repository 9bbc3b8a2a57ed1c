# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from degfusion_ros.node.lonely import StandIn

COLOUR = np.random.default_rng(0).integers(0, 255, (64, 80, 3)).astype(np.uint8)
HEAT = np.random.default_rng(1).random((64, 80)).astype(np.float32)


@pytest.mark.parametrize('stream, picture', [('visible', COLOUR), ('thermal', HEAT)])
@pytest.mark.parametrize('known', [True, False])
def test_the_network_sees_nothing_that_could_be_recognised(stream, picture, known):
    stand_in = StandIn()
    if known:
        stand_in.remember(COLOUR, HEAT)
    pair = stand_in.for_network(stream, picture)
    lost, = set(pair) - {stream}
    assert pair[stream] is picture
    assert len(np.unique(pair[lost])) == 1 or (known and lost == 'thermal')
    assert np.abs(np.diff(pair[lost].astype(np.float32), axis=0)).max() < 0.05
    assert pair['visible'].shape == (64, 80, 3) and pair['visible'].dtype == np.uint8
    assert pair['thermal'].shape == (64, 80) and pair['thermal'].dtype == np.float32


def test_a_lost_thermal_picture_leaves_its_warm_side_at_any_size_until_another_comes():
    stand_in, warm = StandIn(), HEAT / 4
    warm[:, 40:] += 0.75
    stand_in.remember(COLOUR, warm)
    for size in ((64, 80), (128, 160), (64, 80)):
        seen = stand_in.for_network('visible', np.zeros((*size, 3), np.uint8))['thermal']
        assert seen.shape == size and seen[:, -1].min() > 0.7 > 0.3 > seen[:, 0].max()
    stand_in.remember(COLOUR, warm[:, ::-1])
    assert stand_in.for_network('visible', COLOUR)['thermal'][0, 0] > 0.7


def test_the_judge_sees_the_last_partner_at_the_size_of_the_picture():
    stand_in = StandIn()
    stand_in.remember(COLOUR, HEAT)
    pair = stand_in.for_judge('visible', np.zeros((32, 40, 3), np.uint8))
    assert pair['thermal'].shape == (32, 40) and np.std(pair['thermal']) > 0.1


@pytest.mark.parametrize('stream, picture', [('visible', COLOUR), ('thermal', HEAT)])
def test_before_the_first_pair_the_judge_sees_the_picture_twice(stream, picture):
    pair = StandIn().for_judge(stream, picture)
    assert pair['visible'].shape == (64, 80, 3) and pair['visible'].dtype == np.uint8
    assert pair['thermal'].shape == (64, 80) and pair['thermal'].dtype == np.float32
    assert np.std(pair['visible']) > 10 and np.std(pair['thermal']) > 0.01
    assert pair['thermal'].max() <= 1


@pytest.mark.parametrize('wanted, known, size', [
    ('40x32', False, (32, 40)), ('visible', False, (50, 60)), ('visible', True, (64, 80)),
    ('thermal', True, (50, 60))])
def test_the_output_keeps_the_size_that_pairs_had(wanted, known, size):
    stand_in = StandIn()
    if known:
        stand_in.remember(COLOUR, HEAT)
    assert stand_in.size('thermal', np.zeros((50, 60), np.float32), wanted) == size
