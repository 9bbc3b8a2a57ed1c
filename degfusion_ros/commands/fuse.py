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
from degfusion_ros.imaging.errors import FrameError
from degfusion_ros.imaging.picture_file import PictureError, read_rgb, read_thermal
from degfusion_ros.imaging.registration import Registration
from degfusion_ros.imaging.thermal import ThermalScaler


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument('--visible', type=Path, required=True, help='folder of visible images')
    parser.add_argument('--thermal', type=Path, required=True, help='folder of thermal images')
    parser.add_argument('--output', type=Path, required=True, help='folder for the results')
    parser.add_argument('--registration', type=Path, metavar='FILE',
                        help="calibrate's; without it the pairs must be aligned, and a thermal "
                             'image of another size is resized to the visible one')
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
    registration = Registration.load(args.registration) if args.registration else None
    # torch's programs are kept if they give the very same picture: a pair's does not hang on how
    # many came before
    fuser = Fuser.load(args.model, args.device, args.precision, 'torch')
    for name in OUTPUTS:
        (args.output / name).mkdir(parents=True, exist_ok=True)
    lines, bad = [], []
    try:
        for stem, paths in track(pairs.items(), description='fusing'):
            line = _fuse(fuser, stem, paths, registration, args)
            (lines if line else bad).append(line)
    finally:    # whatever ends the run, the pairs that are done keep their lines
        if lines or len(bad) == len(pairs):
            write_whole(args.output / 'degradation.jsonl', ''.join(lines))
    if args.debug and not (args.output / 'debug').is_dir():
        print(f'fuse: {fuser.name}: makes no pictures on the way; no debug/', file=sys.stderr)
    print(f'{len(lines)} pairs fused into {args.output}' + (f', {len(bad)} not' if bad else ''))
    return 1 if bad else 0


def _fuse(fuser: object, stem: str, paths: tuple[Path, Path], registration: Registration | None,
          args: argparse.Namespace) -> str:
    """Write a pair's pictures and return its line of degradation.jsonl, '' for a bad pair."""
    from degfusion_ros.fuser import OUTPUTS
    try:
        visible, thermal = read_pair(*paths, registration)
        told = fuser.refresh(visible, thermal, keep=args.smoothing)
        fusion = fuser.fuse(visible, thermal, OUTPUTS)
        stages = fuser.stages(visible, thermal) if args.debug else {}
    except (ValueError, RuntimeError, MemoryError, cv2.error) as error:
        told = ' '.join(str(error).split()) or 'out of memory; give smaller pictures'
        print(f'fuse: {stem}: {told}', file=sys.stderr)
        return ''
    write(args.output / 'fused' / f'{stem}.png', fusion.fused[..., ::-1])
    write(args.output / 'visible' / f'{stem}.png', fusion.visible[..., ::-1])
    write(args.output / 'thermal' / f'{stem}.png', fusion.thermal)
    if stages:
        (args.output / 'debug' / stem).mkdir(parents=True, exist_ok=True)
    for name, image in stages.items():
        write(args.output / 'debug' / stem / f'{name}.png',
              image[..., ::-1] if image.ndim == 3 else image)
    return json.dumps({'name': stem, 'visible': told.visible, 'thermal': told.thermal,
                       'visible_labels': told.visible_labels,
                       'thermal_labels': told.thermal_labels}) + '\n'


def read_pair(visible: Path, thermal: Path,
              registration: Registration | None = None) -> tuple[np.ndarray, np.ndarray]:
    """
    Read a pair as the Fuser takes it: uint8 RGB, and uint8, uint16 or float32 in 0..1.

    Thermal is registered by `registration`, else resized to the visible picture. That of floats
    (kelvin, Celsius) is scaled by its own 1st and 99th percentile, dead pixels filled. Raises
    PictureError, and FrameError where the registration is of other pictures.
    """
    colour, heat = read_rgb(visible), read_thermal(thermal)
    if heat.dtype not in (np.uint8, np.uint16):
        try:
            heat = ThermalScaler()(heat)
        except FrameError as error:
            raise PictureError(f'{thermal}: {error}') from error
    return colour, (registration or Registration.identity())(heat, colour.shape[:2])


def write(path: Path, image: np.ndarray) -> None:
    """Write a PNG whole or not at all; raises OSError naming the file."""
    done, data = cv2.imencode('.png', np.ascontiguousarray(image))
    if not done:
        raise OSError(f'{path}: cannot be encoded as PNG')
    write_whole(path, data.tobytes())
