# SPDX-License-Identifier: Apache-2.0
"""Which settings a training file must and may have, and of what kind: a slip is told at once."""

import json
from math import inf
from pathlib import Path
from typing import get_args, get_origin, get_type_hints

from degfusion_ros.learning.guidance_training import STANDARD_BATCHES
from degfusion_ros.learning.loop import TrainingError
from degfusion_ros.learning.pairs import PairFolders
from degfusion_ros.models.dgmoe import DgMoe
from degfusion_ros.models.tg_unet import Size

_EVERY = 'seed data fresh reservoir workers'
_STEPS = 'frames crops crop steps warm_up lr ema losses'
_FOLDERS = ' '.join(name for name in get_type_hints(PairFolders) if name != 'root')

# stage: table ('' is the file itself): (what it must have, what it may have)
_SETTINGS: dict[str, dict[str, tuple[str, str]]] = {
    'guidance': {
        '': (f'{_EVERY} clip only_clean nights batch pretrain_steps lr lora_rank lora_steps '
             'lora_lr read_out held_back visible_from report_steps report',
             'weights start_from hold'),
        'nights': ('', _FOLDERS.replace('min_luminance ', '')),     # the darkest, however dark
        'read_out': ('steps batch lr weight_decay report_steps', '')},
    'fusion': {
        '': (f'{_EVERY} {_STEPS} network export_steps', 'start_from only teacher mostly alone'),
        'network': ('', ' '.join(get_type_hints(DgMoe.__init__)))},
    'tg_ecnet': {
        '': (f'{_EVERY} network export_steps restoration fusion', 'start_from checkpoint_s'),
        'network': ('', ' '.join(get_type_hints(Size))),
        'restoration': (_STEPS, ''), 'fusion': (_STEPS, '')},
}

# of a setting of any table; a table itself is none
_KINDS: dict[str, object] = {
    **get_type_hints(PairFolders), **get_type_hints(DgMoe.__init__), **get_type_hints(Size),
    **{name: kind for kind, names in (
        (int, 'seed reservoir workers frames crops crop steps warm_up export_steps batch '
              'pretrain_steps lora_rank lora_steps held_back report_steps report'),
        (float, 'fresh lr ema alone lora_lr weight_decay visible_from checkpoint_s'),
        (bool, 'only_clean hold'), (str, 'clip'), (str | None, 'weights start_from only teacher'),
        (tuple[str, ...], 'mostly'), (dict[str, float], 'losses')) for name in names.split()}}
_FROM_ONE = ('frames', 'crops', 'crop', 'batch', 'reservoir', 'lora_rank', 'export_steps',
             'report_steps', 'held_back', 'max_width')
_ASKED = {
    int: 'a whole number, 0 or more', float: 'a number, 0 or more', bool: 'true or false',
    str: 'text, in quotes where it looks like something else', str | None: 'text, or null',
    tuple[int, ...]: 'a list of whole numbers', tuple[str, ...]: 'a list of text',
    dict[str, float]: 'a table of numbers'}


def check(config: object, stage: str, file: Path) -> None:
    """
    Raise TrainingError unless `config` is one of `stage`.

    It names `file` and the settings, or the first value of another kind than is asked for, or too
    small.
    """
    tables = {**_SETTINGS[stage], 'data': ('sets', _FOLDERS)}
    for name, (must, may) in tables.items():
        table = config[name] if name else config
        where = f'{file}: {name}: ' if name else f'{file}: '
        if not isinstance(table, dict):
            raise TrainingError(f'{where}not a table of settings; see config/train')
        missing = [key for key in must.split() if key not in table]
        known = {*must.split(), *may.split()}
        unknown = [str(key) for key in table if key not in known]
        wrong = [f'{what} {", ".join(keys)}' for what, keys in
                 (('unknown:', unknown), ('missing:', missing)) if keys]
        if wrong:
            raise TrainingError(f'{where}no settings of train {stage} ({"; ".join(wrong)}); '
                                'see config/train')
        for key in table:
            if key not in tables:
                _check(table[key], _KINDS[key], f'{where}{key}: ')
            if key in _FROM_ONE and table[key] < 1:
                raise TrainingError(f'{where}{key}: {table[key]}: give a whole number, 1 or more')
            if key == 'losses' and not table[key]:
                raise TrainingError(f'{where}losses: names none to be minimised; see config/train')
    drawn = _drawn(config, stage)
    if config['reservoir'] < drawn:
        raise TrainingError(f'{file}: reservoir: {config["reservoir"]}: {drawn} of its samples are '
                            f'drawn together: give {drawn} or more')


def _drawn(config: dict, stage: str) -> int:
    """Return how many different samples a run draws from its reservoir at once, at most."""
    if stage == 'guidance':     # the scale of its measures is that of many batches
        return 0 if config.get('hold') else config['batch'] * STANDARD_BATCHES
    tables = (config,) if stage == 'fusion' else (config['restoration'], config['fusion'])
    return max(table['frames'] for table in tables)


def _check(value: object, kind: object, where: str) -> None:
    """Raise TrainingError for a value, or the first entry of it, that is not of its kind."""
    if get_origin(kind) is dict and isinstance(value, dict):
        for name, entry in value.items():
            _check(name, str, where)
            _check(entry, float, f'{where}{name}: ')
    elif get_origin(kind) is tuple and isinstance(value, list):
        for entry in value:
            _check(entry, get_args(kind)[0], where)
    elif not _fits(value, kind):
        told = json.dumps(value, default=str, skipkeys=True)
        told = told if len(told) <= 60 else f'{told[:57]}...'
        raise TrainingError(f'{where}{told}: give {_ASKED[kind]}{_remedy(value, kind)}')


def _fits(value: object, kind: object) -> bool:
    if kind is int:
        return type(value) is int and value >= 0      # yes and no are ints, too
    if kind is float:
        return type(value) in (int, float) and 0 <= value < inf
    return get_origin(kind) not in (tuple, dict) and isinstance(value, kind)


def _remedy(value: object, kind: object) -> str:
    """Return how to write what was surely meant, '' where nobody knows."""
    if get_origin(kind) is tuple and isinstance(value, str):
        return f': write [{value}]'
    if kind not in (int, float) or not isinstance(value, str | float):
        return ''
    try:
        number = float(value)
    except ValueError:
        return ''
    if kind is int:
        return f': write {number:.0f}' if number.is_integer() and number >= 0 else ''
    if not isinstance(value, str) or not 0 <= number < inf:
        return ''
    mantissa, e, power = value.strip().lower().partition('e')
    if e:       # YAML takes a number without point or sign for text
        mantissa += '' if '.' in mantissa else '.0'
        power = power if power[0] in '+-' else f'+{power}'
    return f': write {mantissa}{e}{power}, without quotes'
