# SPDX-License-Identifier: Apache-2.0
"""`soak`: the real node for half an hour, with cameras that fail in every way."""

import argparse
import json
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TimeRemainingColumn

from degfusion_ros.commands import soak_summary
from degfusion_ros.files import write_whole


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument('--seconds', type=_positive, default=1800.0,
                        help='how long to send frames (default: %(default)s)')
    parser.add_argument('--rate', type=_positive, default=20.0,
                        help='frames a second of both cameras (default: %(default)s)')
    parser.add_argument('--faults-every', type=_positive, default=8.0,
                        help='seconds between two faults on average (default: %(default)s)')
    parser.add_argument('--hasten', type=_positive, default=1.0,
                        help='divides how long faults last (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=1, help='of the faults and the pictures')
    parser.add_argument('--model', default='dgmoe', help='shipped name or .safetensors path')
    parser.add_argument('--output', type=Path, default=Path('soak_output'),
                        help='folder for soak.json, soak.md and node.log (default: %(default)s)')


def run(args: argparse.Namespace) -> int:
    """Soak; 1 when too few pairs were fused, memory grew, or a frame is unaccounted for."""
    from degfusion_ros.node.soak import soak  # needs ROS 2
    from degfusion_ros.node.soak_faults import plan
    args.output.mkdir(parents=True, exist_ok=True)
    faults = plan(args.seconds, args.faults_every, args.seed, args.hasten)
    with Progress('{task.description}', BarColumn(), TimeRemainingColumn(),
                  console=Console(stderr=True)) as bar:
        task = bar.add_task('', total=args.seconds)
        log = soak(args.seconds, args.rate, faults, args.output, args.seed,
                   {'model.name': args.model},
                   lambda now, words: bar.update(task, completed=now, description=words or 'well'))
    summary = soak_summary.summarise(log, faults)
    table = soak_summary.table(summary)
    write_whole(args.output / 'soak.json', json.dumps(summary, indent=1) + '\n')
    write_whole(args.output / 'soak.md', table)
    print(f'{table}\n{"passed" if summary["passed"] else "FAILED"}; see {args.output}')
    return 0 if summary['passed'] else 1


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError('must be above 0')
    return value
