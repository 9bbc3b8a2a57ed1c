# SPDX-License-Identifier: Apache-2.0
"""Hold the code to two laws: ROS only under node/, and imports in one direction."""

import ast
from pathlib import Path
import sys

import pytest

ROOT = Path(__file__).parents[1] / 'degfusion_ros'
PACKAGE = 'degfusion_ros'

# Each imports from itself and from those before it.
ORDER = ('files', 'imaging', 'stream', 'models', 'fuser', 'learning', 'bags', 'drive', 'node',
         'commands', '__main__')
FACE = 'fuser'  # degfusion_ros/__init__.py offers what fuser does, and stands where it stands
DATA = ('weights',)  # folders of files, not of code

ROS = ('rclpy', 'message_filters', 'cv_bridge', 'rosidl_runtime_py', 'rosidl_parser', 'rosbag2_py',
       'ament_index_python', 'launch', 'launch_ros', 'launch_testing', 'ros2cli', 'ros2run',
       'tf2_ros', 'image_transport', 'image_geometry', 'rosgraph_msgs', 'builtin_interfaces',
       'std_srvs', 'rpyutils')


def is_ros(module):
    top = module.split('.')[0]
    return top in ROS or top.endswith(('_msgs', '_interfaces', '_srvs')) or top.startswith('rcl')


def imports(source, module, is_package=False):
    """Return every module a source imports, anywhere in it, with relative names resolved."""
    package = module.split('.') if is_package else module.split('.')[:-1]
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[:len(package) - node.level + 1] if node.level else []
            base = '.'.join([*base, node.module] if node.module else base)
            # `from degfusion_ros import bags` names a module, not only the package.
            found += [f'{base}.{alias.name}' for alias in node.names]
        elif isinstance(node, ast.Call) and node.args:
            function = getattr(node.func, 'attr', getattr(node.func, 'id', ''))
            name = getattr(node.args[0], 'value', None)
            if function in ('import_module', '__import__') and isinstance(name, str):
                found.append(name)
    return found


def place(module):
    """Return where a module of the package stands in the order."""
    layer = (module.split('.') + [''])[1]
    if layer == '__version__':
        return 0
    return ORDER.index(layer if layer in ORDER else FACE)


def breaches(source, module, is_package=False):
    """Return a line for every import that breaks a law."""
    found = []
    layer = (module.split('.') + [''])[1]
    for name in imports(source, module, is_package):
        if is_ros(name) and layer != 'node':
            found.append(f'{module} imports {name}: only node/ may import ROS')
        if name.split('.')[0] == PACKAGE and place(name) > place(module):
            found.append(f'{module} imports {name}, which stands below it in the order')
        top = name.split('.')[0]
        if layer == 'stream' and top != PACKAGE and top not in sys.stdlib_module_names:
            found.append(f'{module} imports {name}: stream/ needs the standard library alone')
        if layer in ('imaging', 'stream') and top in ('torch', 'torchvision', 'open_clip'):
            found.append(f'{module} imports {name}: torch starts with models/')
    return found


FILES = sorted(ROOT.rglob('*.py'))


def name_of(path):
    parts = [PACKAGE, *path.relative_to(ROOT).with_suffix('').parts]
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


def test_the_package_is_read():
    names = {name_of(path) for path in FILES}
    assert {'degfusion_ros', 'degfusion_ros.stream.pairing'} <= names


@pytest.mark.parametrize('path', FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_keep_the_laws(path):
    assert not breaches(path.read_text(), name_of(path), path.name == '__init__.py')


def test_every_folder_and_file_has_its_place():
    found = {path.relative_to(ROOT).parts[0].removesuffix('.py') for path in FILES}
    assert found - {'__init__'} <= {*ORDER, *DATA}


@pytest.mark.parametrize('module, source', [
    ('degfusion_ros.stream.pairing', 'import rclpy'),
    ('degfusion_ros.bags', 'def read():\n    from sensor_msgs.msg import Image'),
    ('degfusion_ros.commands.demo', 'import importlib\nimportlib.import_module("rclpy.node")'),
    ('degfusion_ros.commands.demo', 'from builtin_interfaces.msg import Time'),
    ('degfusion_ros.imaging.mosaic', 'from degfusion_ros.stream import timing'),
    ('degfusion_ros.imaging.mosaic', 'from ..stream import timing'),
    ('degfusion_ros.imaging.mosaic', 'from .. import bags'),
    ('degfusion_ros.models.clip', 'from degfusion_ros import Fuser'),
    ('degfusion_ros.models.clip', 'import degfusion_ros.fuser'),
    ('degfusion_ros.learning.metrics', 'if True:\n    from degfusion_ros.node import health'),
    ('degfusion_ros.stream.timing', 'import numpy'),
    ('degfusion_ros.imaging.thermal', 'import torch'),
])
def test_a_breach_is_seen(module, source):
    assert breaches(source, module)


@pytest.mark.parametrize('module, source', [
    ('degfusion_ros.node.fusion_node', 'import rclpy\nfrom degfusion_ros import Fuser'),
    ('degfusion_ros.commands.demo', 'from degfusion_ros.node import demo'),
    ('degfusion_ros.learning.metrics', 'from . import losses\nfrom ..models import clip'),
    ('degfusion_ros.stream.pairing', 'from degfusion_ros.stream.arrivals import Frame'),
    ('degfusion_ros.bags', 'from rosbags.rosbag2 import Reader'),
    ('degfusion_ros.models.clip', 'from degfusion_ros import __version__'),
])
def test_lawful_imports_pass(module, source):
    assert not breaches(source, module)
