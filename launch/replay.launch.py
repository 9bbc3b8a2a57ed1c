# SPDX-License-Identifier: Apache-2.0
"""Replay a bag through the fusion node: ros2 launch degfusion_ros replay.launch.py bag:=BAG."""

import os

from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    SetLaunchConfiguration,
    Shutdown,
)
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.substitutions import FindPackageShare

SHARE = FindPackageShare('degfusion_ros')

ARGUMENTS = (
    ('bag', None, 'The bag to replay, sqlite3 or mcap.'),
    ('rate', '1.0', 'Speed of the replay.'),
    ('view', 'false', 'Open rviz2 on the fused image and the mosaic.'),
)

# Loading and warming up take seconds: a bag started at once would lose its beginning. The node is
# asked for its state, since a transition event is lost while discovery still goes on; a question
# that is not answered, as by a node that dies meanwhile, is put again.
PATIENCE_S = 120
UNTIL_ACTIVE = """
node=$(echo "/$1/fusion_node" | tr -s /)
echo "the bag waits for $node to become active, at most $2 s"
until [[ $(timeout 10 ros2 lifecycle get --no-daemon "$node" 2>&1) == active* ]]; do
    (( SECONDS < $2 )) || {
        echo "$node is not active after $2 s: its error above, or /diagnostics, says why" >&2
        exit 1
    }
    sleep 0.5
done
"""
PICTURES = ('fused', 'visible_restored', 'thermal_restored', 'mosaic')  # of config/fusion.rviz


def generate_launch_description() -> LaunchDescription:
    """Describe the node on the bag's clock, then the bag, then the end."""
    node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource([SHARE, '/launch/fusion.launch.py']),
        launch_arguments={'use_sim_time': 'true', 'autostart': 'true'}.items(),
    )
    play = ExecuteProcess(
        cmd=['ros2', 'bag', 'play', LaunchConfiguration('bag'), '--clock',
             '--rate', LaunchConfiguration('rate')],
        output='screen',
        on_exit=Shutdown(reason='the bag has ended'),
    )
    wait = ExecuteProcess(
        cmd=['bash', '-c', UNTIL_ACTIVE, 'until_active', LaunchConfiguration('namespace'),
             str(PATIENCE_S)],
        output='screen',
        on_exit=lambda event, _: [
            Shutdown(reason='the node did not become active') if event.returncode else play],
    )
    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value=default, description=description)
          for name, default, description in ARGUMENTS),
        OpaqueFunction(function=find_bag),
        node,
        wait,
        OpaqueFunction(function=view),
    ])


def find_bag(context: LaunchContext) -> list[SetLaunchConfiguration]:
    """Resolve the ~ that the shell leaves behind :=; RuntimeError if there is no such bag."""
    bag = os.path.expanduser(LaunchConfiguration('bag').perform(context))
    if not os.path.exists(bag):
        raise RuntimeError(f'bag:={bag}: no such file or folder: check the path')
    return [SetLaunchConfiguration('bag', bag)]


def view(context: LaunchContext) -> list[ExecuteProcess]:
    """Describe rviz2, its topics in the node's namespace."""
    space = LaunchConfiguration('namespace').perform(context).strip('/')
    node = f'/{space}/fusion_node' if space else '/fusion_node'
    remaps = [word for name in PICTURES if space
              for word in ('-r', f'/fusion_node/{name}/image:={node}/{name}/image')]
    return [ExecuteProcess(
        cmd=['rviz2', '-d', [SHARE, '/config/fusion.rviz'], '--ros-args', *remaps],
        condition=IfCondition(LaunchConfiguration('view')))]
