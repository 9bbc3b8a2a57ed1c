# SPDX-License-Identifier: Apache-2.0
"""`benchmark`: forms, engines, precisions and peers side by side; the node end to end."""

import argparse
from collections.abc import Iterable
from dataclasses import asdict, replace
import importlib.util
import json
import os
from pathlib import Path
import re
import subprocess
import sys
import tempfile

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import degfusion_ros
from degfusion_ros.files import write_whole

ENGINES = {'torch': ('torch',), 'openvino': ('openvino',),
           'onnxruntime': ('onnx', 'onnxruntime')}      # and the packages that they need


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument('--size', type=_size, default='640x512', help='WIDTHxHEIGHT of the frames '
                        '(default: %(default)s)')
    parser.add_argument('--models', type=_list, default=['dgmoe'],
                        help='shipped names or .safetensors paths, with commas')
    parser.add_argument('--forms', type=_forms, default=['folded', 'routed', 'dense'],
                        help='folded, routed, dense (default: all that a model has)')
    parser.add_argument('--engines', type=_engines, help='torch, openvino, onnxruntime '
                        '(default: those there)')
    parser.add_argument('--precisions', type=_list, default=['auto', 'float32'],
                        help='auto, float32, bfloat16, float16 (default: auto,float32)')
    parser.add_argument('--device', default='cpu', help='auto, cpu, cuda or cuda:N '
                        '(default: %(default)s)')
    parser.add_argument('--peer', action='append', default=[], metavar='MODULE:CALLABLE',
                        help='another fusion: callable(visible uint8 HxWx3, thermal uint8 HxW)')
    parser.add_argument('--sizes', type=_sizes, default=[], help='WIDTHxHEIGHT,... to scale over')
    parser.add_argument('--threads', type=_numbers, default=[],
                        help='numbers of threads to scale over; the first one serves for all else')
    parser.add_argument('--frames', type=int, default=100,
                        help='frames each (default: %(default)s; 0: measure no network)')
    parser.add_argument('--no-memory', dest='memory', action='store_false',
                        help='leave out peak memory, which takes a process for each row')
    parser.add_argument('--node', action='store_true', help='also measure the node end to end')
    parser.add_argument('--rates', type=_numbers, default=[10, 20, 30],
                        help='Hz to send pairs to the node at (default: 10,20,30)')
    parser.add_argument('--highest', type=int, default=120, help='Hz up to which the highest '
                        'sustained rate is looked for (default: %(default)s; 0: not at all)')
    parser.add_argument('--seconds', type=float, default=15.0,
                        help='how long the node gets each rate (default: %(default)s)')
    parser.add_argument('--output', type=output_file, help='JSON file for all that was measured')
    parser.add_argument('--plot', type=_plot, help='.png or .svg for a plot of it')
    parser.add_argument('--only', help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Measure, print a table, write JSON and plot."""
    from degfusion_ros.learning import benchmark, benchmark_machine, benchmark_peers
    from degfusion_ros.models.allocation import keep_freed_memory
    from degfusion_ros.models.choice import find_device
    if args.node:       # what it lacks, and a peer that is none, are told before all is measured
        from degfusion_ros.commands import benchmark_node
    for name in args.peer:
        benchmark_peers.load_peer(name)
    args.device = find_device(args.device)
    keep_freed_memory()     # as the node does
    console = Console(stderr=True)
    console.width = max(console.width, 140)     # a table in a log file needs no folding
    told = {'machine': benchmark_machine.describe(args.device), 'results': []}
    if args.frames > 0:
        specs = [benchmark.Spec(**json.loads(args.only))] if args.only else _specs(args)
        peaks, told['results'] = _measure(args, specs, console)
        told['machine']['peak_gflops'] = {
            f'{precision}, {threads} thread{"s" * (threads > 1)}': round(peak.gflops, 1)
            for (precision, threads), peak in peaks.items()}
        if not args.only:
            console.print(_table(told['results']))
    if args.frames > 0 or not args.node:
        _write(args.output, told)
    if args.plot:
        from degfusion_ros.learning import benchmark_plot
        benchmark_plot.draw(told, args.plot)
    if args.node:       # should it fail midway, what was measured before is kept
        told['node'] = []
        for mode in benchmark_node.measure(args, console):
            told['node'].append(mode)
            _write(args.output, told)
    return 0


def _write(path: Path | None, told: dict) -> None:
    if path:
        write_whole(path, json.dumps(told, indent=1) + '\n')


def _specs(args: argparse.Namespace) -> list:
    """List what is measured: all combinations at one size, the default one over the others."""
    import torch

    from degfusion_ros.fuser import OUTPUTS
    from degfusion_ros.learning.benchmark import forms, Spec
    from degfusion_ros.learning.benchmark_peers import REFERENCE
    threads = args.threads or [torch.get_num_threads()]
    engines = args.engines or [
        name for name, packages in ENGINES.items()
        if all(importlib.util.find_spec(package) is not None for package in packages)]
    found, plain = [], [Spec(name, args.size, threads=threads[0])
                        for name in (REFERENCE, *args.peer)]
    for model in args.models:
        known, precisions, usual = forms(model, args.device, args.precisions)
        engine = usual if usual in engines else engines[0]
        precision = 'float32' if engine == 'onnxruntime' else precisions[0]     # all it takes
        first = Spec(model, args.size, known[0], engine, precision, threads=threads[0])
        found += [replace(first, form=form, engine='torch', precision=precision)
                  for precision in precisions for form in known
                  if form in args.forms and 'torch' in engines]
        if 'openvino' in engines and args.device == 'cpu':
            found += [replace(first, engine='openvino', precision=p) for p in precisions]
        found.append(replace(first, outputs=OUTPUTS))
        if 'onnxruntime' in engines and args.device == 'cpu':
            found.append(replace(first, engine='onnxruntime', precision='float32'))
        plain.append(first)
    for base in plain:
        found.append(base)
        found += [replace(base, size=size) for size in args.sizes]
        found += [replace(base, threads=count) for count in threads]
    return list(dict.fromkeys(found))


def _measure(args: argparse.Namespace, specs: list, console: Console) -> tuple[dict, list[dict]]:
    from degfusion_ros.learning import benchmark
    from degfusion_ros.learning.benchmark_machine import Peak, peak_memory
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task('building', total=len(specs))
        candidates = []
        for spec in specs:
            bar.update(task, description=f'building {spec.name}')
            candidates.append(benchmark.Candidate(spec, args.device))
            bar.advance(task)
        # alone, for its memory, a row is not to carry a peak's matrices
        peaks = {(s.precision, s.threads): Peak(s.precision, args.device)
                 for s in specs if s.form and not args.only}
        bar.update(task, description='measuring in turns', total=1.0, completed=0)
        benchmark.measure(candidates, peaks, args.frames,
                          lambda share: bar.update(task, completed=share))
        memory = [peak_memory(args.device) if args.only else {'memory_mb': None}] * len(specs)
        if args.memory and not args.only:
            bar.update(task, total=len(specs), completed=0)
            for i, spec in enumerate(specs):
                bar.update(task, description=f'memory of {spec.name}', completed=i)
                memory[i] = _memory_alone(args.device, spec)
    rows = [c.row(peaks, told) for c, told in zip(candidates, memory)]
    for row in rows:
        row['ratio_to_reference'] = benchmark.ratio(row, rows)
    return peaks, rows


def _memory_alone(device: str, spec: object) -> dict[str, float | None]:
    """Return the `peak_memory` of a spec in a process of its own; None if that fails."""
    root = str(Path(degfusion_ros.__file__).parents[1])
    path = os.pathsep.join(filter(None, [root, os.environ.get('PYTHONPATH')]))
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / 'one.json'
        done = subprocess.run(
            [sys.executable, '-m', 'degfusion_ros', 'benchmark', '--only',
             json.dumps(asdict(spec)), '--device', device, '--frames', '3', '--output', output],
            env={**os.environ, 'PYTHONPATH': path}, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        if done.returncode:
            return {'memory_mb': None}
        row, = json.loads(output.read_text())['results']
        return {key: value for key, value in row.items() if key.endswith('memory_mb')}


def _table(rows: list[dict]) -> Table:
    table = Table(title='one frame, bytes in and bytes out')
    for name in ('what', 'p50 ms', 'p99 ms', 'x reference', 'GFLOP', 'of the peak', 'MB'):
        table.add_column(name, justify='left' if name == 'what' else 'right',
                         no_wrap=True)
    for row in rows:
        table.add_row(row['name'], *(
            '' if value is None else f'{value:{form}}' for value, form in (
                (row['ms']['p50'], '.1f'), (row['ms']['p99'], '.1f'),
                (row['ratio_to_reference'], '.2f'), (row['gflop'], '.1f'),
                (row['peak_share'], '.0%'), (row['memory_mb'], '.0f'))))
    return table


def _list(text: str) -> list[str]:
    if not (words := [word for word in text.split(',') if word]):
        raise argparse.ArgumentTypeError(f'{text!r}: give at least one, with commas between')
    return words


def _forms(text: str) -> list[str]:
    from degfusion_ros.learning.benchmark_forms import FORMS
    return _among(FORMS, text)


def _engines(text: str) -> list[str]:
    return _among(ENGINES, text)


def _among(known: Iterable[str], text: str) -> list[str]:
    words = _list(text)
    if unknown := [word for word in words if word not in known]:
        raise argparse.ArgumentTypeError(f'{", ".join(unknown)}: choose from {", ".join(known)}')
    return words


def _numbers(text: str) -> list[int]:
    values = [int(word) for word in _list(text)]
    if min(values) < 1:
        raise argparse.ArgumentTypeError(f'{text!r}: whole numbers from 1 on, with commas')
    return values


def output_file(text: str) -> Path:
    """Return the file that an option names; refuse what cannot be written, before the work."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f'{text!r}: is a folder; name a file in it')
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f'{text!r}: no folder {path.parent}; make it first')
    return path


def _plot(text: str) -> Path:
    """Refuse what matplotlib cannot write, too."""
    from matplotlib.backend_bases import FigureCanvasBase
    path = output_file(text)
    if path.suffix and path.suffix[1:].lower() not in FigureCanvasBase.get_supported_filetypes():
        raise argparse.ArgumentTypeError(f'{text!r}: no kind of picture that can be plotted; '
                                         'end it in .png or .svg')
    return path


def _size(text: str) -> str:
    if not re.fullmatch(r'[1-9]\d+x[1-9]\d+', text):
        raise argparse.ArgumentTypeError(f'{text!r}: write it as WIDTHxHEIGHT, such as 640x512')
    return text


def _sizes(text: str) -> list[str]:
    return [_size(word) for word in _list(text)]
