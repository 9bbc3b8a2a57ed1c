# SPDX-License-Identifier: Apache-2.0
"""`train guidance`, then `train fusion` (dgmoe) or `train tg_ecnet`."""

import argparse
from pathlib import Path

import yaml


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    stages = parser.add_subparsers(dest='stage', required=True)
    for stage, text in (('guidance', 'stage one: CLIP, LoRA, the degradation vector'),
                        ('fusion', 'stage two: PKDM, experts and heads'),
                        ('tg_ecnet', 'the other network, in place of stage two')):
        one = stages.add_parser(stage, help=text)
        one.add_argument('--config', type=Path, required=True, help='YAML, see config/train')
        one.add_argument('--data', type=Path, required=True,
                         help='folder with SET/visible and SET/thermal')
        one.add_argument('--output', type=Path, default=Path('runs') / stage)
        one.add_argument('--resume', action='store_true', help='go on from the last checkpoint')
        if stage != 'guidance':
            one.add_argument('--guidance', type=Path, required=True,
                             help='guidance.safetensors of the first stage')


def run(args: argparse.Namespace) -> int:
    """Train, and print the path of the result."""
    from degfusion_ros.learning import fusion_training, guidance_training, settings, tg_training
    from degfusion_ros.learning.loop import TrainingError
    try:
        config = yaml.safe_load(args.config.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TrainingError(f'{args.config}: not YAML ({error})') from error
    settings.check(config, args.stage, args.config)
    if args.stage == 'guidance':
        done = guidance_training.train(config, args.output, args.data, args.resume)
    else:
        training = {'fusion': fusion_training, 'tg_ecnet': tg_training}[args.stage]
        done = training.train(config, args.output, args.data, args.guidance, args.resume)
    print(done)
    return 0
