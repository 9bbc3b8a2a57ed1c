# SPDX-License-Identifier: Apache-2.0
"""`evaluate`: measure fused images against their sources; tables, JSON and an HTML page."""

import argparse
import json
from pathlib import Path
import sys

from degfusion_ros.files import write_whole


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add = parser.add_argument
    add('results', nargs='+', metavar='RESULT', help='folder of fused images, output folder of '
        'fuse, or folder of CONDITION/ folders of either; NAME=FOLDER gives it a name')
    add('--visible', type=Path, required=True,
        help='folder of the visible inputs; with conditions, of CONDITION/[visible/] folders')
    add('--thermal', type=Path, required=True, help='the same of the thermal inputs')
    add('--clean-visible', type=Path, help='folder of the clean visible sources: measure against '
        'these, and what restoration gains over the inputs')
    add('--clean-thermal', type=Path, help='the same of the thermal sources')
    add('--labels', type=Path, metavar='MANIFEST',
        help='JSON lines of what was done to the inputs, as degrade writes')
    add('--sequence', action='store_true',
        help='the images of a condition, by name, are a video: measure flicker')
    add('--output', type=Path, help='folder for evaluation.json, evaluation.md and index.html')
    add('--pictures', type=int, default=3, help='scenes a condition in the HTML page (3)')
    add('--all', action='store_true', help='print all tables, not those for choosing alone')
    add('--jobs', type=int, default=1, help='processes (1)')


def run(args: argparse.Namespace) -> int:
    """Score all pictures, print the tables, write the files; bad pictures are named."""
    if (args.clean_visible is None) != (args.clean_thermal is None):
        return _wrong('give both --clean-visible and --clean-thermal, or neither')
    for name, low in (('jobs', 1), ('pictures', 0)):
        if getattr(args, name) < low:
            return _wrong(f'--{name} {getattr(args, name)}: must be {low} or more')
    from rich.console import Console

    from degfusion_ros.learning import report as tables_of
    from degfusion_ros.learning.evaluation import evaluate
    from degfusion_ros.learning.result_folders import named, Sources
    report, cases = evaluate(
        named(args.results),
        Sources(args.visible, args.thermal, args.clean_visible, args.clean_thermal),
        args.labels, args.sequence, args.jobs, _progress)
    for line in report['problems']:
        print(f'evaluate: {line}', file=sys.stderr)
    console = Console(width=None if sys.stdout.isatty() else 200)
    for table in tables_of.tables(report):
        if args.all or table.title in tables_of.SHORT:
            console.print(tables_of.to_rich(table))
    if args.output:
        write(args.output, report, cases, args.pictures)
        print(args.output / 'index.html')
    return 1 if report['problems'] else 0


def write(output: Path, report: dict, cases: list, pictures: int,
          plots: dict[str, bytes] | None = None) -> None:
    """Write the JSON, the Markdown tables and the page, each whole or not at all."""
    from degfusion_ros.learning import report as tables_of
    from degfusion_ros.learning.report_page import page
    output.mkdir(parents=True, exist_ok=True)
    for name, text in (('evaluation.json', json.dumps(report, indent=1) + '\n'),
                       ('evaluation.md', tables_of.to_markdown(report)),
                       ('index.html', page(report, cases, pictures, plots))):
        write_whole(output / name, text)


def _progress(results: object, count: int) -> object:
    from rich.console import Console
    from rich.progress import track
    return track(results, total=count, description='scoring', console=Console(stderr=True))


def _wrong(line: str) -> int:
    print(f'degfusion evaluate: {line}', file=sys.stderr)
    return 2
