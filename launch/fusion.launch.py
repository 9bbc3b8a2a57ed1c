# SPDX-License-Identifier: Apache-2.0
"""Start the fusion node on two camera topics: ros2 launch degfusion_ros fusion.launch.py."""

import os

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PythonExpression
from launch_ros.actions import LifecycleNode
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

SHARE = FindPackageShare('degfusion_ros')

# By name the arguments of a launch file that includes this one come in, too: none is plain `model`.
ARGUMENTS = (
    ('params_file', [SHARE, '/config/fusion.yaml'], 'YAML file of the node parameters.'),
    ('namespace', '', 'Namespace of the node and of its relative topics.'),
    ('use_sim_time', '', "true: time from /clock, as when replaying a bag; empty: params_file's."),
    ('autostart', 'true', 'Configure and activate the node at once; overrides params_file.'),
    ('respawn', 'true', 'Start the node again when it dies.'),
    ('log_level', 'info', 'debug, info, warn, error or fatal.'),
    ('visible_topic', 'visible/image_raw', 'Image topic of the visible camera.'),
    ('thermal_topic', 'thermal/image_raw', 'Image topic of the thermal camera.'),
    ('visible_camera_info', '', 'CameraInfo topic of the visible camera; empty: beside its image.'),
    ('thermal_camera_info', '', 'CameraInfo topic of the thermal camera; empty: beside its image.'),
    ('registration_file', '', "File of the calibrate command; empty: params_file's."),
    ('model_name', '', "Shipped model or .safetensors file; empty: params_file's."),
    ('visible_transport', '', "raw or compressed; empty: params_file's."),
    ('thermal_transport', '', "raw or compressed; empty: params_file's."),
)
OVER_THE_FILE = {  # argument -> parameter that it overrides, if it is given
    'registration_file': 'registration.file', 'model_name': 'model.name',
    'visible_transport': 'input.visible.transport', 'thermal_transport': 'input.thermal.transport'}


def generate_launch_description() -> LaunchDescription:
    """Describe the node, its topics and the transport that carries whole images."""
    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value=default, description=description)
          for name, default, description in ARGUMENTS),
        OpaqueFunction(function=images_through_shared_memory),
        OpaqueFunction(function=start),
    ])


def start(context: LaunchContext) -> list[LifecycleNode]:
    """Describe the node; the shell has left a ~ behind := as it is."""
    given = {name: os.path.expanduser(LaunchConfiguration(name).perform(context))
             for name in ('params_file', *OVER_THE_FILE)}
    # autostart has a default: who starts from config/fusion.yaml has its false in the file.
    flags = [name for name in ('autostart', 'use_sim_time')
             if LaunchConfiguration(name).perform(context)]
    return [LifecycleNode(
        package='degfusion_ros',
        executable='fusion_node',
        name='fusion_node',
        namespace=LaunchConfiguration('namespace'),
        parameters=[given['params_file'], {
            **{name: ParameterValue(LaunchConfiguration(name), value_type=bool)
               for name in flags},
            **{parameter: ParameterValue(given[name], value_type=str)
               for name, parameter in OVER_THE_FILE.items() if given[name]}}],
        remappings=[*camera('visible'), *camera('thermal')],
        ros_arguments=['--log-level', LaunchConfiguration('log_level')],
        output='screen',
        # Killed or crashed, it comes back by itself, and autostart brings it to work again.
        respawn=flag('respawn', context),
        respawn_delay=2.0,
    )]


def camera(modality: str) -> list[tuple]:
    """Remap a camera's image, which compressed follows, and its camera_info, or that beside it."""
    image = LaunchConfiguration(f'{modality}_topic')
    given = LaunchConfiguration(f'{modality}_camera_info', default='')
    info = PythonExpression([
        "'", given, "' or '/'.join('", image, "'.split('/')[:-1] + ['camera_info'])"])
    return [(f'{modality}/image_raw', image), (f'{modality}/camera_info', info)]


def flag(name: str, context: LaunchContext) -> bool:
    """Return an argument that is true or false; RuntimeError if it is neither."""
    given = LaunchConfiguration(name).perform(context)
    if given.lower() not in ('true', 'false'):
        raise RuntimeError(f'{name}:={given}: must be true or false')
    return given.lower() == 'true'


def images_through_shared_memory(context: LaunchContext) -> list:
    """Give Fast DDS the shipped profile, unless the user has chosen one or other transports."""
    profiles = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
    older, newer, transports = (
        EnvironmentVariable(name, default_value='').perform(context)
        for name in (*profiles, 'FASTDDS_BUILTIN_TRANSPORTS'))
    if transports and not (older or newer):  # a profile with transports of its own ends them
        return [LogInfo(msg=f'FASTDDS_BUILTIN_TRANSPORTS={transports} is set: the Fast DDS '
                            'profile config/fastdds.xml is left out')]
    chosen = older or newer or [SHARE, '/config/fastdds.xml']
    return [SetEnvironmentVariable(name, chosen) for name in profiles]
