# SPDX-License-Identifier: Apache-2.0
"""`ablate`: a checkpoint without each of its parts, measured, and which experts it picks."""

import argparse
import json
from pathlib import Path
import sys

from degfusion_ros.files import overlap, write_whole


class AblationError(RuntimeError):
    """A model or data that cannot be ablated; one line says why and what to do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add = parser.add_argument
    add('--data', type=Path, required=True,
        help='folder with visible/ and thermal/, or with CONDITION/ folders of these')
    add('--clean', type=Path, help='folder with visible/ and thermal/ of the clean pairs '
        '(default: DATA/clean where it is there)')
    add('--output', type=Path, required=True, help='folder for pictures, tables and heat maps')
    add('--model', default='dgmoe', help='shipped name or .safetensors path')
    add('--jobs', type=int, default=1, help='processes that measure (1)')
    add('--pictures', type=int, default=3, help='scenes a condition in the HTML page (3)')


def run(args: argparse.Namespace) -> int:
    """Fuse all pairs in every variant, measure them side by side, draw the experts' heat maps."""
    if args.jobs < 1:
        print(f'degfusion ablate: --jobs {args.jobs}: must be 1 or more', file=sys.stderr)
        return 2
    from rich.console import Console

    from degfusion_ros.commands import evaluate as evaluate_command
    from degfusion_ros.learning import ablation, report as tables_of
    from degfusion_ros.learning.evaluation import evaluate
    from degfusion_ros.learning.result_folders import Sources
    conditions = _conditions(args.data)
    network, guidance = _load(args.model)
    taken = overlap((args.output / name / condition / side for name in ablation.variants(network)
                     for condition in conditions for side in ('visible', 'thermal')),
                    {path.parent for pairs in conditions.values() for paths in pairs.values()
                     for path in paths})
    if taken:
        print(f'degfusion ablate: --output {args.output}: {taken} holds the pictures to fuse; '
              'choose another folder', file=sys.stderr)
        return 2
    bad, vectors, difference = _fuse(args.output, conditions, network, guidance)
    clean = args.clean or (args.data / 'clean' if (args.data / 'clean').is_dir() else None)
    sources = Sources(args.data, args.data, *((clean / 'visible', clean / 'thermal') if clean
                                              else (None, None)))
    results = {name: args.output / name for name in ablation.variants(network)}
    report, cases = evaluate(results, sources, jobs=args.jobs)
    told = {condition: ablation.activations(network, found)
            for condition, found in vectors.items() if found}
    layers = ablation.layers(network)
    plot = _write_experts(args.output, told, layers, difference)
    evaluate_command.write(args.output, report, cases, args.pictures,
                           {'Experts picked, by layer and condition': plot})
    for line in report['problems']:
        print(f'ablate: {line}', file=sys.stderr)
    console = Console(width=None if sys.stdout.isatty() else 200)
    for table in tables_of.tables(report):
        if table.title in tables_of.SHORT:
            console.print(tables_of.to_rich(table))
    by_layer = sum(told.values()) / len(told)
    print('experts used: ' + ', '.join(f'{100 * x:.1f} %' for x in by_layer.mean(axis=0)))
    print('the least used one of each router: ' + ', '.join(
        f'{name} {100 * least:.1f} %' for name, least in zip(layers, by_layer.min(axis=1))))
    print(f'routed against folded: {difference:.1e} at most, of 1')
    print(args.output / 'index.html')
    return 1 if bad or report['problems'] else 0


def _conditions(data: Path) -> dict[str, dict[str, tuple[Path, Path]]]:
    from degfusion_ros.learning.folders import find_pairs
    if (data / 'visible').is_dir():
        return {'': find_pairs(data / 'visible', data / 'thermal')}
    folders = [path for path in sorted(data.iterdir()) if (path / 'visible').is_dir()] \
        if data.is_dir() else []
    if not folders:
        raise AblationError(f'{data}: neither visible/ and thermal/ nor CONDITION/ folders of '
                            'these in it')
    return {path.name: find_pairs(path / 'visible', path / 'thermal') for path in folders}


def _load(model: str) -> tuple:
    from degfusion_ros.models import checkpoint
    from degfusion_ros.models.dgmoe import DgMoe
    path = Path(model) if model.endswith('.safetensors') else \
        Path(__file__).parents[1] / 'weights' / f'{model}.safetensors'
    network, guidance = checkpoint.load(path)
    if not isinstance(network, DgMoe):
        raise AblationError(f'{model}: a {type(network).__name__}, which has none of the parts '
                            'that can be switched off; give a dgmoe model')
    return network, guidance


def _fuse(output: Path, conditions: dict, network: object, guidance: object) -> tuple:
    """Write every variant's pictures; return failed pairs, vectors, and routed against folded."""
    from rich.console import Console
    from rich.progress import track

    from degfusion_ros.commands.fuse import read_pair, write
    from degfusion_ros.fuser import Fuser, OUTPUTS
    from degfusion_ros.learning import ablation
    fusers = {name: Fuser(form, guidance, name, 'cpu', 'float32')
              for name, form in ablation.variants(network).items()}
    for name in fusers:
        for condition in conditions:
            for kind in OUTPUTS:
                (output / name / condition / kind).mkdir(parents=True, exist_ok=True)
    todo = [(condition, stem, paths) for condition, pairs in conditions.items()
            for stem, paths in pairs.items()]
    bad, vectors, difference = 0, {condition or 'all': [] for condition in conditions}, 0.0
    for condition, stem, paths in track(todo, description='fusing', console=Console(stderr=True)):
        try:
            visible, thermal = read_pair(*paths)
            for name, fuser in fusers.items():
                vector = fuser.refresh(visible, thermal).vector
                fusion = fuser.fuse(visible, thermal, OUTPUTS)
                folder = output / name / condition
                write(folder / 'fused' / f'{stem}.png', fusion.fused[..., ::-1])
                write(folder / 'visible' / f'{stem}.png', fusion.visible[..., ::-1])
                write(folder / 'thermal' / f'{stem}.png', fusion.thermal)
        except (ValueError, RuntimeError) as error:
            print(f'ablate: {condition}/{stem}: {error}', file=sys.stderr)
            bad += 1
            continue
        if not vectors[condition or 'all'] and thermal.dtype == visible.dtype:
            difference = max(difference, ablation.largest_difference(network, vector, visible,
                                                                     thermal))
        vectors[condition or 'all'].append(vector)
    return bad, vectors, difference


def _write_experts(output: Path, told: dict, layers: list[str], difference: float) -> bytes:
    """Write experts.json and experts.png; return the latter."""
    from degfusion_ros.learning.expert_plot import plot
    figures = {'layers': layers, 'largest_routed_difference': difference,
               'activations': {name: strength.round(5).tolist() for name, strength in
                               told.items()}}
    drawn = plot(told, layers)
    write_whole(output / 'experts.json', json.dumps(figures, indent=1) + '\n')
    write_whole(output / 'experts.png', drawn)
    return drawn
