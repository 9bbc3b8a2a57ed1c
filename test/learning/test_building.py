# SPDX-License-Identifier: Apache-2.0
"""Settings that make no network, or one that cannot see the crops asked for, are told at once."""

import pytest

from degfusion_ros.learning.building import build
from degfusion_ros.learning.loop import TrainingError
from degfusion_ros.models.dgmoe import DgMoe
from degfusion_ros.models.tg_ecnet import TgEcnet

SMALL = {'widths': [8, 8], 'decoder': [1]}      # frames of multiples of 8


@pytest.mark.parametrize('settings, told', [
    ({'widths': []}, 'network: .*makes none'), ({'widths': [0, 0, 0, 0]}, 'network: .*makes none'),
    ({'widths': [8, 8, 8, 8], 'plain': [0, 1]}, r'plain \[0, 1\]: give a number for each of 4')])
def test_settings_that_make_no_network_are_told(settings, told):
    with pytest.raises(TrainingError, match=told):
        build(DgMoe, settings, [64])


@pytest.mark.parametrize('crop, fitting', [(100, 104), (63, 64), (1, 8)])
def test_a_crop_that_the_network_cannot_see_is_told_with_one_that_it_can(crop, fitting):
    with pytest.raises(TrainingError, match=f'crop: {crop}: .*multiples of 8: give {fitting}$'):
        build(DgMoe, SMALL, [64, crop])


def test_networks_are_as_they_are_asked_for():
    assert build(DgMoe, SMALL, [64, 8]).config['widths'] == [8, 8]
    sizes = {'widths': [16, 16, 32, 32], 'decoder_widths': [16, 16, 32], 'heads': [1, 1, 2, 4]}
    assert build(TgEcnet, sizes, [64]).size.widths == (16, 16, 32, 32)
