# SPDX-License-Identifier: Apache-2.0
"""`fuse`: restore and fuse a folder of pairs, each judged on its own."""

import argparse
import json
from pathlib import Path
import sys

import cv2
import numpy as np
from rich.progress import track

from degfusion_ros.files import overlap, write_whole


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument('--visible', type=Path, required=True, help='folder of visible images')
    parser.add_argument('--thermal', type=Path, required=True, help='folder of thermal images')
    parser.add_argument('--output', type=Path, required=True, help='folder for the results')
    parser.add_argument('--model', default='dgmoe', help='shipped name or .safetensors path')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda or cuda:N')
    parser.add_argument('--precision', default='auto',
                        help='auto, float32, bfloat16 or float16')
    parser.add_argument('--smoothing', type=_share, default=0.0,
                        help='for a video: share of the last judgement kept in the next (0)')
    parser.add_argument('--debug', action='store_true',
                        help='also write debug/STEM/: t(x), A and every stage of the enhancement')


def _share(text: str) -> float:
    if not 0 <= (share := float(text)) < 1:
        raise argparse.ArgumentTypeError(f'{text}: give 0 (nothing kept) to below 1')
    return share


def run(args: argparse.Namespace) -> int:
    """
    Write fused/, visible/, thermal/ and degradation.jsonl; bad pairs are named and skipped.

    With --debug also debug/STEM/STAGE.png, what the network makes of a pair on the way.
    """
    from degfusion_ros.fuser import Fuser, OUTPUTS
    from degfusion_ros.learning.folders import find_pairs
    taken = overlap((args.output / name for name in OUTPUTS), (args.visible, args.thermal))
    if taken:
        print(f'fuse: --output {args.output}: {taken} holds the pictures to fuse; choose another '
              'folder', file=sys.stderr)
        return 2
    pairs = find_pairs(args.visible, args.thermal)
    fuser = Fuser.load(args.model, args.device, args.precision)
    for name in OUTPUTS:
        (args.output / name).mkdir(parents=True, exist_ok=True)
    lines, bad = [], 0
    for stem, paths in track(pairs.items(), description='fusing'):
        try:
            visible, thermal = read_pair(*paths)
            told = fuser.refresh(visible, thermal, keep=args.smoothing)
            fusion = fuser.fuse(visible, thermal, OUTPUTS)
            stages = fuser.stages(visible, thermal) if args.debug else {}
        except (ValueError, RuntimeError) as error:
            print(f'fuse: {stem}: {error}', file=sys.stderr)
            bad += 1
            continue
        write(args.output / 'fused' / f'{stem}.png', fusion.fused[..., ::-1])
        write(args.output / 'visible' / f'{stem}.png', fusion.visible[..., ::-1])
        write(args.output / 'thermal' / f'{stem}.png', fusion.thermal)
        if stages:
            (args.output / 'debug' / stem).mkdir(parents=True, exist_ok=True)
        for name, image in stages.items():
            write(args.output / 'debug' / stem / f'{name}.png',
                  image[..., ::-1] if image.ndim == 3 else image)
        lines.append(json.dumps({'name': stem, 'visible': told.visible, 'thermal': told.thermal,
                                 'visible_labels': told.visible_labels,
                                 'thermal_labels': told.thermal_labels}))
    write_whole(args.output / 'degradation.jsonl', ''.join(f'{line}\n' for line in lines).encode())
    if args.debug and not (args.output / 'debug').is_dir():
        print(f'fuse: {fuser.name}: makes no pictures on the way; no debug/', file=sys.stderr)
    print(f'{len(pairs) - bad} pairs fused into {args.output}' + (f', {bad} not' if bad else ''))
    return 1 if bad else 0


def read_pair(visible: Path, thermal: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a pair as the Fuser takes it: uint8 RGB, and uint8 or uint16 of the same size."""
    colour = cv2.imread(str(visible), cv2.IMREAD_COLOR)
    heat = cv2.imread(str(thermal), cv2.IMREAD_UNCHANGED)
    for path, image in ((visible, colour), (thermal, heat)):
        if image is None:
            raise ValueError(f'{path}: not a readable image')
    if heat.ndim == 3:
        heat = cv2.cvtColor(heat[..., :3], cv2.COLOR_BGR2GRAY)
    if heat.shape != colour.shape[:2]:
        heat = cv2.resize(heat, colour.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return cv2.cvtColor(colour, cv2.COLOR_BGR2RGB), heat


def write(path: Path, image: np.ndarray) -> None:
    """Write a PNG whole or not at all; raises OSError naming the file."""
    done, data = cv2.imencode('.png', np.ascontiguousarray(image))
    if not done:
        raise OSError(f'{path}: cannot be encoded as PNG')
    write_whole(path, data.tobytes())
