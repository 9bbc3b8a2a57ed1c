# SPDX-License-Identifier: Apache-2.0
"""`degrade`: benchmark sets of degraded pairs from clean ones, with a manifest."""

import argparse
from collections import Counter
from contextlib import closing
import os
from pathlib import Path
import sys

from degfusion_ros.files import overlap


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add = parser.add_argument
    add('--visible', type=Path, help='folder of clean visible images')
    add('--thermal', type=Path, help='folder of clean thermal images of the same names and sizes')
    add('--data', type=Path, help='root of a published dataset, instead of the two folders')
    add('--layout', default='auto', help='how the folders of --data lie: auto, MSRS, M3FD, LLVIP, '
        'RoadScene, FMB, TNO, DroneVehicle, DeMMI-RF, folders')
    add('--output', type=Path, required=True, help='folder for OUTPUT/SPLIT/CONDITION')
    add('--conditions', nargs='+', default=['all'], metavar='NAME',
        help='all (default), demmi, or effects joined by +, as haze@0.5+stripe, or mixed')
    add('--composites', nargs='+', default=['demmi'], metavar='NAME',
        help='of the composite split: demmi (its 17, default), none, or effects joined by +')
    add('--composite-pairs', type=int, default=30, help='pairs of each composite')
    add('--levels', nargs='+', type=float, default=[], metavar='SEVERITY',
        help='make each condition once a level (0 to 1), not at severities drawn for each pair')
    add('--per-pair', type=int, default=0, help='conditions drawn for each pair; 0 is all')
    add('--test-share', type=float, default=0.25, help='of pairs that the dataset left undivided')
    add('--split', choices=('auto', 'train', 'test'), default='auto', help='put all in one split')
    add('--sequence', nargs='?', const='folder', default='', choices=('folder', 'prefix'),
        help='keep one condition over the frames of a folder, or of a name before its number')
    add('--seed', type=int, default=0)
    add('--jobs', type=int, default=os.cpu_count() or 1, help='processes')


def run(args: argparse.Namespace) -> int:
    """Build or go on with the set; bad pairs are named and skipped."""
    from rich.progress import track

    from degfusion_ros.learning import layouts, set_plan
    from degfusion_ros.learning.degraded_sets import build, Manifest
    from degfusion_ros.learning.effects import ConditionError
    try:
        recipe = _recipe(args)
    except ConditionError as error:
        return _wrong(str(error))
    if (args.data is None) == (args.visible is None) or (
            (args.visible is None) != (args.thermal is None)):
        return _wrong('give --visible and --thermal, or --data')
    for name, low in (('jobs', 1), ('composite_pairs', 1), ('per_pair', 0)):
        if getattr(args, name) < low:
            return _wrong(f'--{name.replace("_", "-")} {getattr(args, name)}: must be {low} or '
                          'more')
    if not 0 <= args.test_share <= 1:
        return _wrong(f'--test-share {args.test_share}: must be 0 to 1')
    found = (layouts.find(args.data, args.layout) if args.data else
             layouts.two_folders(args.visible, args.thermal))
    tasks = set_plan.plan(found.pairs, recipe)
    taken = overlap({args.output / split / condition / side for task in tasks
                     for split, condition in task.wanted for side in ('visible', 'thermal')},
                    {path.parent for pair in found.pairs for path in (pair.visible, pair.thermal)})
    if taken:
        return _wrong(f'--output {args.output}: {taken} holds pictures to degrade; choose another '
                      'folder')
    manifest = Manifest(args.output, set_plan.settings(recipe, tasks))
    for path in found.alone:
        print(f'degrade: {path}: no partner of this name; left out', file=sys.stderr)
    bad = len(found.alone)
    with closing(build(tasks, args.output, recipe.seed, manifest, args.jobs)) as made:
        for line in track(made, total=len(tasks), description='degrading'):
            if line:
                print(f'degrade: {line}; left out', file=sys.stderr)
                bad += 1
    manifest.close()
    held = Counter(split for split, _, _ in manifest.lines)
    told = ', '.join(f'{count} {split}' for split, count in sorted(held.items()))
    print(f'{found.layout}: {len(manifest.lines)} pairs ({told}) in {args.output}')
    return 1 if bad else 0


def _recipe(args: argparse.Namespace):
    from degfusion_ros.learning import effects
    from degfusion_ros.learning.set_plan import Recipe
    presets = {'all': [*effects.EFFECTS, effects.MIXED], 'demmi': list(effects.DEMMI)}
    single = [c for word in args.conditions for c in presets.get(word, [word])]
    joint = [c for word in args.composites
             for c in {'demmi': effects.COMPOSITES, 'none': ()}.get(word, (word,))]
    if args.levels:
        single, joint = ([c for name in names for c in effects.at_levels(name, args.levels)]
                         for names in (single, joint))
    return Recipe(tuple(dict.fromkeys(single)), tuple(dict.fromkeys(joint)), args.composite_pairs,
                  args.test_share, args.per_pair, args.split, args.sequence, args.seed)


def _wrong(line: str) -> int:
    print(f'degfusion degrade: {line}', file=sys.stderr)
    return 2
