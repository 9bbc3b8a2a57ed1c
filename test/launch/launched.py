# SPDX-License-Identifier: Apache-2.0
"""Launch files run without launch, which pip does not have: what they made is kept."""

import importlib.util
from pathlib import Path
import sys
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = ROOT / 'launch'
REPLAY = {'bag', 'rate', 'view'}
REPLAYED = ('replay.launch.py', {'bag': str(ROOT), 'namespace': ''})


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


def describe(monkeypatch, file, given):
    """Run a launch file without launch, which pip does not have; return what it made."""
    Recorded.made.clear()
    with monkeypatch.context() as patch:
        for name in ('launch', 'launch.actions', 'launch.conditions', 'launch.substitutions',
                     'launch.launch_description_sources', 'launch_ros', 'launch_ros.actions',
                     'launch_ros.parameter_descriptions', 'launch_ros.substitutions'):
            patch.setitem(sys.modules, name, Recorder(name))
        spec = importlib.util.spec_from_file_location('described', LAUNCH / file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.generate_launch_description()
        defaults = {argument.args[0]: argument.kwargs['default_value']
                    for argument in of(Recorded.made, 'DeclareLaunchArgument')}
        Recorded.given = {
            name: value for name, value in defaults.items() if isinstance(value, str)} | given
        for opaque in of(Recorded.made, 'OpaqueFunction'):
            opaque.kwargs['function'](None)
    return list(Recorded.made)


def of(made: list, kind: str) -> list:
    return [thing for thing in made if type(thing).__name__ == kind]
