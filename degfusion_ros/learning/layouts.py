# SPDX-License-Identifier: Apache-2.0
"""
Find pairs in the folders that published datasets come in.

MSRS, M3FD, LLVIP, RoadScene, FMB, DroneVehicle, DeMMI-RF and TNO, each by the folder names of its
own release, and the package's own SET/visible with SET/thermal.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from degfusion_ros.learning.folders import Border, DataError, find_pairs, images_in, Pair
from degfusion_ros.learning.tno import tno_pairs

# name: (visible folder, thermal folder, split). `*` is any one folder; case does not matter.
_FOLDERS: dict[str, tuple[tuple[str, str, str], ...]] = {
    'MSRS': (('train/vi', 'train/ir', 'train'), ('test/vi', 'test/ir', 'test')),
    'FMB': (('train/Visible', 'train/Infrared', 'train'), ('val/Visible', 'val/Infrared', 'val'),
            ('test/Visible', 'test/Infrared', 'test')),
    'LLVIP': (('visible/train', 'infrared/train', 'train'),
              ('visible/test', 'infrared/test', 'test')),
    'RoadScene': (('crop_LR_visible', 'cropinfrared', ''),),
    'DroneVehicle': (('train/trainimg', 'train/trainimgr', 'train'),
                     ('val/valimg', 'val/valimgr', 'val'),
                     ('test/testimg', 'test/testimgr', 'test'),
                     ('trainimg', 'trainimgr', 'train'), ('valimg', 'valimgr', 'val'),
                     ('testimg', 'testimgr', 'test')),
    'M3FD': (('Vis', 'Ir', ''), ('vi', 'ir', '')),
    # The clean images; the degraded ones lie in Train/degrad and test/TASK/SET/input.
    'DeMMI-RF': (('Train/visible/*', 'Train/infrared/*', 'train'),
                 ('test/*/*/visible', 'test/*/*/infrared', 'test')),
    'folders': (('visible', 'thermal', ''), ('visible', 'infrared', ''),
                ('*/visible', '*/thermal', ''), ('*/visible', '*/infrared', '')),
}
# of `folders`, by the name that a star stands for
_SPLITS = {'train': 'train', 'training': 'train', 'val': 'val', 'valid': 'val', 'validation': 'val',
           'test': 'test', 'testing': 'test'}
_BORDERS = {'DroneVehicle': Border(840, 712, 100)}
LAYOUTS = (*_FOLDERS, 'TNO')


@dataclass
class Found:
    """The pairs of a root, in order, and the images that have no partner."""

    layout: str
    pairs: list[Pair] = field(default_factory=list)
    alone: list[Path] = field(default_factory=list)


def find(root: Path, layout: str = 'auto') -> Found:
    """
    Return the pairs below `root`; 'auto' takes the first layout of LAYOUTS that finds any.

    Raises DataError that names the layouts tried when there are none.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f'{root}: no such folder')
    if layout != 'auto' and layout not in LAYOUTS:
        raise DataError(f'layout {layout}: must be auto or one of {", ".join(LAYOUTS)}')
    tried = LAYOUTS if layout == 'auto' else (layout,)
    for name in tried:
        found = Found('TNO', tno_pairs(root)) if name == 'TNO' else _listed(root, name)
        if len({pair.name for pair in found.pairs}) < len(found.pairs):     # 00001 in every split
            found.pairs = [replace(p, name=f'{p.split}_{p.name}') for p in found.pairs]
        if found.pairs:
            return found
    shapes = '; '.join(f'{name}: {_shape(name)}' for name in tried)
    raise DataError(f'{root}: no pairs in the layouts tried ({shapes})')


def two_folders(visible: Path, thermal: Path) -> Found:
    """Return the pairs of two folders by file stem; raises DataError when there are none."""
    find_pairs(visible, thermal)
    found = Found('folders')
    _match(found, Path(visible), Path(thermal), '', Path(visible).name, (), None)
    return found


def _shape(name: str) -> str:
    if name == 'TNO':
        return 'Athena_images/SCENE and the like'
    visible, thermal, _ = _FOLDERS[name][0]
    return f'{visible} with {thermal}'


def _listed(root: Path, layout: str) -> Found:
    found = Found(layout)
    for visible, thermal, split in _FOLDERS[layout]:
        for folder, captured in _expand(root, visible.split('/')):
            words = iter(captured)
            parts = [next(words) if part == '*' else part for part in thermal.split('/')]
            for partner, _ in _expand(root, parts):
                _match(found, folder, partner, split or _told_by(captured),
                       str(folder.relative_to(root)), captured, _BORDERS.get(layout))
    return found


def _told_by(captured: tuple[str, ...]) -> str:
    """Return the split that folders' own names tell, '' where none does."""
    return next((_SPLITS[name.casefold()] for name in captured if name.casefold() in _SPLITS), '')


def _expand(root: Path, parts: list[str]) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Yield the folders a pattern names, with the names its stars stand for."""
    if not parts:
        yield root, ()
        return
    for folder in sorted(root.iterdir()):
        if folder.is_dir() and parts[0].casefold() in ('*', folder.name.casefold()):
            own = (folder.name,) if parts[0] == '*' else ()
            for below, captured in _expand(folder, parts[1:]):
                yield below, (*own, *captured)


def _match(found: Found, visible: Path, thermal: Path, split: str, folder: str,
           captured: tuple[str, ...], border: Border | None) -> None:
    seen, heat = images_in(visible), images_in(thermal)
    for stem, path in seen.items():
        if stem in heat:
            name = '_'.join((*captured, stem))
            found.pairs.append(Pair(name, path, heat[stem], split, folder, border))
    found.alone += [path for stem, path in seen.items() if stem not in heat]
    found.alone += [path for stem, path in heat.items() if stem not in seen]
