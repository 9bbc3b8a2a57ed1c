# SPDX-License-Identifier: Apache-2.0
"""`pairing-report`: our pairing and message_filters' through the same simulated cameras."""

import argparse
from functools import partial
import json
from pathlib import Path

from rich.progress import track

from degfusion_ros.files import write_whole
from degfusion_ros.stream import replay, scenarios

EXACT_MS = 0.1  # by as much may the mean distance of pairs exceed the nearest possible
COLUMNS = ('fused', 'mean Δt, ms', 'nearest possible', 'max Δt', 'wait p50 / max, ms', 'alone',
           'pairs again after a jump', 'dropped or unmatched')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument('--output', type=Path, default=Path('pairing_report'),
                        help='folder for pairing.json and pairing.md (default: %(default)s)')
    parser.add_argument('--seconds', type=_positive, default=60.0,
                        help='length of every scenario (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='of the jitter (default: %(default)s)')


def run(args: argparse.Namespace) -> int:
    """Write the report; 1 when our pairing breaks its word."""
    policies, missing = _policies()
    rows = []
    for scenario in track(scenarios.SCENARIOS, description='pairing'):
        events = scenarios.play(scenario, args.seconds, args.seed)
        for policy, through in policies.items():
            made, told = through(scenario, events)
            rows.append({'scenario': scenario.name, 'policy': policy,
                         **replay.measure(scenario, events, made), **told,
                         'clocks': replay.clocks(events)})
    broken = [f'{row["scenario"]}: {why}' for row in rows if row['policy'] == 'nearest'
              if (why := _broken(row))]
    args.output.mkdir(parents=True, exist_ok=True)
    report = {'seconds': args.seconds, 'seed': args.seed, 'policies_missing': missing,
              'broken': broken, 'results': rows}
    write_whole(args.output / 'pairing.json', json.dumps(report, indent=1) + '\n')
    write_whole(args.output / 'pairing.md', _markdown(report))
    for line in broken:
        print(line)
    print(f'{len(scenarios.SCENARIOS)} scenarios, {len(policies)} policies'
          + (f' ({missing})' if missing else '') + f'; see {args.output / "pairing.md"}')
    return 1 if broken else 0


def _positive(text: str) -> float:
    value = float(text)
    if not 2 <= value <= 3600:
        raise argparse.ArgumentTypeError('must be from 2 to 3600')
    return value


def _policies() -> tuple[dict, str]:
    """Return the policies at hand, ours first, and why others are not."""
    ours = {'nearest': replay.through_pairer}
    try:
        from degfusion_ros.node import policies  # needs ROS 2
    except ImportError as error:
        return ours, f'message_filters needs ROS 2 ({error})'
    missing = policies.available()
    if missing:
        return ours, missing
    return ours | {name: partial(policies.through, name) for name in ('approximate', 'exact')}, ''


def _broken(row: dict) -> str:
    """Return which promise a result of ours breaks, '' for none."""
    if not row['accounted']:
        return 'not every frame is accounted for'
    if row['gap']:  # nobody waits for a lost camera, not even for its first frame back
        return ''
    excess = row['delta_ms']['mean'] - row['nearest_ms']
    if excess > EXACT_MS:
        return f'pairs are {excess:.2f} ms further apart than the nearest possible'
    if row['recovery'] and max(row['recovery']) > 1:
        return f'{max(row["recovery"])} frames lost after a jump'
    return ''


def _markdown(report: dict) -> str:
    lines = [f'{report["seconds"]:g} s of every scenario, seed {report["seed"]}. '
             'Share of the visible frames; times in ms.', '',
             '| scenario | policy | ' + ' | '.join(COLUMNS) + ' |',
             '|---' * (len(COLUMNS) + 2) + '|']
    for row in report['results']:
        lines.append(f'| {row["scenario"]} | {row["policy"]} | ' + ' | '.join(_cells(row)) + ' |')
    if report['policies_missing']:
        lines += ['', f'Without message_filters: {report["policies_missing"]}.']
    return '\n'.join(lines) + '\n'


def _cells(row: dict) -> list[str]:
    dropped = row.get('dropped') or {name: {'unmatched': n} if n else {}
                                     for name, n in row['unmatched'].items()}
    causes = [f'{name} {cause} {n}' for name, by_cause in dropped.items()
              for cause, n in by_cause.items()]
    if row['held']:
        causes.insert(0, f'({row["held"]} held)')
    wait = row['wait_ms']
    return [f'{100 * row["fused_share"]:.1f} %', _number(row['delta_ms']['mean'], 2),
            _number(row['nearest_ms'], 2), _number(row['delta_ms']['max'], 1),
            f'{_number(wait["p50"], 0)} / {_number(wait["max"], 0)}', str(row['single']),
            f'{max(row["recovery"])} frames' if row['recovery'] else '-',   # too short for a jump
            ', '.join(causes) or 'none']


def _number(value: float | None, digits: int) -> str:
    return '-' if value is None else f'{value:.{digits}f}'
