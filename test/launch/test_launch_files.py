# SPDX-License-Identifier: Apache-2.0
"""The launch files hold to the arguments, parameters, topics and files there are."""

import os
from types import SimpleNamespace

from launched import describe, LAUNCH, of, REPLAY, REPLAYED, ROOT
import pytest
import rclpy
from rclpy.context import Context
import yaml

from degfusion_ros.node.fusion_node import FusionNode
from degfusion_ros.node.parameters import TABLE

FUSION = {'params_file', 'namespace', 'use_sim_time', 'autostart', 'respawn', 'log_level',
          'visible_topic', 'thermal_topic', 'visible_camera_info', 'thermal_camera_info',
          'registration_file', 'model_name', 'visible_transport', 'thermal_transport'}


@pytest.mark.parametrize(('described', 'expected', 'included'), [
    ('fusion.launch.py', FUSION, set()),
    (REPLAYED, REPLAY, FUSION),
], indirect=['described'])
def test_every_argument_is_declared_described_and_used(described, expected, included):
    declared = of(described, 'DeclareLaunchArgument')
    used = {thing.args[0] for thing in of(described, 'LaunchConfiguration')}
    assert {argument.args[0] for argument in declared} == expected
    assert expected <= used <= expected | included
    assert all(argument.kwargs['description'].endswith('.') for argument in declared)


@pytest.mark.parametrize('described', ['fusion.launch.py', REPLAYED], indirect=True)
def test_every_file_named_is_in_the_repository(described):
    values = [value for thing in described
              for value in (*thing.args, *thing.kwargs.values()) if isinstance(value, list)]
    named = [part for value in values for part in value
             if isinstance(part, str) and part.startswith(('/config/', '/launch/'))]
    assert named
    assert [name for name in named if not (ROOT / name[1:]).is_file()] == []


@pytest.mark.parametrize('described', ['fusion.launch.py'], indirect=True)
def test_parameters_it_sets_are_parameters_of_the_node(described):
    node, = of(described, 'LifecycleNode')
    known = yaml.safe_load((ROOT / 'config/fusion.yaml').read_text())['/**']['ros__parameters']
    _, given = node.kwargs['parameters']
    assert set(given) == {'autostart'}
    assert 'autostart' in known
    assert (ROOT / 'scripts' / node.kwargs['executable']).is_file()
    assert node.kwargs['respawn'] is True and node.kwargs['respawn_delay'] > 0


GIVEN = {'params_file': '~/mine.yaml', 'registration_file': '~/registration.yaml',
         'model_name': 'tg_ecnet', 'thermal_transport': 'compressed'}


@pytest.mark.parametrize('described', [('fusion.launch.py', GIVEN)], indirect=True)
def test_what_is_given_overrides_the_parameter_file_and_nothing_else_does(described):
    node, = of(described, 'LifecycleNode')
    file, given = node.kwargs['parameters']
    assert file == os.path.expanduser('~/mine.yaml') != '~/mine.yaml'
    values = {name: value.args[0] for name, value in given.items()
              if value.kwargs['value_type'] is str}
    assert values == {'registration.file': os.path.expanduser('~/registration.yaml'),
                      'model.name': 'tg_ecnet', 'input.thermal.transport': 'compressed'}


@pytest.mark.parametrize('described', [('fusion.launch.py', {'use_sim_time': 'true'})],
                         indirect=True)
def test_the_clock_is_the_parameter_files_unless_it_is_given(described):
    node, = of(described, 'LifecycleNode')
    value = node.kwargs['parameters'][1]['use_sim_time']
    assert value.args[0].args == ('use_sim_time',) and value.kwargs['value_type'] is bool


@pytest.mark.parametrize('described', [('fusion.launch.py', {'respawn': 'False'})], indirect=True)
def test_a_node_that_dies_can_be_left_dead(described):
    node, = of(described, 'LifecycleNode')
    assert node.kwargs['respawn'] is False


def test_a_respawn_that_is_neither_true_nor_false_is_told(monkeypatch):
    with pytest.raises(RuntimeError, match='respawn:=twice: must be true or false'):
        describe(monkeypatch, 'fusion.launch.py', {'respawn': 'twice'})


OLDER, NEWER = 'FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'
TRANSPORTS = {'FASTDDS_BUILTIN_TRANSPORTS': 'LARGE_DATA'}


@pytest.mark.parametrize(('environment', 'profile'), [
    ({}, '/config/fastdds.xml'), ({NEWER: '/mine.xml'}, '/mine.xml'),
    ({OLDER: '/mine.xml', **TRANSPORTS}, '/mine.xml'), (TRANSPORTS, None)])
def test_the_profile_stays_out_where_transports_or_another_are_chosen(
        monkeypatch, environment, profile):
    made = describe(monkeypatch, 'fusion.launch.py', environment)
    values = [action.args[1] for action in of(made, 'SetEnvironmentVariable')]
    values = [value[1] if isinstance(value, list) else value for value in values]
    assert values == [profile] * 2 * (profile is not None)
    told = [action.kwargs['msg'] for action in of(made, 'LogInfo')]
    assert ['LARGE_DATA' in words for words in told] == [True] * (profile is None)


@pytest.mark.parametrize('described', [
    ('fusion.launch.py', dict.fromkeys(FUSION, 'x') | {'respawn': 'true'})], indirect=True)
def test_all_that_it_may_set_are_parameters_of_the_node(described):
    node, = of(described, 'LifecycleNode')
    names = {entry.name for entry in TABLE}
    assert set(node.kwargs['parameters'][1]) - {'use_sim_time'} <= names
    assert len(node.kwargs['parameters'][1]) == 6


@pytest.mark.parametrize('described', ['fusion.launch.py'], indirect=True)
def test_the_node_subscribes_to_what_is_remapped(described, monkeypatch):
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    launched, = of(described, 'LifecycleNode')
    remapped = {topic: f'/camera/number{number}'
                for number, (topic, _) in enumerate(launched.kwargs['remappings'])}
    rules = [word for old, new in remapped.items() for word in ('-r', f'{old}:={new}')]
    context = Context()
    rclpy.init(context=context, domain_id=os.getpid() % 100 + 1)
    model = SimpleNamespace(name='none', device='cpu', precision='float32', way='none')
    node = FusionNode(
        load=lambda *_: model, context=context,
        cli_args=['--ros-args', *rules, '-p', 'model.warm_up_size:=first'])
    try:
        node.trigger_configure()
        node.trigger_activate()
        found = dict(node.get_subscriber_names_and_types_by_node(node.get_name(), '/'))
        assert set(remapped.values()) <= set(found)
        assert not {f'/{topic}' for topic in remapped} & set(found)
    finally:
        node.close()
        node.destroy_node()
        context.try_shutdown()


# launch comes with ROS 2, not with pip, and the folder launch/ is no such module.
REASON = 'needs launch_ros'


@pytest.mark.parametrize(('file', 'expected'), [
    ('fusion.launch.py', FUSION), ('replay.launch.py', REPLAY)])
def test_real_launch_takes_the_file(file, expected):
    pytest.importorskip('launch_ros.actions', reason=REASON)
    from launch.launch_description_sources import get_launch_description_from_python_launch_file
    description = get_launch_description_from_python_launch_file(str(LAUNCH / file))
    assert {argument.name for argument in description.get_launch_arguments()} >= expected


@pytest.mark.parametrize(('image', 'expected'), [
    ('/front/rgb/image_raw', '/front/rgb/camera_info'), ('thermal', 'camera_info')])
def test_real_launch_finds_the_camera_info_beside_the_image(image, expected):
    pytest.importorskip('launch_ros.actions', reason=REASON)
    from launch import LaunchContext
    from launch.launch_description_sources import load_python_launch_file_as_module
    module = load_python_launch_file_as_module(str(LAUNCH / 'fusion.launch.py'))
    context = LaunchContext()
    context.launch_configurations['visible_topic'] = image
    remapped = {topic: new.perform(context) for topic, new in module.camera('visible')}
    assert remapped == {'visible/image_raw': image, 'visible/camera_info': expected}
    context.launch_configurations['visible_camera_info'] = '/calibration/rgb'
    remapped = {topic: new.perform(context) for topic, new in module.camera('visible')}
    assert remapped == {'visible/image_raw': image, 'visible/camera_info': '/calibration/rgb'}


def test_real_launch_takes_all_that_may_be_given():
    pytest.importorskip('launch_ros.actions', reason=REASON)
    from launch import LaunchContext
    from launch.launch_description_sources import load_python_launch_file_as_module
    module = load_python_launch_file_as_module(str(LAUNCH / 'fusion.launch.py'))
    context = LaunchContext()
    context.launch_configurations.update(
        {name: 'true' for name, *_ in module.ARGUMENTS} | {'params_file': '/mine.yaml'})
    node, = module.start(context)
    assert node.node_package == 'degfusion_ros'
