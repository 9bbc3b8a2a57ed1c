# SPDX-License-Identifier: Apache-2.0
"""`export`: the folded network as a file for other engines, checked against torch."""

import argparse
from pathlib import Path
import re
import sys

from degfusion_ros.commands.benchmark import output_file

NAMES = ('fused', 'visible', 'thermal')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument('--format', choices=('onnx',), default='onnx')
    parser.add_argument('--model', default='dgmoe', help='shipped name or .safetensors path')
    parser.add_argument('--size', type=_size, default='640x512',
                        help='WIDTHxHEIGHT of the images (default: %(default)s)')
    parser.add_argument('--outputs', type=_outputs, default=NAMES,
                        help='of fused, visible, thermal, with commas (default: all)')
    parser.add_argument('--visible', type=Path, help='image to judge, with --thermal, for the '
                        'gate state; a neutral one when left out')
    parser.add_argument('--thermal', type=Path)
    parser.add_argument('--frozen', action='store_true', help='make the gate state constant: '
                        'faster, but it can never be refreshed')
    parser.add_argument('--output', type=output_file, required=True, help='.onnx file to write')


def run(args: argparse.Namespace) -> int:
    """Write the file; one line tells the largest difference from torch."""
    import cv2
    import numpy as np
    import torch

    from degfusion_ros.commands.fuse import read_pair
    from degfusion_ros.fuser import find_model, Fuser
    from degfusion_ros.learning import export
    from degfusion_ros.models import checkpoint
    from degfusion_ros.models.guidance import VECTOR_SIZE
    from degfusion_ros.models.pictures import checked
    if (args.visible is None) != (args.thermal is None):
        print('export: --visible and --thermal: give both or none', file=sys.stderr)
        return 2
    network, _ = checkpoint.load(find_model(args.model))
    width, height = args.size
    if args.visible is None:
        rng = np.random.default_rng(0)
        images = (rng.integers(0, 256, (height, width, 3), dtype=np.uint8),
                  rng.random((height, width), dtype=np.float32))
        gate = network.gate(torch.zeros(1, VECTOR_SIZE), None, None)
    else:
        try:
            visible, thermal = read_pair(args.visible, args.thermal)
        except ValueError as error:
            raise export.ExportError(str(error)) from error
        fuser = Fuser.load(args.model, 'cpu', 'float32')
        fuser.refresh(visible, thermal, outputs=())
        _, gate = fuser.steering
        visible, thermal = checked(visible, thermal)
        depth = 255 if thermal.dtype == np.uint8 else 1
        images = (cv2.resize(visible, args.size),
                  cv2.resize(thermal.astype(np.float32) / depth, args.size))
    difference = export.export_onnx(network, gate, images, args.outputs,
                                    args.frozen, args.output)
    print(f'{args.output}: {args.model} at {width}x{height}, {", ".join(args.outputs)}; differs '
          f'from torch by at most {difference:.1e} in float32')
    return 0


def _size(text: str) -> tuple[int, int]:
    if not re.fullmatch(r'[1-9]\d+x[1-9]\d+', text):
        raise argparse.ArgumentTypeError(f'{text!r}: write it as WIDTHxHEIGHT, such as 640x512')
    width, height = map(int, text.split('x'))
    return width, height


def _outputs(text: str) -> tuple[str, ...]:
    chosen = tuple(text.split(','))
    if not set(chosen) <= set(NAMES) or len(set(chosen)) < len(chosen):
        raise argparse.ArgumentTypeError(f'{text!r}: choose from {", ".join(NAMES)}')
    return chosen
