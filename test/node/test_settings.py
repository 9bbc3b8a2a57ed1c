# SPDX-License-Identifier: Apache-2.0
import pytest
import rclpy
from rclpy.parameter import Parameter

from degfusion_ros.node.settings import Settings


@pytest.fixture
def make(ros):
    made = []

    def make(**given):
        overrides = [Parameter(k.replace('__', '.'), value=v) for k, v in given.items()]
        made.append(rclpy.create_node('settings', parameter_overrides=overrides))
        return made[-1], Settings(made[-1])

    yield make
    for node in made:
        node.destroy_node()


def put(node, name, value):
    return node.set_parameters([Parameter(name, value=value)])[0]


def test_given_values_hold_and_whole_numbers_do_for_floats(make):
    node, settings = make(degradation__rate_hz=5, thermal__window=[100, 2000],
                          output__size='80x90')
    assert settings['degradation.rate_hz'] == 5.0 and settings['output.size'] == '80x90'
    assert settings.group('thermal')[0] == (100.0, 2000.0)
    assert settings['sync.max_dt_s'] == 0.05
    settings.check()


def test_wrong_initial_values_are_told_with_their_range_not_raised(make):
    node, settings = make(sync__max_dt_s='soon', degradation__count=0)
    with pytest.raises(ValueError, match='sync.max_dt_s must be a number from 0.0 to 5.0 s') as e:
        settings.check()
    assert 'degradation.count must be an integer from 1 to 50' in str(e.value)
    assert put(node, 'sync.max_dt_s', 0.02).successful
    assert put(node, 'degradation.count', 3).successful
    settings.check()


def test_wrong_values_at_run_time_are_refused_with_their_range(make):
    node, settings = make()
    told = put(node, 'degradation.rate_hz', 99.0)
    assert not told.successful and '0.0' in told.reason and '30.0' in told.reason
    told = put(node, 'thermal.percentile', [9, 8])
    assert not told.successful and '0.0 <= low < high <= 100.0 %' in told.reason
    told = put(node, 'thermal.window', [0.0, 1e-6])
    assert not told.successful and 'the same or more than 1e-06 apart' in told.reason
    told = put(node, 'output.size', '100000x100000')
    assert not told.successful and 'WIDTHxHEIGHT from 32 to 16384 a side' in told.reason
    told = put(node, 'sync.policy', 'latest')
    assert not told.successful and 'nearest, exact, approximate' in told.reason
    assert settings['degradation.rate_hz'] == 2.0 and settings['sync.policy'] == 'nearest'


def test_values_may_change_at_the_time_the_table_says(make):
    node, settings = make()
    assert not put(node, 'autostart', True).successful
    assert put(node, 'sync.max_dt_s', 0.01).successful
    settings.configured = True
    told = put(node, 'sync.max_dt_s', 0.02)
    assert not told.successful and 'clean up first' in told.reason
    assert put(node, 'degradation.rate_hz', 4).successful
    assert settings['degradation.rate_hz'] == 4.0 and settings['sync.max_dt_s'] == 0.01


def test_unknown_names_are_found(make):
    _, settings = make(degradation__rate=3.0, use_sim_time=False)
    assert settings.unknown() == ['degradation.rate']


def test_descriptors_carry_range_and_explanation(make):
    node, _ = make()
    rate = node.describe_parameter('degradation.rate_hz')
    assert rate.floating_point_range[0].to_value == 30.0 and 'judged' in rate.description
    assert node.describe_parameter('degradation.count').integer_range[0].from_value == 1
    assert node.describe_parameter('autostart').read_only
    assert 'nearest, exact' in node.describe_parameter('sync.policy').additional_constraints
