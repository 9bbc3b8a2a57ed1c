# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest
import yaml

from degfusion_ros.imaging.thermal import scaler
from degfusion_ros.node.parameters import DEFAULTS, ENTRIES, TABLE, to_yaml

FILE = Path(__file__).parents[2] / 'config' / 'fusion.yaml'


def flat(tree, above=''):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f'{above}{key}.')
        else:
            yield above + key, value


def test_the_yaml_file_is_what_the_table_says():
    assert FILE.read_text() == to_yaml(), 'write it anew: see parameters.py'


def test_the_yaml_file_holds_every_parameter_and_its_default():
    listed = dict(flat(yaml.safe_load(FILE.read_text())['/**']['ros__parameters']))
    assert listed == DEFAULTS
    assert all(type(listed[entry.name]) is type(entry.default) for entry in TABLE)


@pytest.mark.parametrize('entry', TABLE, ids=lambda entry: entry.name)
def test_every_default_is_accepted_and_explained(entry):
    assert entry.accept(entry.default) == entry.default
    assert entry.about.endswith('.')


@pytest.mark.parametrize('name, value, taken', [
    ('degradation.rate_hz', 3, 3.0), ('thermal.percentile', [2, 98.5], [2.0, 98.5]),
    ('output.size', '320x240', '320x240'), ('output.size', '32x16384', '32x16384'),
    ('thermal.window', [7, 7], [7.0, 7.0]), ('thermal.window', [0.0, 1.1e-6], [0.0, 1.1e-6]),
    ('model.device', 'cuda:1', 'cuda:1')])
def test_right_values(name, value, taken):
    accepted = ENTRIES[name].accept(value)
    assert accepted == taken and type(accepted) is type(ENTRIES[name].default)


@pytest.mark.parametrize('name, value, allowed', [
    ('degradation.rate_hz', 31.0, 'a number from 0.0 to 30.0 Hz'),
    ('degradation.rate_hz', float('nan'), 'a number from 0.0 to 30.0 Hz'),
    ('degradation.rate_hz', '2', 'a number from 0.0 to 30.0 Hz'),
    ('degradation.rate_hz', None, 'a number from 0.0 to 30.0 Hz'),
    ('degradation.count', 2.5, 'an integer from 1 to 50'),
    ('degradation.count', True, 'an integer from 1 to 50'),
    ('degradation.hysteresis', [0.4, 0.2], '[low, high] with 0.0 <= low <= high <= 1.0'),
    ('degradation.hysteresis', [0.4], '[low, high]'),
    ('thermal.percentile', [5.0, 5.0], '0.0 <= low < high <= 100.0 %'),
    ('thermal.invert', 1, 'true or false'),
    ('sync.policy', 'latest', 'one of nearest, exact, approximate'),
    ('thermal.window', [0.0, 1e-6], '1000000.0, the same or more than 1e-06 apart'),
    ('thermal.window', [1e6, 1e6 - 1], '-1000000.0 <= low <= high <= 1000000.0'),
    ('model.warm_up_size', '8x8', 'one of first, WIDTHxHEIGHT from 32 to 16384 a side'),
    ('output.size', '0x480', 'one of visible, thermal, WIDTHxHEIGHT'),
    *(('output.size', size, 'one of visible, thermal, WIDTHxHEIGHT from 32 to 16384 a side')
      for size in ('8x8', '31x640', '640x31', '16385x64', '100000x100000',
                   '64x' + '9' * 5000))])
def test_wrong_values_are_refused_with_what_is_allowed(name, value, allowed):
    with pytest.raises(ValueError) as error:
        ENTRIES[name].accept(value)
    assert str(error.value).startswith(f'{name} must be ') and allowed in str(error.value)


def test_a_window_that_is_taken_is_one_that_thermal_frames_can_be_scaled_by():
    entry = ENTRIES['thermal.window']
    for window in ([0.0, 1.1e-6], [-1e6, -1e6 + 1.1e-6], [1e6 - 1.1e-6, 1e6], [5.0, 5.0]):
        scaler(tuple(entry.accept(window)), (1.0, 99.0), 0.9, 0, 0, False, 0)
