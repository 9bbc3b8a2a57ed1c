# SPDX-License-Identifier: Apache-2.0
"""`average A B… --output FILE`: the mean of checkpoints, or a part of one laid into another."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument('files', type=Path, nargs='+', metavar='FILE',
                        help='checkpoints of one network in one size (.safetensors)')
    parser.add_argument('--weights', type=float, nargs='+', metavar='W',
                        help='one for each file; all alike by default')
    parser.add_argument('--only', nargs='+', default=[], metavar='START',
                        help='average tensors whose names begin so, such as network.deraining. or '
                             "guidance.; all others are the first file's")
    parser.add_argument('--output', type=Path, required=True, help='safetensors file to write')


def run(args: argparse.Namespace) -> int:
    """Average, and print what was made."""
    from degfusion_ros.learning.averaging import average
    count = average(args.files, args.weights or [1.0] * len(args.files), args.output, args.only)
    print(f'{args.output}: {count} tensors averaged')
    return 0
