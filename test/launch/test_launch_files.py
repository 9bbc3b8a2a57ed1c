# SPDX-License-Identifier: Apache-2.0
"""The launch files hold to the arguments, parameters, topics and files there are."""

import importlib.util
import os
from pathlib import Path
import sys
from types import ModuleType, SimpleNamespace

import pytest
import rclpy
from rclpy.context import Context
import yaml

from degfusion_ros.node.fusion_node import FusionNode
from degfusion_ros.node.parameters import TABLE

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = ROOT / 'launch'
FUSION = {'params_file', 'namespace', 'use_sim_time', 'autostart', 'log_level',
          'visible_topic', 'thermal_topic', 'visible_camera_info', 'thermal_camera_info',
          'registration_file', 'model_name', 'visible_transport', 'thermal_transport'}
REPLAY = {'bag', 'rate', 'view'}
REPLAYED = ('replay.launch.py', {'bag': str(ROOT)})


class Recorded:
    """Stands for any class of launch: keeps what it was given."""

    made: list = []
    given: dict[str, str] = {}  # launch configurations

    def __init__(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs
        Recorded.made.append(self)

    def perform(self, context):
        return Recorded.given.get(self.args[0], '')


class Recorder(ModuleType):
    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)
        return type(name, (Recorded,), {})


@pytest.fixture
def described(request, monkeypatch):
    file, given = request.param if isinstance(request.param, tuple) else (request.param, {})
    return describe(monkeypatch, file, given)


def describe(monkeypatch, file, given):
    """Run a launch file without launch, which pip does not have; return what it made."""
    Recorded.made.clear()
    Recorded.given = given
    with monkeypatch.context() as patch:
        for name in ('launch', 'launch.actions', 'launch.conditions', 'launch.substitutions',
                     'launch.launch_description_sources', 'launch_ros', 'launch_ros.actions',
                     'launch_ros.parameter_descriptions', 'launch_ros.substitutions'):
            patch.setitem(sys.modules, name, Recorder(name))
        spec = importlib.util.spec_from_file_location('described', LAUNCH / file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.generate_launch_description()
        for opaque in of(Recorded.made, 'OpaqueFunction'):
            opaque.kwargs['function'](None)
    return list(Recorded.made)


def of(made: list, kind: str) -> list:
    return [thing for thing in made if type(thing).__name__ == kind]


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
    assert set(given) - {'use_sim_time'} == {'autostart'}
    assert 'autostart' in known
    assert (ROOT / 'scripts' / node.kwargs['executable']).is_file()
    assert node.kwargs['respawn'] is True and node.kwargs['respawn_delay'] > 0


GIVEN = {'params_file': '~/mine.yaml', 'registration_file': '~/registration.yaml',
         'model_name': 'tg_ecnet', 'thermal_transport': 'compressed'}


@pytest.mark.parametrize('described', [('fusion.launch.py', GIVEN)], indirect=True)
def test_what_is_given_goes_before_the_parameter_file_and_nothing_else_does(described):
    node, = of(described, 'LifecycleNode')
    file, given = node.kwargs['parameters']
    assert file == os.path.expanduser('~/mine.yaml') != '~/mine.yaml'
    values = {name: value.args[0] for name, value in given.items()
              if value.kwargs['value_type'] is str}
    assert values == {'registration.file': os.path.expanduser('~/registration.yaml'),
                      'model.name': 'tg_ecnet', 'input.thermal.transport': 'compressed'}


@pytest.mark.parametrize('described', [('fusion.launch.py', dict.fromkeys(FUSION, 'x'))],
                         indirect=True)
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
    model = SimpleNamespace(name='none', device='cpu', precision='float32')
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


@pytest.mark.parametrize('described', [REPLAYED], indirect=True)
def test_replay_runs_on_the_clock_of_the_bag(described):
    include, = of(described, 'IncludeLaunchDescription')
    assert dict(include.kwargs['launch_arguments'])['use_sim_time'] == 'true'
    play, = (thing for thing in of(described, 'ExecuteProcess')
             if thing.kwargs['cmd'][:3] == ['ros2', 'bag', 'play'])
    assert '--clock' in play.kwargs['cmd']


def test_a_home_left_by_the_shell_is_found_in_the_bags_path(monkeypatch, tmp_path):
    monkeypatch.setenv('HOME', str(tmp_path))
    (tmp_path / 'drive').mkdir()
    made = describe(monkeypatch, 'replay.launch.py', {'bag': '~/drive'})
    resolved, = of(made, 'SetLaunchConfiguration')
    assert resolved.args == ('bag', str(tmp_path / 'drive'))


@pytest.mark.parametrize('bag', ['~/absent', ''])
def test_a_bag_that_is_not_there_ends_the_launch_before_anything_starts(monkeypatch, tmp_path, bag):
    monkeypatch.setenv('HOME', str(tmp_path))
    with pytest.raises(RuntimeError) as error:
        describe(monkeypatch, 'replay.launch.py', {'bag': bag})
    path = bag.replace('~', str(tmp_path))
    assert str(error.value) == f'bag:={path}: no such file or folder: check the path'
    description, = of(Recorded.made, 'LaunchDescription')
    kinds = [type(action).__name__ for action in description.args[0]]
    assert kinds[:kinds.index('OpaqueFunction')] == ['DeclareLaunchArgument'] * len(REPLAY)


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
