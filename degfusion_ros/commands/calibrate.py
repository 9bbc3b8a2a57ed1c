# SPDX-License-Identifier: Apache-2.0
"""`calibrate`: how the thermal camera lies to the visible one, as a file the node loads."""

import argparse
import math
import os
from pathlib import Path
import re
import sys

from degfusion_ros.files import overlap

MUCH = 3.0  # pixels of residual that deserve a word


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add = parser.add_argument
    add('--visible', type=Path, help='folder of visible images')
    add('--thermal', type=Path, help='folder of thermal images, as the camera sends them')
    add('--bag', type=Path, help='rosbag2, instead of the two folders')
    add('--visible-topic', help='of the bag; guessed by name')
    add('--thermal-topic', help='of the bag; guessed by name')
    add('--output', type=Path, metavar='FILE.yaml',
        help='the registration; an overlay picture is written beside it')
    add('--check', nargs='?', const='', metavar='FILE.yaml',
        help='calibrate nothing: tell how far off the pairs are as the file registers them, or '
             'as they are')
    add('--target', default='none',
        help='checkerboard, circles, asymmetric-circles, lamp (one hot, bright spot), or none: '
             'from the structure of the scene (default)')
    add('--pattern', type=_pattern, default=(8, 6), metavar='ACROSSxDOWN',
        help='inner corners or circles of the target (8x6)')
    add('--square-m', type=float, default=0.0, metavar='METRES',
        help="the target's spacing: calibrates both cameras, for scenes of another depth")
    add('--depth-m', type=float, default=math.inf, metavar='METRES',
        help='with --square-m: how far the scenes are where both shall agree (infinity)')
    add('--visible-camera', type=Path, metavar='YAML', help='what camera_calibration wrote for it')
    add('--thermal-camera', type=Path, metavar='YAML', help='what camera_calibration wrote for it')
    add('--no-lens', action='store_true', help='a homography alone, no distortion')
    add('--frames', type=int, default=30, help='pairs to use at most, spread evenly (30)')
    add('--thermal-crop', type=int, nargs=2, default=(0, 0), metavar=('TOP', 'BOTTOM'),
        help='telemetry rows, as thermal.crop_top_px and thermal.crop_bottom_px')
    add('--max-dt-s', '--max-dt', type=float, default=0.03, help='stamps of a pair in a bag (0.03)')


def run(args: argparse.Namespace) -> int:
    """Write the registration and the overlay; print the residual."""
    from rich.console import Console

    from degfusion_ros.commands.fuse import write
    from degfusion_ros.imaging import calibration, registration_file
    from degfusion_ros.imaging.registration import Registration
    from degfusion_ros.imaging.targets import KINDS
    wrong = _wrong(args, KINDS)
    if wrong:
        print(f'calibrate: {wrong}', file=sys.stderr)
        return 2
    if args.check is not None:
        return _check(args)
    lenses = [path and registration_file.load_camera(path)
              for path in (args.visible_camera, args.thermal_camera)]
    with Console(stderr=True).status('reading the pairs') as status:
        pairs = _pairs(args)
        for lens, picture, path in zip(lenses, pairs[0], (args.visible_camera,
                                                          args.thermal_camera)):
            if lens and lens.size != picture.shape[::-1]:
                raise calibration.CalibrationError(
                    f'{path}: the camera was calibrated at {lens.size[0]}x{lens.size[1]}, the '
                    f'pictures are {picture.shape[1]}x{picture.shape[0]}')
        if args.target == 'none':
            found = calibration.from_scene(pairs, not args.no_lens, *lenses, say=status.update)
        else:
            found = calibration.from_target(
                pairs, args.target, args.pattern, args.square_m, args.depth_m, not args.no_lens,
                *lenses, say=status.update)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    new, picture = args.output.with_name(f'{args.output.name}.new'), args.output.with_suffix('.png')
    try:    # a registration that was there before is replaced by one that serves
        registration_file.save(new, found.geometry, found.residual_px)
        covered = Registration.load(new).covered  # as the node will read it
        write(picture, calibration.overlay(found, *pairs[len(pairs) // 2]))
        os.replace(new, args.output)
    except registration_file.RegistrationError as error:
        told = str(error).replace(new.name, args.output.name)
        raise calibration.CalibrationError(f'not written, for the node would refuse it: {told}'
                                           ) from error
    finally:
        new.unlink(missing_ok=True)
    print(f'residual {found.residual_px:.2f} px over {found.basis}; the thermal camera sees '
          f'{covered:.0%} of the visible picture')
    if found.residual_px > MUCH:
        print('that is much: look at the overlay; a near scene needs --square-m and --depth-m, '
              'pairs that move need cameras that expose together', file=sys.stderr)
    print(f'wrote {args.output} and {picture}')
    return 0


def _check(args) -> int:
    """Print what the node's watch says of the pairs, one by one and one after the other."""
    import cv2
    import numpy as np

    from degfusion_ros.imaging.alignment import Alignment
    from degfusion_ros.imaging.registration import Registration
    registration = Registration.load(args.check) if args.check else Registration.identity()
    pairs, together, alone = _pairs(args), Alignment(), []
    for visible, thermal in pairs:
        colour = cv2.cvtColor(visible, cv2.COLOR_GRAY2RGB)
        registered = registration(thermal, visible.shape)
        found = Alignment().update(colour, registered)
        alone.append(np.nan if found is None else found.px)
        last = together.update(colour, registered)
    told = np.array(alone)[np.isfinite(alone)]
    words = (f': median {np.median(told):.1f} px, largest {told.max():.1f} px, over 2 % of the '
             f'width {int((told > 0.02 * pairs[0][0].shape[1]).sum())}' if told.size else '')
    print(f'{told.size} of {len(pairs)} pairs tell alone{words}')
    print('one after the other: ' + ('unknown' if last is None else f'{last.px:.1f} px off, '
                                     f'{last.dx:+.1f} {last.dy:+.1f} on average'))
    return 0


def _pairs(args) -> list:
    from degfusion_ros import bags
    from degfusion_ros.commands import calibrate_pairs
    crop = tuple(args.thermal_crop)
    if args.bag:
        topics = bags.image_topics(args.bag, args.visible_topic, args.thermal_topic)
        return calibrate_pairs.from_bag(args.bag, topics, args.frames, crop, args.max_dt_s)
    return calibrate_pairs.from_folders(args.visible, args.thermal, args.frames, crop,
                                        args.check is None)


def _wrong(args, kinds) -> str:
    """Return what is wrong with the options, '' for nothing."""
    folders = args.visible is not None and args.thermal is not None
    if folders == (args.bag is not None) or (args.visible is None) != (args.thermal is None):
        return 'give --visible and --thermal, or --bag'
    if args.target not in ('none', *kinds):
        return f'--target {args.target}: must be one of none, {", ".join(kinds)}'
    if (args.output is None) == (args.check is None):
        return 'give --output FILE.yaml, or --check'
    if args.output and args.output.suffix not in ('.yaml', '.yml'):
        return f'--output {args.output}: must be a .yaml file'
    if args.output and folders and overlap([args.output.parent], [args.visible, args.thermal]):
        return f'--output {args.output}: its overlay would lie among the pictures to calibrate by'
    for name, low in (('frames', 1), ('square_m', 0), ('max_dt_s', 0)):
        if not getattr(args, name) >= low:
            return f'--{name.replace("_", "-")} {getattr(args, name)}: must be {low} or more'
    if not args.depth_m > 0:
        return f'--depth-m {args.depth_m}: must be above 0'
    if not math.isfinite(args.square_m):
        return f'--square-m {args.square_m}: must be a length'
    if args.square_m and args.target in ('none', 'lamp'):
        return f'--square-m: --target {args.target} has no spacing; show a checkerboard or circles'
    if math.isfinite(args.depth_m) and not args.square_m:
        return '--depth-m: does nothing without --square-m'
    if min(args.thermal_crop) < 0:
        return f'--thermal-crop {args.thermal_crop}: must be 0 or more rows'
    return ''


def _pattern(text: str) -> tuple[int, int]:
    if not re.fullmatch(r'\d+x\d+', text) or min(map(int, text.split('x'))) < 2:
        raise argparse.ArgumentTypeError(f'{text}: give inner corners across and down, as 8x6')
    across, down = map(int, text.split('x'))
    return across, down

