# SPDX-License-Identifier: Apache-2.0
"""Stage two: train the fusion network on degraded frames, steered by a frozen guidance."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from degfusion_ros.learning import losses
from degfusion_ros.learning.building import build
from degfusion_ros.learning.deraining_task import DerainingTask
from degfusion_ros.learning.distillation import Teacher
from degfusion_ros.learning.loop import (
    Loop,
    own_seed,
    start_from,
    stream_loader,
    TrainingError,
    writing,
)
from degfusion_ros.learning.narrowing import narrow
from degfusion_ros.learning.pairs import DegradedStream, PairFolders
from degfusion_ros.learning.reservoir import Reservoir
from degfusion_ros.learning.upcycling import upcycle
from degfusion_ros.models import checkpoint
from degfusion_ros.models.dgmoe import DgMoe, PARTS
from degfusion_ros.models.enhancement import FACTOR, FAINTEST, STATISTICS
from degfusion_ros.models.experts import balance_loss, mutual_information
from degfusion_ros.models.network import OUTPUTS
from degfusion_ros.models.packing import pack
from degfusion_ros.models.tg_ecnet import TgEcnet
from degfusion_ros.models.tone import toned, top

JUDGED_FIRST = 48       # frames that tell which of TG-ECNet's experts are in use
MANY = 'vector', 'statistics', 'cells'      # what is drawn of further frames
DERAINING = 'deraining'
REFILL = 8      # steps between refills: judging many frames at once is far cheaper


def leave_to_train(network: DgMoe, part: str) -> None:
    """
    Freeze all but what is an output's own: its decoder's common experts, routers and head.

    The decoder's ways are the fused image's own, but both restored ones share theirs. The other
    outputs then stay as they are to the bit, for what is shared is frozen.
    """
    network.requires_grad_(False)
    if part == DERAINING:
        network.deraining.requires_grad_(True)
        return
    for owner in (network.skips, network.ups, network.heads, network.tints, network.routers):
        if part in owner:
            owner[part].requires_grad_(True)
    for block in network.blocks(part):
        for common in (block.common, block.common_bias, block.common_steer, block.common_second):
            mine = torch.zeros_like(common).unflatten(0, (block.tasks, -1))
            mine[PARTS[part]] = 1
            common.requires_grad_(True).register_hook(masked(mine.flatten(0, 1)))


def masked(mask: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return what leaves of a gradient what `mask` has 1 for, wherever the network has gone."""
    return lambda gradient: gradient * mask.to(gradient.device)


class FusionTask(nn.Module):
    """
    The network and its losses; one call is one training step's forward pass.

    Only losses that `weights` names are computed, and only the pictures that they need. A teacher
    belongs to no module: it is neither trained nor saved.
    """

    def __init__(self, network: DgMoe, weights: dict[str, float], teacher: Teacher | None = None):
        super().__init__()
        if ('teacher' in weights) != (teacher is not None):
            raise TrainingError('teacher: a file and a loss (losses: {teacher: 40.0}), give both '
                                'or leave out both')
        self.network, self.weights, self.teacher = network, weights, teacher
        needed = {'visible': 'visible', 'thermal': 'thermal', 'visible_db': 'visible',
                  'thermal_db': 'thermal', 'enhanced': None, 'exposure': None,
                  'balance': None, 'information': None}
        self.outputs = tuple(x for x in OUTPUTS if x in {needed.get(k, 'fused') for k in weights})

    def forward(self, batch: dict[str, torch.Tensor], many: dict[str, torch.Tensor],
                ) -> dict[str, torch.Tensor]:
        """Return named losses; `many` are further frames, for the routers and the exposure."""
        crops = [batch[k].flatten(0, 1).float().div(255) for k in ('degraded', 'clean')]
        (bad_visible, bad_thermal), (visible, thermal) = (
            (x[:, :3].contiguous(memory_format=torch.channels_last), x[:, 3:]) for x in crops)
        whole = batch['statistics'].repeat_interleave(batch['degraded'].shape[1], dim=0)
        out, enhanced = self.network.enhance_and_fuse(
            bad_visible, bad_thermal, self.network.route(batch['vector'], outputs=self.outputs),
            self.outputs, whole)
        taught = self.teacher.fused(bad_visible, bad_thermal, batch['vector'], whole) \
            if 'teacher' in self.weights else None
        with torch.autocast(bad_visible.device.type, enabled=False):
            light = losses.luminance(visible)
            table = {
                'visible': lambda: losses.restoration_loss(out.unpacked('visible'), visible),
                'thermal': lambda: losses.restoration_loss(out.unpacked('thermal'), thermal),
                'visible_db': lambda: losses.decibel_loss(out.unpacked('visible'), visible),
                'thermal_db': lambda: losses.decibel_loss(out.unpacked('thermal'), thermal),
                # the paper lets PKDM define its own target; the clean source holds it to the truth
                'enhanced': lambda: sum((x - pack(light, FACTOR)).abs().mean() for x in
                                        (enhanced.brightened, enhanced.derained)),
                'exposure': lambda: self._exposure_loss(many),
                **self._router_losses(many['vector'])}
            if 'fused' in self.outputs:
                table |= fused_losses(out.unpacked('fused'), visible, light, thermal,
                                      batch['warm'].flatten(0, 1).float(), self._sound(batch))
                table['teacher'] = lambda: losses.restoration_loss(out.unpacked('fused'), taught)
            return losses.weighted(table, self.weights)

    def _sound(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return 1 for frames of which nothing was judged wrong, towards 0 for others."""
        return 1 - (self.network.judged(batch['vector']).amax(dim=1) / FAINTEST).clamp(max=1)

    def _exposure_loss(self, many: dict[str, torch.Tensor]) -> torch.Tensor:
        """Hold the curves of many whole frames to the truth; that tells far more than crops do."""
        judged = self.network.judged(many['vector'])
        bad, clean = many['cells'].unflatten(1, (2, 1)).unbind(dim=1)
        tone = self.network.enhance_visible.tone(many['statistics'][:, :STATISTICS[0]], judged)
        return losses.decibel_loss(toned(torch.minimum(bad, top(tone)), tone), clean)

    def _router_losses(self, many: torch.Tensor) -> losses.Named:
        routers = self.network.routers
        flat = [r for part in routers.values() for r in part]
        tasks = list(zip(*(routers[t] for t in OUTPUTS)))
        return {'balance': lambda: sum(balance_loss(r, many) for r in flat) / len(flat),
                'information': lambda: -sum(mutual_information(block, many)
                                            for block in tasks) / len(tasks)}


def fused_losses(rgb: torch.Tensor, visible: torch.Tensor, light: torch.Tensor,
                 thermal: torch.Tensor, warm: torch.Tensor, sound: torch.Tensor) -> losses.Named:
    """
    Return the losses of a fused picture; its crops fall into equal runs, one per frame.

    `sound` is 1 for frames with nothing wrong; what is theirs alone is `likeness`, to both sources.
    """
    fused = losses.luminance(rgb)

    def worse(loss: Callable[..., torch.Tensor], weight: torch.Tensor | float = 1.0,
              ) -> torch.Tensor:
        return losses.worse_told(*(loss(source, fused).view(len(sound), -1)
                                   for source in (light, thermal)), weight)
    return {
        'max': lambda: losses.max_loss(fused, light, thermal),
        'gradient': lambda: losses.gradient_loss(fused, light, thermal),
        'edges': lambda: losses.edge_loss(fused, light, thermal),
        'structure': lambda: worse(losses.structure_loss),
        'likeness': lambda: worse(losses.structure_loss, sound),
        'fidelity': lambda: worse(losses.fidelity_loss),
        'warmth': lambda: losses.warmth_loss(fused, thermal),
        'target': lambda: losses.target_loss(fused, thermal, warm),
        'artefact': lambda: losses.artefact_loss(fused, light, thermal),
        'chroma': lambda: (losses.chroma(rgb) - losses.chroma(visible)).abs().mean(),
        'range': lambda: (rgb - rgb.clamp(0, 1)).abs().mean(),
    }


def train(config: dict, folder: Path, data: Path, guidance_file: Path,
          resume: bool = False) -> Path:
    """
    Run `config` (config/train/fusion.yaml) and write dgmoe.safetensors, guidance included.

    Every checkpoint period also writes the averaged weights so far, ready for `fuse`.
    """
    torch.manual_seed(config['seed'])
    if not Path(guidance_file).is_file():
        raise TrainingError(f'{guidance_file}: no such guidance; run `train guidance` first')
    guidance, guidance_state = checkpoint.load_guidance(guidance_file)
    guidance.eval().requires_grad_(False)
    only = config.get('only')
    network = build(DgMoe, config['network'], [config['crop']]).to(
        memory_format=torch.channels_last)
    teacher = Teacher(Path(config['teacher']), guidance_state) if config.get('teacher') else None
    task = DerainingTask(network, config['losses']) if only == DERAINING else FusionTask(
        network, config['losses'], teacher)
    pairs = PairFolders(root=data, **config['data']).load()
    if config.get('start_from'):
        _start(task.network, Path(config['start_from']), pairs, config['seed'])
    if only is not None:
        parts = OUTPUTS if task.network.deraining is None else (*OUTPUTS, DERAINING)
        if only not in parts:
            raise TrainingError(f'only: {only}: choose from {", ".join(parts)}, or leave it out')
        leave_to_train(task.network, only)
    # decay would move what a gradient leaves alone
    still = only is not None or network.config['steady']
    loop = Loop(task, folder, config['lr'], config['steps'], ema=config['ema'],
                warm_up=config['warm_up'], weight_decay=0.0 if still else 0.01)
    if teacher:
        teacher.network.to(loop.device)
    if resume:
        loop.resume()
    torch.manual_seed(own_seed(config['seed']) + loop.step)     # now that all have one network
    stream = DegradedStream(pairs, own_seed(config['seed']) + loop.step, config['crops'],
                            config['crop'], config.get('mostly', ()), config.get('alone', 0.0))
    samples = Reservoir(stream_loader(stream, config['workers']), config['reservoir'],
                        own_seed(config['seed']))
    guidance.to(loop.device)

    @torch.inference_mode()
    def prepare(fresh: list[dict[str, torch.Tensor]]) -> list[dict[str, torch.Tensor]]:
        views, measures = (torch.stack([sample.pop(key) for sample in fresh])
                           for key in ('views', 'measures'))
        with loop.autocast():
            vectors = guidance(views.to(loop.device), measures.to(loop.device)).vector
        return [{**sample, 'vector': v.float().cpu().clone()}
                for sample, v in zip(fresh, vectors)]

    if loop.step < loop.steps:
        samples.begin(max(config['frames'] * 4, 64), config['fresh'] * loop.step, prepare)

    def step_losses(step: int) -> dict[str, torch.Tensor]:
        if step % REFILL == 0:
            samples.fill(round(config['fresh'] * REFILL), prepare)
        batch = {k: v.to(loop.device) for k, v in samples.draw(config['frames']).items()}
        many = {k: v.to(loop.device) for k, v in samples.draw_some(MANY, 64).items()}
        with loop.autocast():
            return loop.model(batch, many)

    out = Path(folder) / 'dgmoe.safetensors'

    def export() -> None:
        network = {k.removeprefix('network.'): v for k, v in loop.averaged().items()}
        with writing(out):
            checkpoint.save(out, DgMoe.kind, network, guidance_state, task.network.config,
                            loop.step, guidance.clip_name)

    loop.run(step_losses, 'fusion', {config['export_steps']: export})
    return out


def _start(network: DgMoe, file: Path, pairs: list, seed: int) -> None:
    """Go on from a dgmoe, a larger one (see narrowing), or a TG-ECNet (see upcycling)."""
    try:
        about = checkpoint.read(file)[1]
    except checkpoint.CheckpointError:
        about = {}      # start_from tells why
    if about.get('kind') == DgMoe.kind:
        other = checkpoint.load(file)[0]
        same, theirs = network.config, other.config
        if any(same[name] != theirs[name] for name in same if name != DERAINING):
            narrow(network, other)
        else:
            fits = same[DERAINING] == theirs[DERAINING]      # else it begins anew, or falls away
            kept = {k: v for k, v in other.state_dict().items()
                    if fits or not k.startswith(DERAINING)}
            network.load_state_dict({**network.state_dict(), **kept})
        return
    if about.get('kind') != TgEcnet.kind:
        start_from(file, network)
        return
    stream = iter(DegradedStream(pairs, seed))
    upcycle(network, checkpoint.load(file)[0],
            torch.stack([next(stream)['views'] for _ in range(JUDGED_FIRST)]))
