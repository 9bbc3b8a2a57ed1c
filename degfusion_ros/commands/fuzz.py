# SPDX-License-Identifier: Apache-2.0
"""`fuzz`: malformed camera messages into the real node, guided by coverage."""

import argparse
from collections.abc import Iterator
import contextlib
from dataclasses import asdict
import faulthandler
import json
import os
from pathlib import Path
import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from degfusion_ros.files import write_whole

SHORT = 1000  # messages

def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument('--messages', type=_positive, default=100_000,
                        help='malformed messages to send (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=1, help='of the mutations')
    parser.add_argument('--output', type=Path, default=Path('fuzz_output'),
                        help='folder for fuzz.json and fuzz.log (default: %(default)s)')


def run(args: argparse.Namespace) -> int:
    """Fuzz; 1 when an error escaped, a good pair was not fused or a frame is unaccounted for."""
    from degfusion_ros.node.fuzz import fuzz  # needs ROS 2
    args.output.mkdir(parents=True, exist_ok=True)
    with quiet(args.output / 'fuzz.log') as console, Progress(
            'fuzzing', BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            console=console, disable=not console.is_terminal) as bar:
        faulthandler.enable()  # what ends the process itself leaves its trace in the log
        task, steps = bar.add_task('', total=args.messages), Steps(args.messages)

        def progress(done: int) -> None:
            bar.update(task, completed=done)
            if not console.is_terminal and steps.reached(done):
                print(steps.line(done), flush=True)

        found = fuzz(args.messages, args.seed, progress)
    told = {'passed': found.passed(), **asdict(found)}
    path = args.output / 'fuzz.json'
    write_whole(path, json.dumps(told, indent=1) + '\n')
    if found.ended_early:
        print(f'ended early: {found.ended_early}')
    print(f'{found.messages} malformed messages, {len(found.failures)} failures; '
          f'{found.good_fused} of {found.good_pairs} good pairs fused; {found.arcs} steps of the '
          f'code seen, {found.corpus} messages kept; see {path}')
    return 0 if found.passed() else 1


class Steps:
    """When to say how far it is where no bar is shown: at every twentieth of the messages."""

    def __init__(self, total: int):
        self._total, self._said, self._began = total, 0, time.monotonic()

    def reached(self, done: int) -> bool:
        """Tell whether another twentieth is through; of a short run nothing is said."""
        twentieth = 20 * done // self._total
        news = self._total >= SHORT and twentieth > self._said
        self._said = twentieth
        return news

    def line(self, done: int) -> str:
        """Return how many are through, and how long that took."""
        return f'{done} of {self._total} messages, {time.monotonic() - self._began:.0f} s'


@contextlib.contextmanager
def quiet(log: Path) -> Iterator[Console]:
    """Send what DDS, OpenCV and the node write to stderr to a file; yield a console without it."""
    kept = os.dup(2)
    with open(kept, 'w') as terminal, open(log, 'wb') as file:
        sys.stderr.flush()
        os.dup2(file.fileno(), 2)
        try:
            yield Console(file=terminal)
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError('must be 1 or more')
    return value
