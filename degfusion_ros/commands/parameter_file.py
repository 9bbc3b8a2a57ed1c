# SPDX-License-Identifier: Apache-2.0
"""The node's parameter file, for commands that do without the node or have to know what it does."""

from pathlib import Path
import re
import sys

import yaml

from degfusion_ros.node.parameters import ENTRIES, Entry, OF_ROS


class SettingsError(RuntimeError):
    """A parameter file that cannot be used; the message names it and says what to do."""


def read(file: Path, node: str, command: str) -> dict[str, object]:
    """
    Return {parameter: value} that `file` gives the node of this name, in full (/front/node) or not.

    A name without a namespace means the one table of that node, in whatever namespace. Raises
    SettingsError, OSError. A parameter that the node does not have is told on stderr, in the name
    of `command`.
    """
    try:
        document = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, ValueError, RecursionError) as error:   # a date that is none, say
        raise SettingsError(f'{file}: not YAML ({error})') from error
    document = document if isinstance(document, dict) else {}
    tables = [document[name].get('ros__parameters') for name in _meant(file, document, node)
              if isinstance(document[name], dict)]
    if not tables or not all(isinstance(table, dict) for table in tables):
        raise SettingsError(f'{file}: has no parameters of {node} (a table named /** or {node} '
                            'with ros__parameters in it, as in config/fusion.yaml)')
    values = {}
    for table in tables:
        for name, value in _flat(table).items():
            entry = ENTRIES.get(name)
            if entry is not None:
                values[name] = _accepted(file, entry, value)
            elif not name.startswith(OF_ROS):
                print(f'{command}: {file}: parameter {name} is unknown and without effect',
                      file=sys.stderr)
    return values


def _accepted(file: Path, entry: Entry, value: object) -> object:
    try:
        return entry.accept(value)
    except ValueError as error:
        raise SettingsError(f'{file}: {error}') from None


def _meant(file: Path, document: dict, node: str) -> list[object]:
    """Return the names of the tables that are the node's, in their order in the file."""
    found = [name for name in document if _fits(str(name), node.strip('/'))]
    if '/' in node or any('*' not in str(name) for name in found):
        return found
    elsewhere = [name for name in document if name not in found and
                 str(name).rpartition('/')[2] == node]
    if len(elsewhere) > 1:
        raise SettingsError(f'{file}: has parameters of several nodes '
                            f'({", ".join(map(str, elsewhere))}): say with --name which is meant')
    return [name for name in document if name in (*found, *elsewhere)]


def _fits(table: str, node: str) -> bool:
    """Tell whether a table's name is the node's, ROS's wildcards taken in."""
    one = {'*': '[^/]+', '**': '.*'}
    *above, last = table.strip('/').split('/')
    pattern = ''.join('(.*/)?' if part == '**' else f'{one.get(part, re.escape(part))}/'
                      for part in above) + one.get(last, re.escape(last))
    return re.fullmatch(pattern, node) is not None


def _flat(table: dict, above: str = '') -> dict[str, object]:
    found = {}
    for name, value in table.items():
        name = f'{above}{name}'
        found |= _flat(value, f'{name}.') if isinstance(value, dict) else {name: value}
    return found
