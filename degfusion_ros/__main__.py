# SPDX-License-Identifier: Apache-2.0
"""Run a command: python -m degfusion_ros COMMAND, or ros2 run degfusion_ros degfusion COMMAND."""

import argparse
import importlib
import os
import sys

# name: (module, what it does). A module is imported only when its command is asked for, so that
# --help is instant and a missing heavy dependency stops only the command that needs it.
COMMANDS = {
    'benchmark': ('degfusion_ros.commands.benchmark', 'measure speed and memory, side by side'),
    'ablate': ('degfusion_ros.commands.ablate', 'measure a model without each of its parts'),
    'average': ('degfusion_ros.commands.average', 'take the mean of checkpoints, or of parts'),
    'calibrate': ('degfusion_ros.commands.calibrate', 'register the thermal to the visible camera'),
    'demo': ('degfusion_ros.commands.demo', 'play a drive or a bag through the real node'),
    'evaluate': ('degfusion_ros.commands.evaluate', 'measure fused images; tables and a report'),
    'export': ('degfusion_ros.commands.export', 'write the folded network for other engines'),
    'fuse': ('degfusion_ros.commands.fuse', 'fuse and restore two folders of images'),
    'fuse-bag': ('degfusion_ros.commands.fuse_bag', 'add the fused topics to a copy of a bag'),
    'fuzz': ('degfusion_ros.commands.fuzz', 'send malformed messages to the node'),
    'soak': ('degfusion_ros.commands.soak', 'run the node for long, with faults at random'),
    'degrade': ('degfusion_ros.commands.degrade', 'build a benchmark set from clean pairs'),
    'pairing-report': ('degfusion_ros.commands.pairing_report',
                       "pair simulated cameras by our policy and message_filters'"),
    'train': ('degfusion_ros.commands.train', 'train the guidance or the fusion network'),
}


def main(argv: list[str] | None = None) -> int:
    """Run one command; return 0 done, 2 wrong use, 1 failed (one line says why)."""
    argv = sys.argv[1:] if argv is None else argv
    traceback = '--traceback' in argv
    try:
        parser = _parser(next((word for word in argv if word in COMMANDS), None))
        args = parser.parse_args(argv)
        if not args.command:
            parser.print_help(sys.stderr)
            return 2
        return args.run(args)
    except KeyboardInterrupt:
        return _fail('interrupted')
    except BrokenPipeError:  # | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        line = _line(error)
        if traceback or line is None:
            raise
        return _fail(line)


def _parser(chosen: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='degfusion', description='Degradation-guided visible-thermal fusion for ROS 2.',
        epilog='degfusion COMMAND --help tells the options of a command.')
    parser.add_argument('--traceback', action='store_true', help='show where an error came from')
    commands = parser.add_subparsers(dest='command', metavar='COMMAND')
    for name, (module, what) in COMMANDS.items():
        command = commands.add_parser(name, help=what, description=f'{what.capitalize()}.')
        if name == chosen:
            implementation = importlib.import_module(module)
            implementation.add_arguments(command)
            command.set_defaults(run=implementation.run)
    return parser


def _line(error: Exception) -> str | None:
    """
    Tell an expected error in one line; None for a fault of the program, which keeps its traceback.

    Expected are the system's errors, want of memory, and the package's own: BagError and the like.
    """
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or '').partition('.')[0]
        if package == 'rclpy' or package.endswith('_msgs'):
            return f'no {package}: source a ROS 2, or pip install -r requirements-ros.txt'
        return f'no Python package {package}: pip install -r requirements.txt'
    if isinstance(error, OSError) and error.strerror:
        return f'{error.filename}: {error.strerror}' if error.filename else error.strerror
    if type(error).__module__.startswith('degfusion_ros.'):
        return ' '.join(str(error).split())
    from degfusion_ros.node.memory import is_out_of_memory
    if is_out_of_memory(error):
        told = ' '.join(str(error).split()) or type(error).__name__
        return f'out of memory: free some, give smaller pictures or another --device ({told})'
    return None


def _fail(line: str) -> int:
    print(f'degfusion: {line}', file=sys.stderr)
    return 1


if __name__ == '__main__':
    sys.exit(main())
