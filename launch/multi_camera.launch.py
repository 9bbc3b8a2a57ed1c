# SPDX-License-Identifier: Apache-2.0
"""
Start a fusion node for each visible-thermal pair of a vehicle, each in a namespace of its own.

ros2 launch degfusion_ros multi_camera.launch.py pairs:=PAIRS, where PAIRS is a YAML file, or YAML:
"[{namespace: front, visible_topic: /front/rgb/image_raw, thermal_topic: /front/lwir/image_raw}]".
"""

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    GroupAction,
    IncludeLaunchDescription,
    OpaqueFunction,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.substitutions import FindPackageShare
import yaml

SHARE = FindPackageShare('degfusion_ros')

ARGUMENTS = (
    ('pairs', None, 'YAML file, or YAML, that lists the pairs: see config/pairs.yaml.'),
    ('params_file', [SHARE, '/config/fusion.yaml'], 'Node parameters of pairs without their own.'),
    ('use_sim_time', '', "true: time from /clock, as when replaying a bag; empty: params_file's."),
    ('autostart', 'true', 'Configure and activate the nodes at once; overrides params_file.'),
    ('respawn', 'true', 'Start a node again when it dies.'),
    ('log_level', 'info', 'debug, info, warn, error or fatal.'),
)
NEEDED = ('namespace', 'visible_topic', 'thermal_topic')
OPTIONAL = ('params_file', 'registration_file', 'model_name', 'visible_transport',
            'thermal_transport', 'visible_camera_info', 'thermal_camera_info')
KEYS = {*NEEDED, *OPTIONAL}


def generate_launch_description() -> LaunchDescription:
    """Describe one fusion.launch.py for every pair."""
    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value=default, description=description)
          for name, default, description in ARGUMENTS),
        OpaqueFunction(function=start),
    ])


def start(context: LaunchContext) -> list[GroupAction]:
    """Include fusion.launch.py once for every pair; a group keeps their arguments apart."""
    shared = {name: LaunchConfiguration(name) for name, *_ in ARGUMENTS if name != 'pairs'}
    return [
        GroupAction([IncludeLaunchDescription(
            PythonLaunchDescriptionSource([SHARE, '/launch/fusion.launch.py']),
            launch_arguments={**shared, **pair}.items())])
        for pair in read(LaunchConfiguration('pairs').perform(context))]


def read(given: str) -> list[dict[str, str]]:
    """Return the pairs of a YAML file or text; RuntimeError names what is wrong with them."""
    inline = given.lstrip().startswith(('[', '-'))
    name = 'pairs' if inline else given
    try:
        pairs = yaml.safe_load(given if inline else Path(given).expanduser().read_text())
    except OSError as error:
        raise RuntimeError(f'{name}: cannot be read ({error.strerror}): check the path') from None
    except yaml.YAMLError:
        raise RuntimeError(f'{name}: is not YAML: see config/pairs.yaml') from None
    if not isinstance(pairs, list) or not pairs:
        raise RuntimeError(f'{name}: is no list of pairs: see config/pairs.yaml')
    for number, pair in enumerate(pairs, 1):
        if not isinstance(pair, dict) or not set(NEEDED) <= set(pair) <= KEYS or not all(
                isinstance(value, str) and value for value in pair.values()):
            raise RuntimeError(f'{name}: pair {number} must give {", ".join(NEEDED)} as text, '
                               f'may give {", ".join(OPTIONAL)}, and nothing else')
    spaces = [pair['namespace'].strip('/') for pair in pairs]
    if len(set(spaces)) < len(spaces):
        raise RuntimeError(f'{name}: two pairs share a namespace: give each its own')
    return pairs
