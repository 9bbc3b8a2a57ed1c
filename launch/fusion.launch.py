# SPDX-License-Identifier: Apache-2.0
"""Start the fusion node on two camera topics: ros2 launch degfusion_ros fusion.launch.py."""

import os

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PythonExpression
from launch_ros.actions import LifecycleNode
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

SHARE = FindPackageShare('degfusion_ros')

# By name the arguments of a launch file that includes this one come in, too: none is plain `model`.
ARGUMENTS = (
    ('params_file', [SHARE, '/config/fusion.yaml'], 'YAML file of the node parameters.'),
    ('namespace', '', 'Namespace of the node and of its relative topics.'),
    ('use_sim_time', 'false', 'Take the time from /clock, as when replaying a bag.'),
    ('autostart', 'true', 'Configure and activate the node at once.'),
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
OVER_THE_FILE = {  # argument -> parameter that it sets, if it is given
    'registration_file': 'registration.file', 'model_name': 'model.name',
    'visible_transport': 'input.visible.transport', 'thermal_transport': 'input.thermal.transport'}


def generate_launch_description() -> LaunchDescription:
    """Describe the node, its topics and the transport that carries whole images."""
    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value=default, description=description)
          for name, default, description in ARGUMENTS),
        *images_through_shared_memory(),
        OpaqueFunction(function=start),
    ])


def start(context: LaunchContext) -> list[LifecycleNode]:
    """Describe the node; the shell has left a ~ behind := as it is."""
    given = {name: os.path.expanduser(LaunchConfiguration(name).perform(context))
             for name in ('params_file', *OVER_THE_FILE)}
    return [LifecycleNode(
        package='degfusion_ros',
        executable='fusion_node',
        name='fusion_node',
        namespace=LaunchConfiguration('namespace'),
        parameters=[given['params_file'], {
            **{name: ParameterValue(LaunchConfiguration(name), value_type=bool)
               for name in ('use_sim_time', 'autostart')},
            **{parameter: ParameterValue(given[name], value_type=str)
               for name, parameter in OVER_THE_FILE.items() if given[name]}}],
        remappings=[*camera('visible'), *camera('thermal')],
        ros_arguments=['--log-level', LaunchConfiguration('log_level')],
        output='screen',
        # Killed or crashed, it comes back by itself, and autostart brings it to work again.
        respawn=True,
        respawn_delay=2.0,
    )]


def camera(modality: str) -> list[tuple]:
    """Remap a camera's image, which compressed follows, and its camera_info, or that beside it."""
    image = LaunchConfiguration(f'{modality}_topic')
    given = LaunchConfiguration(f'{modality}_camera_info', default='')
    info = PythonExpression([
        "'", given, "' or '/'.join('", image, "'.split('/')[:-1] + ['camera_info'])"])
    return [(f'{modality}/image_raw', image), (f'{modality}/camera_info', info)]


def images_through_shared_memory() -> list[SetEnvironmentVariable]:
    """Give Fast DDS the shipped profile, unless the user has chosen one, under either name."""
    older, newer = 'FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'
    shipped = [SHARE, '/config/fastdds.xml']
    chosen = EnvironmentVariable(
        older, default_value=[EnvironmentVariable(newer, default_value=shipped)])
    return [SetEnvironmentVariable(older, chosen), SetEnvironmentVariable(newer, chosen)]
