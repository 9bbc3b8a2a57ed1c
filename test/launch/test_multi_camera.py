# SPDX-License-Identifier: Apache-2.0
"""One fusion node for each pair of a list; a wrong list is one clear line."""

import importlib.util
from pathlib import Path
import sys
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / 'launch' / 'multi_camera.launch.py'
SHARED = {'params_file', 'use_sim_time', 'autostart', 'respawn', 'log_level'}


class Recorded:
    """Stands for any class of launch: keeps what it was given."""

    given: dict[str, str] = {}

    def __init__(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs

    def perform(self, context):
        return Recorded.given[self.args[0]]


class Recorder(ModuleType):
    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)
        return type(name, (Recorded,), {})


@pytest.fixture
def module(monkeypatch):
    """Return the launch file as a module, without launch, which pip does not have."""
    for name in ('launch', 'launch.actions', 'launch.launch_description_sources',
                 'launch.substitutions', 'launch_ros', 'launch_ros.substitutions'):
        monkeypatch.setitem(sys.modules, name, Recorder(name))
    spec = importlib.util.spec_from_file_location('multi_camera', FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def included(module, pairs):
    Recorded.given = {'pairs': str(pairs)}
    groups = module.start(None)
    return [dict(include.kwargs['launch_arguments'])
            for group in groups for include in group.args[0]]


def test_every_argument_is_described_and_handed_on(module):
    *declared, opaque = module.generate_launch_description().args[0]
    assert {argument.args[0] for argument in declared} == SHARED | {'pairs'}
    assert all(argument.kwargs['description'].endswith('.') for argument in declared)
    assert opaque.kwargs['function'] is module.start


def test_the_shipped_example_starts_two_nodes_apart(module):
    front, rear = included(module, ROOT / 'config/pairs.yaml')
    assert (front['namespace'], rear['namespace']) == ('front', 'rear')
    assert front['visible_topic'] == '/front/rgb/image_raw'
    assert SHARED <= set(rear) and rear['params_file'].args == ('params_file',)


def test_pairs_may_be_written_on_the_command_line(module):
    one, = included(module, '[{namespace: roof, visible_topic: v, thermal_topic: t, '
                            'params_file: roof.yaml}]')
    assert (one['namespace'], one['thermal_topic'], one['params_file']) == (
        'roof', 't', 'roof.yaml')


def test_a_pair_may_have_what_fusion_launch_takes(module):
    one, = included(module, '[{namespace: roof, visible_topic: v, thermal_topic: t, '
                            'registration_file: roof.yaml, thermal_transport: compressed}]')
    assert (one['registration_file'], one['thermal_transport']) == ('roof.yaml', 'compressed')
    declared = (FILE.parent / 'fusion.launch.py').read_text()
    assert [key for key in module.OPTIONAL if f"    ('{key}', " not in declared] == []


PAIR = '{namespace: a, visible_topic: v, thermal_topic: t}'


@pytest.mark.parametrize('pairs, words', [
    ('/nowhere/pairs.yaml', '/nowhere/pairs.yaml: cannot be read (No such file'),
    ('[}', 'pairs: is not YAML'), ('[]', 'pairs: is no list of pairs'),
    (f'[{PAIR}, {{namespace: b}}]', 'pair 2 must give namespace, visible_topic, thermal_topic'),
    ('[{namespace: a, visible_topic: v, thermal_topic: 3}]', 'pair 1 must give'),
    (f'[{PAIR[:-1]}, colour: red}}]', 'and nothing else'),
    (f'[{PAIR}, {PAIR.replace(": a", ": /a/")}]', 'two pairs share a namespace')])
def test_a_wrong_list_is_one_clear_line(module, pairs, words):
    with pytest.raises(RuntimeError) as error:
        module.read(pairs)
    assert words in str(error.value) and '\n' not in str(error.value)


def test_real_launch_takes_the_file():
    pytest.importorskip('launch_ros.actions', reason='needs launch_ros')
    from launch.launch_description_sources import get_launch_description_from_python_launch_file
    description = get_launch_description_from_python_launch_file(str(FILE))
    assert {argument.name for argument in description.get_launch_arguments()} == SHARED | {'pairs'}
