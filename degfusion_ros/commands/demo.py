# SPDX-License-Identifier: Apache-2.0
"""`demo`: the real node over real topics, played a drive or your bag; a page to look at."""

import argparse
import json
from pathlib import Path
import signal

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from degfusion_ros import bags
from degfusion_ros.commands import demo_report, demo_summary, parameter_file
from degfusion_ros.commands.demo_pairs import sync_of
from degfusion_ros.drive import recording, schedule, weather
from degfusion_ros.files import write_whole
from degfusion_ros.node.parameters import DEFAULTS

ENOUGH = 0.95  # share of the pairs that has to be fused
MADE = ('fused.mcap', 'summary.json', 'index.html', 'node.log')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument('--bag', type=Path, help='rosbag2 folder, .mcap or .db3 with two image '
                        'topics; the built-in drive when left out')
    parser.add_argument('--output', type=Path, default=Path('demo_output'),
                        help='folder for index.html, frames/, fused.mcap, summary.json '
                        '(default: %(default)s); what an earlier demo left there is replaced')
    parser.add_argument('--visible-topic', help='of the bag; guessed by name when left out')
    parser.add_argument('--thermal-topic', help='of the bag; guessed by name when left out')
    parser.add_argument('--rate', type=_positive, default=1.0,
                        help='times the recorded speed (default: %(default)s)')
    parser.add_argument('--model', help='shipped name or .safetensors path; overrides the file of '
                        'parameters, without either dgmoe')
    parser.add_argument('--device', help='auto, cpu, cuda or cuda:N; likewise, without either auto')
    parser.add_argument('--params-file', '--params', type=Path,
                        help='YAML of further node parameters')


def run(args: argparse.Namespace) -> int:
    """Fly, sum up, write the page; 1 when less than 95 % of the pairs were fused."""
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console(stderr=True)
    built_in = args.bag is None
    if not built_in:  # a wrong name is told before anything starts
        bags.image_topics(args.bag, args.visible_topic, args.thermal_topic)
    parameters = dict(DEFAULTS)
    if args.params_file is not None:
        if not args.params_file.is_file():
            raise FileNotFoundError(2, 'no such file', str(args.params_file))
        parameters |= parameter_file.read(args.params_file, '/fusion_node', 'demo')
    _spare(args.output, args.bag, args.params_file)
    _clear(args.output)
    sync = sync_of(parameters)
    with Progress(TextColumn('{task.description}'), BarColumn(20), TaskProgressColumn(),
                  TimeElapsedColumn(), TextColumn('{task.fields[words]}'), console=console) as bar:
        bag = _drawn(bar) if built_in else args.bag
        flight = _fly(args, bag, built_in, bar, sync.reference)
    plan = schedule.SCHEDULE if built_in else None
    summary = demo_summary.summarise(flight, ENOUGH, plan, sync, args.rate)
    summary['bag'] = 'built-in drive' if built_in else str(args.bag)
    write_whole(args.output / 'summary.json', json.dumps(summary, indent=1) + '\n')
    demo_report.write(args.output / 'index.html', summary, flight.pictures)
    console.print(_table(summary))
    print(f'{summary["verdict"]}; see {args.output / "index.html"}')
    return 0 if summary['passed'] else 1


def _positive(text: str) -> float:
    value = float(text)
    if not 0.01 <= value <= 100:
        raise argparse.ArgumentTypeError('must be from 0.01 to 100')
    return value


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _spare(output: Path, *inputs: Path | None) -> None:
    """Refuse an output folder where what is to be read would be replaced."""
    for given in inputs:
        if given is not None and given.resolve() in {(output / name).resolve() for name in MADE}:
            raise bags.BagError(f'{given}: would be replaced by this demo; give another --output')


def _clear(output: Path) -> None:
    """Make the output folder, without what an earlier demo wrote there."""
    output.mkdir(parents=True, exist_ok=True)
    (output / 'frames').mkdir(exist_ok=True)
    for picture in (output / 'frames').glob('[0-9][0-9][0-9][0-9][0-9].jpg'):
        picture.unlink()
    for name in MADE:
        (output / name).unlink(missing_ok=True)


def _drawn(bar: Progress) -> Path:
    task = bar.add_task('drawing the drive, once', words='', visible=False, total=1)
    return recording.cached(lambda done, total: bar.update(
        task, completed=done, total=total, visible=True))


def _fly(args: argparse.Namespace, bag: Path, built_in: bool, bar: Progress,
         reference: str) -> object:
    from degfusion_ros.node import demo  # needs ROS 2: not before it is time to fly
    topics = bags.image_topics(bag, args.visible_topic, args.thermal_topic)
    parameters = {name: value for name, value in (
        ('model.name', args.model), ('model.device', args.device)) if value is not None}
    if built_in:
        parameters['thermal.window'] = [float(v) for v in weather.WINDOW]
    else:
        parameters['model.warm_up_size'] = bags.image_size(bag, topics[0])
    task = bar.add_task('starting', words='', total=1.0)
    return demo.fly(
        bag, topics, args.output, parameters, rate=args.rate, parameter_file=args.params_file,
        reference=reference,
        on_state=lambda words: bar.update(task, words=words),
        on_progress=lambda share, words: bar.update(
            task, description='driving', completed=share, words=words))


def _table(summary: dict) -> Table:
    table = Table(title='demo', show_header=False)
    drops = ', '.join(f'{cause}: {n}' for cause, n in summary['dropped'].items()) or 'none'
    latency, delta = summary['latency_ms'], summary['delta_t_ms']
    for row in (('pairs sent', summary['pairs_sent']), ('fused', summary['fused']),
                ('fused beside, held or alone', summary['further_fused']),
                ('dropped', drops), ('rate', f'{summary["rate_hz"]:.2f} Hz'),
                ('latency', f'{latency["p50"]:.0f} ms, p99 {latency["p99"]:.0f} ms'),
                ('Δt of pairs', f'{delta["mean"]:.1f} ms, at most {delta["max"]:.1f} ms'),
                ('device', f'{summary["node"].get("device")} in '
                           f'{summary["node"].get("precision")}')):
        table.add_row(row[0], str(row[1]))
    if 'agreement' in summary:
        for modality, share in summary['agreement']['labels_found'].items():
            table.add_row(f'{modality} labels found', 'none due' if share is None
                          else f'{100 * share:.0f} %')
    return table
