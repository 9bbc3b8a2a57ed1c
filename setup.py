# SPDX-License-Identifier: Apache-2.0
"""Build the ament_python package; `pip install .` lays out the same files as colcon does."""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = 'degfusion_ros'
SHARE = f'share/{PACKAGE}'


def requirements(name: str = 'requirements.txt') -> list[str]:
    """Return what pip has to install; ROS 2 itself is never among it."""
    # colcon build --symlink-install runs a link to this file, elsewhere.
    file = Path(__file__).resolve().with_name(name)
    lines = file.read_text(encoding='utf-8').splitlines()
    return [line for line in lines if line and not line.startswith('#')]


def tree(folder: str) -> list[tuple[str, list[str]]]:
    """Return a data_files entry for a folder and for each folder below it."""
    folders = [Path(folder), *(path for path in Path(folder).rglob('*') if path.is_dir())]
    return [(f'{SHARE}/{path.as_posix()}', files) for path in sorted(folders)
            if (files := sorted(str(file) for file in path.iterdir()
                                if file.suffix in {'.py', '.yaml', '.xml', '.rviz', '.json'}))]


setup(
    name=PACKAGE,
    version='0.1.0',
    packages=find_packages(include=[PACKAGE, f'{PACKAGE}.*']),
    package_data={PACKAGE: [f'**/*.{kind}' for kind in ('safetensors', 'md', 'json', 'yaml')]},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{PACKAGE}']),
        (SHARE, ['package.xml']),
        *tree('launch'),
        *tree('config'),
        # Data, not console_scripts: pip would put those in bin, where ros2 run does not look, and
        # colcon would write its own interpreter into them, so that they ignore an active venv.
        (f'lib/{PACKAGE}', ['scripts/fusion_node', 'scripts/degfusion']),
    ],
    python_requires='>=3.10',
    install_requires=requirements(),
    # `colcon test` runs pytest where an extra of this name asks for it, else unittest.
    extras_require={'onnx': requirements('requirements-onnx.txt'),
                    'test': requirements('requirements-test.txt')},
    maintainer='Seed 46def436 maintainers',
    maintainer_email='maintainers@users.noreply.r-seed-46def436.example',
    description='Degradation-guided fusion of visible and thermal image streams.',
    license='Apache-2.0',
)
