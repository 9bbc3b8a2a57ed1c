# SPDX-License-Identifier: Apache-2.0
"""`fuse-bag`: the node's parameters, from the file that the node itself is given."""

import argparse
from pathlib import Path
import sys

import yaml

from degfusion_ros.node.parameters import Entry, TABLE

ENTRIES = {entry.name: entry for entry in TABLE}
# the command's option -> the parameter that it overrides
OPTIONS = {'max_dt': 'sync.max_dt_s', 'smoothing': 'degradation.smoothing',
           'registration': 'registration.file', 'model': 'model.name',
           'device': 'model.device', 'precision': 'model.precision'}
_OF_ROS = ('use_sim_time', 'qos_overrides')


class SettingsError(RuntimeError):
    """A parameter file that cannot be used; the message names it and says what to do."""


def settings(args: argparse.Namespace) -> dict[str, object]:
    """
    Return {parameter: value} of `args.params` (None: no file) and the options, defaults filled in.

    Raises SettingsError. A parameter that the node does not have is told on stderr.
    """
    found = {entry.name: entry.default for entry in TABLE}
    if args.params:
        found |= _read(args.params, args.name)
    for option, name in OPTIONS.items():
        value = getattr(args, option)
        if value is not None:
            found[name] = str(value) if isinstance(value, Path) else value
    if args.refresh is not None:
        found['degradation.rate_hz'] = 1 / args.refresh if args.refresh else float('inf')
    return found


def _read(file: Path, node: str) -> dict[str, object]:
    try:
        document = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f'{file}: not YAML ({error})') from error
    tables = [table.get('ros__parameters') for name, table in document.items()
              if _meant(str(name), node) and isinstance(table, dict)] \
        if isinstance(document, dict) else []
    if not tables or not all(isinstance(table, dict) for table in tables):
        raise SettingsError(f'{file}: has no parameters of {node} (a table named /** or {node} '
                            'with ros__parameters in it, as in config/fusion.yaml)')
    values = {}
    for table in tables:
        for name, value in _flat(table).items():
            entry = ENTRIES.get(name)
            if entry is not None:
                values[name] = _accepted(file, entry, value)
            elif not name.startswith(_OF_ROS):
                print(f'fuse-bag: {file}: parameter {name} is unknown and without effect',
                      file=sys.stderr)
    return values


def _accepted(file: Path, entry: Entry, value: object) -> object:
    try:
        return entry.accept(value)
    except ValueError as error:
        raise SettingsError(f'{file}: {error}') from None


def _meant(name: str, node: str) -> bool:
    """Tell whether a table's name in the file is the node's, under any namespace, or a wildcard."""
    return name.strip('/').rpartition('/')[2] in ('*', '**', node.rpartition('/')[2])


def _flat(table: dict, above: str = '') -> dict[str, object]:
    found = {}
    for name, value in table.items():
        name = f'{above}{name}'
        found |= _flat(value, f'{name}.') if isinstance(value, dict) else {name: value}
    return found
