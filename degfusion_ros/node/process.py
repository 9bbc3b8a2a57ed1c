# SPDX-License-Identifier: Apache-2.0
"""The fusion node in a process of its own, on a private DDS domain of this machine."""

import os
from pathlib import Path
import signal
import subprocess
import sys

import degfusion_ros

PATIENCE_S = 15.0  # for the node to end by itself


def isolate() -> None:
    """
    Keep this process and its children to themselves; call it before rclpy.init().

    Takes a domain of its own and discovers on this machine alone; whole images fit the shared
    memory that config/fastdds.xml sets up. A Fast DDS profile the user has chosen stays.
    """
    os.environ['ROS_DOMAIN_ID'] = str(os.getpid() % 100 + 1)
    if os.environ.get('ROS_DISTRO') == 'humble':
        os.environ['ROS_LOCALHOST_ONLY'] = '1'
    else:
        os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    profile = shared_file('config/fastdds.xml')
    if profile is not None:
        for name in ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE'):
            os.environ.setdefault(name, str(profile))


def shared_file(name: str) -> Path | None:
    """Return a file of the source tree or of the installed share folder, None without either."""
    source = Path(degfusion_ros.__file__).parents[1] / name
    if source.is_file():
        return source
    try:
        from ament_index_python.packages import get_package_share_directory
        installed = Path(get_package_share_directory('degfusion_ros')) / name
    except (ImportError, LookupError):
        installed = Path(sys.prefix) / 'share' / 'degfusion_ros' / name
    return installed if installed.is_file() else None


class NodeProcess:
    """Runs `fusion_node` while the context lives; its output goes to a log file."""

    def __init__(self, parameters: dict[str, object], log: Path,
                 parameter_file: Path | None = None) -> None:
        self.log = log
        self.command = [sys.executable, '-m', 'degfusion_ros.node.fusion_node', '--ros-args']
        if parameter_file is not None:
            self.command += ['--params-file', str(parameter_file)]
        for name, value in parameters.items():
            self.command += ['-p', f'{name}:={_yaml(value)}']

    def __enter__(self) -> 'NodeProcess':
        package_root = str(Path(degfusion_ros.__file__).parents[1])
        path = os.pathsep.join(filter(None, [package_root, os.environ.get('PYTHONPATH')]))
        self.output = open(self.log, 'wb')
        environment = {**os.environ, 'PYTHONPATH': path}
        # A session of its own: Ctrl-C reaches the demo alone, which then ends the node in order.
        self.process = subprocess.Popen(
            self.command, stdout=self.output, stderr=subprocess.STDOUT, start_new_session=True,
            env=environment)
        return self

    def ended(self) -> str | None:
        """Return the last line the node has written if it has ended, None while it runs."""
        if self.process.poll() is None:
            return None
        lines = self.log.read_text(errors='replace').strip().splitlines() or ['no output']
        return f'exit status {self.process.returncode}: {lines[-1]}'

    def __exit__(self, *_: object) -> None:
        try:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(PATIENCE_S)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            self.process.kill()
            self.process.wait()
        finally:
            self.output.close()


def _yaml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)
