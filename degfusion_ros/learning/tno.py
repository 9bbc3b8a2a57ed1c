# SPDX-License-Identifier: Apache-2.0
"""
Find the pairs of the TNO Image Fusion Dataset as it is published.

Each scene has a folder, some in views, with files named by hand (IR_x.bmp and VIS_x.bmp,
LWIR-x.tif, x_IR.bmp and x_Vis.bmp, 2_x.bmp and 1_x.bmp); sequences have a folder for each camera.
Near-infrared files (NIR, II) are left out.
"""

from pathlib import Path
import re

from degfusion_ros.learning.folders import images_in, Pair

CAMERAS = ('Athena_images', 'DHV_images', 'FEL_images', 'Triclobs_images')


def tno_pairs(root: Path) -> list[Pair]:
    """Return every visible-thermal pair below a folder that holds the dataset; else none."""
    camera = next((f for f in sorted(root.rglob('*_images')) if f.name in CAMERAS), None)
    if camera is None:
        return []
    base = camera.parent
    pairs = []
    for folder in [base, *sorted(f for f in base.rglob('*') if f.is_dir())]:
        if folder.name in ('visual', 'dhv'):
            pairs += _sequence(base, folder)
        elif folder.name not in ('thermal', 'rad'):
            pairs += _scene(base, folder)
    return pairs


def _sequence(base: Path, visible: Path) -> list[Pair]:
    """Match 1800v.bmp with 1800i.bmp, DHV2.bmp with RAD2.bmp: by the last number."""
    thermal = next((f for f in (visible.parent / 'thermal', visible.parent / 'rad')
                    if f.is_dir()), None)
    if thermal is None:
        return []
    heat = {_number(stem): path for stem, path in images_in(thermal).items()}
    scene = visible.parent.relative_to(base)
    return [Pair('_'.join((*scene.parts, _number(stem))), path, heat[_number(stem)],
                 folder=str(scene), sequence='_'.join(scene.parts))
            for stem, path in images_in(visible).items() if _number(stem) in heat]


def _number(stem: str) -> str:
    return (re.findall(r'\d+', stem) or [stem])[-1]


def _scene(base: Path, folder: Path) -> list[Pair]:
    kinds: dict[str, list[Path]] = {'thermal': [], 'visible': [], 'near': [], 'other': []}
    for stem, path in images_in(folder).items():
        kinds[_kind(stem)].append(path)
    visible = kinds['visible'] or kinds['other']    # bunker_r.bmp beside IR_bunker_g.bmp
    if len(kinds['thermal']) != 1 or len(visible) != 1:
        return []
    scene = folder.relative_to(base)
    return [Pair('_'.join(scene.parts), visible[0], kinds['thermal'][0], folder=str(scene))]


def _kind(stem: str) -> str:
    words = re.split('[^a-z]+', stem.lower())
    for kind, marks in (('thermal', ('ir', 'lwir')), ('visible', ('vis',)),
                        ('near', ('nir', 'ii', 'rgb'))):
        if set(marks) & set(words):
            return kind
    return {'1': 'visible', '2': 'thermal'}.get(stem.partition('_')[0], 'other')
