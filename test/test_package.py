# SPDX-License-Identifier: Apache-2.0
"""The manifest, setup.py and what they install agree with each other and with the code."""

import ast
import importlib.metadata
import os
from pathlib import Path
import re
import shutil
import subprocess
import sys
from xml.etree import ElementTree

import pytest

import degfusion_ros

ROOT = Path(__file__).resolve().parents[1]
MANIFEST = ElementTree.parse(ROOT / 'package.xml').getroot()
CODE = [*(ROOT / 'degfusion_ros').rglob('*.py'), *(ROOT / 'launch').glob('*.py')]
ROS = {'cv_bridge', 'launch', 'launch_ros', 'message_filters', 'rclpy', 'ament_index_python'}
SKIPPED = ('.*', '__pycache__', 'build', 'install', 'log', 'demo_output', 'runs', 'out')


def run(*command, **options) -> str:
    result = subprocess.run(command, capture_output=True, text=True, **options)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition('.')[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module.partition('.')[0])
    return found


@pytest.fixture(scope='module')
def prefix(tmp_path_factory) -> Path:
    """Return where `pip install .` has put the package, from a copy of the tree."""
    source = tmp_path_factory.mktemp('source') / 'degfusion_ros'
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*SKIPPED))
    prefix = tmp_path_factory.mktemp('prefix')
    run(sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps', '--no-index',
        '--no-build-isolation', '--ignore-installed', '--prefix', prefix, source)
    return prefix


def test_an_sdist_holds_all_that_its_setup_reads(tmp_path):
    source = tmp_path / 'degfusion_ros'
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*SKIPPED, '*.safetensors'))
    run(sys.executable, 'setup.py', '--quiet', 'sdist', '--formats', 'gztar', cwd=source)
    archive, = (source / 'dist').iterdir()
    shutil.unpack_archive(archive, tmp_path, filter='data')
    unpacked = tmp_path / archive.name.removesuffix('.tar.gz')
    told = run(sys.executable, 'setup.py', '--version', cwd=unpacked)
    assert told.splitlines()[-1] == degfusion_ros.__version__
    for name in ('LICENSE', 'README.md', 'CHANGELOG.rst', 'package.xml', 'config/fusion.yaml',
                 'scripts/fusion_node', 'resource/degfusion_ros'):
        assert (unpacked / name).is_file(), name


def test_colcon_finds_that_the_tests_are_pytests():
    """From colcon-core 0.7.1 on, an extra called test tells; it reads setup.py in this way."""
    told = run(sys.executable, '-c', 'import setuptools; from distutils.core import run_setup; '
               "print(run_setup('setup.py', ['--dry-run'], 'config').extras_require['test'])",
               cwd=ROOT, env={**os.environ, 'SETUPTOOLS_USE_DISTUTILS': 'local'})
    names = [re.match(r'[\w-]+', line)[0] for line in ast.literal_eval(told.splitlines()[-1])]
    assert 'pytest' in names
    declared = {dependency.text for dependency in MANIFEST.findall('test_depend')}
    assert 'python3-pytest' in declared


def test_manifest_is_an_ament_python_package():
    assert MANIFEST.get('format') == '3'
    assert MANIFEST.findtext('export/build_type') == 'ament_python'
    assert MANIFEST.findtext('name') == 'degfusion_ros'
    assert MANIFEST.find('maintainer').get('email')


def test_one_version_and_one_licence():
    told = run(sys.executable, 'setup.py', '--name', '--version', '--license', cwd=ROOT)
    name, version, licence = told.splitlines()[-3:]
    assert name == MANIFEST.findtext('name')
    assert version == MANIFEST.findtext('version') == degfusion_ros.__version__
    assert licence == MANIFEST.findtext('license') == 'Apache-2.0'
    assert 'Apache License' in (ROOT / MANIFEST.find('license').get('file')).read_text()


def of_ros(name: str) -> bool:
    return name in ROS or name.endswith(('_msgs', '_srvs', '_interfaces'))


def test_every_ros_package_the_code_imports_is_declared():
    declared = {dependency.text for dependency in MANIFEST.findall('exec_depend')}
    imported = {name for name in set().union(*map(imports, CODE)) if of_ros(name)}
    assert {'rclpy', 'launch_ros', 'sensor_msgs'} <= imported
    assert imported <= declared


def test_every_ros_program_that_a_launch_file_starts_is_declared():
    declared = {dependency.text for dependency in MANIFEST.findall('exec_depend')}
    started = set()
    for path in (ROOT / 'launch').glob('*.py'):
        started |= set(re.findall(r"cmd=\['(\w+)'", path.read_text(encoding='utf-8')))
    assert 'rviz2' in started
    assert started - {'bash', 'ros2'} <= declared


def test_every_pip_package_the_code_imports_is_required():
    required = re.findall(r'^[\w.-]+', (ROOT / 'requirements.txt').read_text(), re.MULTILINE)
    required = {name.lower().replace('-', '_') for name in required}
    imported = {name for name in set().union(*map(imports, CODE))
                if name not in sys.stdlib_module_names and not of_ros(name)} - {'degfusion_ros'}
    assert {'cv2', 'numpy', 'torch'} <= imported
    distributions = importlib.metadata.packages_distributions()
    provided = {name: {found.lower().replace('-', '_') for found in distributions[name]}
                for name in imported}
    assert [name for name in imported if not provided[name] & required] == []


def test_pip_never_installs_ros_where_ros_is_sourced():
    text = (ROOT / 'requirements.txt').read_text() + (ROOT / 'requirements-test.txt').read_text()
    assert not [line for line in text.splitlines() if line.startswith('ros-')]


def test_pip_install_lays_out_what_ros2_looks_for(prefix):
    share = prefix / 'share' / 'degfusion_ros'
    assert (prefix / 'share/ament_index/resource_index/packages/degfusion_ros').is_file()
    assert (share / 'package.xml').read_bytes() == (ROOT / 'package.xml').read_bytes()
    for folder in ('launch', 'config'):
        files = [path for path in (ROOT / folder).rglob('*')
                 if path.is_file() and path.suffix != '.pyc']
        assert files
        for path in files:
            assert (share / path.relative_to(ROOT)).read_bytes() == path.read_bytes()


def test_pip_install_takes_all_code_and_data_along(prefix):
    installed, = prefix.glob('lib/python*/site-packages')
    files = [path.relative_to(ROOT) for path in (ROOT / 'degfusion_ros').rglob('*')
             if path.is_file() and path.suffix != '.pyc']
    missing = [str(path) for path in files if not (installed / path).is_file()]
    assert not missing


@pytest.mark.parametrize('script', ['fusion_node', 'degfusion'])
def test_ros2_run_uses_the_interpreter_of_the_active_environment(prefix, script):
    path = prefix / 'lib' / 'degfusion_ros' / script
    assert os.access(path, os.X_OK)
    assert path.read_text().splitlines()[0] == '#!/usr/bin/env python3'


def test_installed_command_runs_without_the_source_tree(prefix, tmp_path):
    installed, = prefix.glob('lib/python*/site-packages')
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ['PATH']])
    environment = {**os.environ, 'PYTHONPATH': str(installed), 'PATH': path}
    script = prefix / 'lib' / 'degfusion_ros' / 'degfusion'
    assert 'fuse' in run(script, '--help', cwd=tmp_path, env=environment)
