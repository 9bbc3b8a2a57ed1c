# SPDX-License-Identifier: Apache-2.0
"""Train TG-ECNet: stage one restores, stage two fuses over a frozen stage one."""

from pathlib import Path

import torch

from degfusion_ros.learning.building import build
from degfusion_ros.learning.loop import (
    Loop,
    own_seed,
    start_from,
    steps_done,
    stream_loader,
    TrainingError,
    writing,
)
from degfusion_ros.learning.pairs import DegradedStream, PairFolders
from degfusion_ros.learning.reservoir import Reservoir
from degfusion_ros.learning.tg_losses import FusionStage, Restoration
from degfusion_ros.models import checkpoint
from degfusion_ros.models.tg_ecnet import TgEcnet

STAGES = {'restoration': Restoration, 'fusion': FusionStage}
REFILL = 8      # steps between refills of the reservoir


def train(config: dict, folder: Path, data: Path, guidance_file: Path,
          resume: bool = False) -> Path:
    """
    Run `config` (config/train/tg_ecnet.yaml) and write tg_ecnet.safetensors, guidance included.

    Stage two starts when stage one is done, from its averaged weights; `resume` goes on wherever
    the run stopped. Every export period writes the averaged weights so far, ready for `fuse`.
    """
    torch.manual_seed(config['seed'])
    if not Path(guidance_file).is_file():
        raise TrainingError(f'{guidance_file}: no such guidance; run `train guidance` first')
    guidance, guidance_state = checkpoint.load_guidance(guidance_file)
    network = build(TgEcnet, config['network'], (config[stage]['crop'] for stage in STAGES))
    if config.get('start_from'):
        start_from(Path(config['start_from']), network)
    done = sum(steps_done(Path(folder) / stage) for stage in STAGES) if resume else 0
    torch.manual_seed(own_seed(config['seed']) + done)      # now that all have one network
    pairs = PairFolders(root=data, **config['data']).load()
    out = Path(folder) / 'tg_ecnet.safetensors'

    def save(weights: dict[str, torch.Tensor], step: int) -> None:
        with writing(out):
            checkpoint.save(out, 'tg_ecnet', weights, guidance_state, network.config, step,
                            guidance.clip_name)

    network.to(memory_format=torch.channels_last)
    for stage in STAGES:
        weights = run_stage(stage, network, config, Path(folder) / stage, pairs, resume, save)
        network.load_state_dict(weights)
    return out


def run_stage(stage: str, network: TgEcnet, config: dict, folder: Path, pairs: list,
              resume: bool, save) -> dict[str, torch.Tensor]:
    """Train one stage and return the network's averaged weights; `save` exports them meanwhile."""
    settings, names = config[stage], list(STAGES)
    task = STAGES[stage](network, settings['losses'])
    loop = Loop(task, folder, settings['lr'], settings['steps'], ema=settings['ema'],
                warm_up=settings['warm_up'], checkpoint_s=config.get('checkpoint_s', 120.0),
                later=[folder.parent / name for name in names[names.index(stage) + 1:]])
    if resume:
        loop.resume()

    def averaged() -> dict[str, torch.Tensor]:
        return {k.removeprefix('network.'): v for k, v in loop.averaged().items()
                if k.startswith('network.')}

    if loop.step < loop.steps:
        stream = DegradedStream(pairs, own_seed(config['seed']) + loop.step, settings['crops'],
                                settings['crop'])
        samples = Reservoir(stream_loader(stream, config['workers']), config['reservoir'],
                            own_seed(config['seed']))
        samples.begin(max(settings['frames'] * 4, 64), config['fresh'] * loop.step)

        def step_losses(step: int) -> dict[str, torch.Tensor]:
            if step % REFILL == 0:
                samples.fill(round(config['fresh'] * REFILL))
            batch = {k: v.to(loop.device) for k, v in samples.draw(settings['frames']).items()}
            with loop.autocast():
                return loop.model(batch)

        loop.run(step_losses, stage,
                 {config['export_steps']: lambda: save(averaged(), loop.step)})
    elif stage == names[-1] and loop.log:       # nothing is left to do, but to write what there is
        save(averaged(), loop.step)
    return averaged()
