# SPDX-License-Identifier: Apache-2.0
"""Which settings a training file must have and may have, so that a misspelt one is told at once."""

from dataclasses import fields
import inspect
from pathlib import Path

from degfusion_ros.learning.loop import TrainingError
from degfusion_ros.learning.pairs import PairFolders
from degfusion_ros.models.dgmoe import DgMoe
from degfusion_ros.models.tg_unet import Size

_EVERY = 'seed data fresh reservoir workers'
_STEPS = 'frames crops crop steps warm_up lr ema losses'
_FOLDERS = ' '.join(field.name for field in fields(PairFolders) if field.name != 'root')

# stage: table ('' is the file itself): (what it must have, what it may have)
_SETTINGS: dict[str, dict[str, tuple[str, str]]] = {
    'guidance': {
        '': (f'{_EVERY} clip only_clean nights batch pretrain_steps lr lora_rank lora_steps '
             'lora_lr read_out held_back visible_from report_steps report',
             'weights start_from hold'),
        'nights': ('', _FOLDERS),
        'read_out': ('steps batch lr weight_decay report_steps', '')},
    'fusion': {
        '': (f'{_EVERY} {_STEPS} network export_steps', 'start_from only teacher mostly alone'),
        'network': ('', ' '.join(inspect.signature(DgMoe).parameters))},
    'tg_ecnet': {
        '': (f'{_EVERY} network export_steps restoration fusion', 'start_from checkpoint_s'),
        'network': ('', ' '.join(field.name for field in fields(Size))),
        'restoration': (_STEPS, ''), 'fusion': (_STEPS, '')},
}


def check(config: object, stage: str, file: Path) -> None:
    """Raise TrainingError, naming `file` and the settings, unless `config` is one of `stage`."""
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
