# SPDX-License-Identifier: Apache-2.0
"""The command line: exit codes, one-line errors, and imports only of what is asked for."""

import argparse
import importlib
import os
import re
import subprocess
import sys

import pytest
import torch

from degfusion_ros import __main__ as cli
from degfusion_ros.bags import BagError


def call(*words, code='from degfusion_ros.__main__ import main; sys.exit(main(sys.argv[1:]))'):
    """Run a command in a fresh interpreter."""
    return subprocess.run([sys.executable, '-c', f'import sys; {code}', *words],
                          capture_output=True, text=True, timeout=120, env=os.environ)


def test_help_names_every_command_and_imports_nothing_heavy():
    told = call('--help', code='from degfusion_ros.__main__ import main\n'
                'try: main(sys.argv[1:])\n'
                'except SystemExit: pass\n'
                'heavy = {"torch", "numpy", "cv2", "rclpy", "rosbags", "rich"}\n'
                'sys.exit(f"imported {heavy & set(sys.modules)}" if heavy & set(sys.modules) '
                'else 0)')
    assert told.returncode == 0, told.stderr
    assert all(name in told.stdout for name in cli.COMMANDS)


@pytest.mark.parametrize('name', cli.COMMANDS)
def test_every_command_of_the_table_is_there(name, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([name, '--help'])
    assert ended.value.code == 0
    assert f'degfusion {name}' in capsys.readouterr().out


@pytest.mark.parametrize('words', [[], ['nonsense'], ['demo', '--no-such-option'],
                                   ['demo', '--rate', '0'], ['demo', '--rate', 'fast']])
def test_wrong_use_is_2(words, capsys):
    try:
        code = cli.main(words)
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    assert 'degfusion' in capsys.readouterr().err


def test_missing_bag_is_1_and_one_line(tmp_path, capsys):
    assert cli.main(['demo', '--bag', str(tmp_path / 'gone'), '--output', str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error == f'degfusion: {tmp_path / "gone"}: no such bag\n'


def test_traceback_is_shown_when_asked_for(tmp_path):
    with pytest.raises(RuntimeError, match='no such bag'):
        cli.main(['--traceback', 'demo', '--bag', str(tmp_path / 'gone')])


@pytest.mark.parametrize('error, line', [
    (FileNotFoundError(2, 'No such file or directory', 'x.yaml'),
     'x.yaml: No such file or directory'),
    (OSError(28, 'No space left on device'), 'No space left on device'),
    (BagError('x.mcap: damaged:\n  cut off'), 'x.mcap: damaged: cut off'),
    (MemoryError(),
     'out of memory: free some, give smaller pictures or another --device (MemoryError)'),
    (torch.OutOfMemoryError('CUDA out of memory.\nTried to allocate 2 GiB'),
     'out of memory: free some, give smaller pictures or another --device '
     '(CUDA out of memory. Tried to allocate 2 GiB)'),
    (ModuleNotFoundError('No module named rclpy', name='rclpy'),
     'no rclpy: source a ROS 2, or pip install -r requirements-ros.txt'),
    (ModuleNotFoundError('No module named torch.nn', name='torch.nn'),
     'no Python package torch: pip install -r requirements.txt')])
def test_expected_errors_are_one_line(error, line, monkeypatch, capsys):
    fail_with(error, monkeypatch)
    assert cli.main(['fuse']) == 1
    assert capsys.readouterr().err == f'degfusion: {line}\n'


def test_faults_of_the_program_keep_their_traceback(monkeypatch):
    fail_with(ZeroDivisionError(), monkeypatch)
    with pytest.raises(ZeroDivisionError):
        cli.main(['fuse'])


def test_interrupt_is_1(monkeypatch, capsys):
    fail_with(KeyboardInterrupt(), monkeypatch)
    assert cli.main(['fuse']) == 1
    assert capsys.readouterr().err == 'degfusion: interrupted\n'


def fail_with(error, monkeypatch):
    """Make `fuse` a command that fails."""
    def run(args):
        raise error

    class Command:
        add_arguments = staticmethod(lambda parser: None)
    Command.run = staticmethod(run)
    monkeypatch.setattr(cli.importlib, 'import_module', lambda name: Command)


def test_what_two_commands_share_has_the_same_names_in_both():
    for module, names in (('fuse_bag', {'--params', '--params-file', '--max-dt', '--max-dt-s'}),
                          ('demo', {'--params', '--params-file'}),
                          ('calibrate', {'--max-dt', '--max-dt-s'})):
        parser = argparse.ArgumentParser()
        importlib.import_module(f'degfusion_ros.commands.{module}').add_arguments(parser)
        assert names <= set(re.findall(r'--[\w-]+', parser.format_help())), module
