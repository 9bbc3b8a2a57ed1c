# SPDX-License-Identifier: Apache-2.0
"""Stage one: teach a CLIP to describe degradations, then to steer experts by them."""

from collections.abc import Callable
from dataclasses import replace
import os
from pathlib import Path

import numpy as np
from safetensors.torch import save_file
import torch
from torch import nn
from torch.nn import functional

from degfusion_ros.learning import guidance_report
from degfusion_ros.learning.guidance_scores import judge, PRESENT, scores
from degfusion_ros.learning.judged import JudgedStream, usable
from degfusion_ros.learning.loop import (
    Loop,
    own_seed,
    processes,
    steps_done,
    stream_loader,
    TrainingError,
    writing,
)
from degfusion_ros.learning.pairs import NoPairs, PairFolders
from degfusion_ros.learning.reservoir import Reservoir
from degfusion_ros.models import checkpoint, clip as clips
from degfusion_ros.models.guidance import Guidance, Judgement, VECTOR_SIZE
from degfusion_ros.models.labels import LABELS, THERMAL_LABELS, VISIBLE_LABELS

_N = len(VISIBLE_LABELS)
PRETRAIN, LORA = 'pretrain', 'lora'      # the folders of the phases that draw samples
READ_OUT = 'read_out'
STANDARD_BATCHES = 16       # that tell the scale of the measures
_SMOOTH = 0.02      # of the truth: composites hide some of their parts


def describe(modality: str, severity: np.ndarray) -> str:
    """Put severities into words, as in 'a visible image with heavy fog and slight noise'."""
    found = [f'{"slight" if s < 0.4 else "moderate" if s < 0.7 else "heavy"} '
             f'{label.replace("_", " ")}'
             for label, s in zip(LABELS[modality], severity) if s >= PRESENT]
    if not found:
        return f'a clean {modality} image'
    return f'a {modality} image with {" and ".join(found)}'


def contrastive_loss(images: torch.Tensor, texts: torch.Tensor, same: torch.Tensor,
                     scale: torch.Tensor) -> torch.Tensor:
    """CLIP's symmetric cross-entropy; equal descriptions (`same`, BxB) share the target."""
    logits = scale * functional.normalize(images, dim=1) @ functional.normalize(texts, dim=1).T
    target = same.float() / same.float().sum(dim=1, keepdim=True)
    return 0.5 * (functional.cross_entropy(logits, target)
                  + functional.cross_entropy(logits.T, target))


class GuidanceTask(nn.Module):
    """The guidance network and the training-only read-out that makes d_deg tell every label."""

    def __init__(self, guidance: Guidance, tokenizer):
        super().__init__()
        self.guidance, self.tokenizer = guidance, tokenizer
        self.probe = nn.Linear(VECTOR_SIZE, _N + len(THERMAL_LABELS))

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """
        Return the named losses of a batch of `views` (or their `features`) and `measures`.

        `severity` may hold NaN: nobody knows, nothing is taught. Descriptions are matched only
        where the towers are seen to learn, so not with `features`.
        """
        if 'features' in batch:     # B x 2 x 512
            features = batch['features'].transpose(0, 1).flatten(0, 1)
            told = self.guidance.read(features, batch['measures'])
            losses = self._read_out(told, batch['severity'])
            if 'vector' in batch:       # what it was before, but for the judged severities
                judged = batch['severity'].shape[1]
                losses['held'] = functional.mse_loss(told.vector[:, judged:],
                                                     batch['vector'][:, judged:])
                losses['total'] = losses['total'] + losses['held']
        else:
            told = self.guidance(batch['views'], batch['measures'])
            losses = self._read_out(told, batch['severity'])
            losses['contrastive'] = self._match(told.features.float(), batch['severity'])
            losses['total'] = losses['total'] + 0.3 * losses['contrastive']
        return losses

    def _read_out(self, told: Judgement, severity: torch.Tensor) -> dict[str, torch.Tensor]:
        known = severity.isfinite()
        severity = severity.nan_to_num()
        there = (severity >= PRESENT).float()
        logits = torch.cat([told.visible, told.thermal], dim=1).float()
        guess = torch.cat([told.visible_severity, told.thermal_severity], dim=1).float()
        smooth = there * (1 - 2 * _SMOOTH) + _SMOOTH
        presence = functional.binary_cross_entropy_with_logits(logits, smooth, known.float())
        error = ((guess - severity).abs() * there).sum() / there.sum().clamp(min=1)
        probe = functional.binary_cross_entropy_with_logits(self.probe(told.vector).float(),
                                                            severity, known.float())
        return {'total': 2 * presence + error + probe, 'presence': presence, 'severity': error,
                'probe': probe}

    def _match(self, features: torch.Tensor, severity: torch.Tensor) -> torch.Tensor:
        words = [describe(m, row) for m, part in (('visible', severity[:, :_N]),
                                                  ('thermal', severity[:, _N:]))
                 for row in part.tolist()]
        clip = self.guidance.clip
        texts = clip.encode_text(self.tokenizer(words).to(severity.device)).float()
        same = torch.tensor([[a == b for b in words] for a in words], device=severity.device)
        return contrastive_loss(features, texts, same, clip.logit_scale.exp())


def train(config: dict, folder: Path, data: Path, resume: bool = False) -> Path:
    """
    Run the phases of `config` (config/train/guidance.yaml) and write guidance.safetensors.

    Phase 1 trains a small CLIP whole on descriptions; with published weights it is left out.
    Phase 2 freezes the towers and trains LoRA adapters, heads and the MLP. Phase 3 freezes all
    of CLIP and trains heads and MLP on, quickly, on features computed once. At last what came of
    it is written beside, as guidance.json and guidance.md.
    """
    torch.manual_seed(config['seed'])
    if config.get('hold') and (config['pretrain_steps'] or config['lora_steps']):
        raise TrainingError('hold: true holds d_deg, which pretrain_steps and lora_steps would '
                            'move; set both to 0')
    if config['clip'] != clips.SMALL and not config.get('weights'):
        raise TrainingError(f"clip {config['clip']}: needs `weights`, a local file of that model")
    try:
        model, tokenizer = clips.create_clip(config['clip'], config.get('weights'))
    except Exception as error:      # what a damaged file of weights raises is anybody's guess
        reason = str(error).partition('\n')[0]
        raise TrainingError(f"clip {config['clip']}, weights {config.get('weights')}: cannot be "
                            f'loaded ({reason})') from error
    guidance = Guidance(config['clip'], model)
    task = GuidanceTask(guidance, tokenizer)
    if config.get('start_from'):
        _start(guidance, Path(config['start_from']), config.get('hold', False))
    done = sum(steps_done(folder / phase) for phase in (PRETRAIN, LORA)) if resume else 0
    read = steps_done(folder / READ_OUT) if resume else 0
    torch.manual_seed(own_seed(config['seed']) + done + read)       # now that all have one network
    # what is wanted at the end is missed before the first step
    kept = held_back_pairs(config, data) if config['report'] else ()
    samples, held_back = _samples(config, data, done)
    samples.begin(config['batch'] * STANDARD_BATCHES, config['fresh'] * done)
    if not config.get('hold'):
        guidance.standardise(samples.draw(config['batch'] * STANDARD_BATCHES)['measures'])
    if config['pretrain_steps'] and not config.get('weights'):
        _phase(task, config, folder / PRETRAIN, config['pretrain_steps'], config['lr'],
               samples, held_back, resume)
    lora = clips.add_lora(guidance.clip, config['lora_rank'])
    _phase(task, config, folder / LORA, config['lora_steps'], config['lora_lr'], samples,
           held_back, resume)
    folder.mkdir(parents=True, exist_ok=True)
    first = processes().is_main_process
    if first:
        _save(clips.adapters(lora), folder / 'adapters.safetensors')
    clips.merge_lora(guidance.clip, lora)
    guidance.clip.requires_grad_(False)
    _read_out(task, config, folder / READ_OUT, samples, held_back, resume)
    out = folder / 'guidance.safetensors'
    if not first:
        return out
    _save(guidance.state_dict(), out, {'clip': config['clip'], 'kind': 'guidance'})
    if config['report']:
        guidance.cpu()
        guidance_report.write(guidance_report.report(
            guidance, *kept, config['report'], config['visible_from']),
            out.with_suffix('.json'))
    return out


def _save(tensors: dict[str, torch.Tensor], path: Path, about: dict | None = None) -> None:
    part = path.with_suffix('.part')
    with writing(path):
        save_file({k: v.contiguous() for k, v in tensors.items()}, part, about)
        os.replace(part, path)


def _start(guidance: Guidance, file: Path, whole: bool) -> None:
    """Go on from the CLIP of a guidance, or from the whole of it."""
    try:
        start, _ = checkpoint.guidance_tensors(file)
        if whole:
            missing = guidance.load_state_dict(start, strict=False).missing_keys
            for name in ('transformer', 'token_embedding'):
                # a text tower that was never loaded must not be saved as one
                if any(k.startswith(f'clip.{name}') for k in missing):
                    delattr(guidance.clip, name)
            return
        guidance.clip.load_state_dict({k.removeprefix('clip.'): v for k, v in start.items()
                                       if k.startswith('clip.')})
    except RuntimeError as error:      # a CheckpointError is one
        raise TrainingError(f'start_from: {file}: no guidance of clip {guidance.clip_name} '
                            f'({str(error).splitlines()[0]})') from error


def held_back_pairs(config: dict, data: Path) -> tuple[list, list]:
    """Return the clean pairs and the real nights that `config` keeps from training."""
    folders = PairFolders(root=data, **config['data'])
    return folders.load(validation=True), _nights(config, folders, validation=True)


def _nights(config: dict, folders: PairFolders, validation: bool) -> list[np.ndarray]:
    dark = replace(folders, min_luminance=0, **config['nights'])
    try:
        return [visible for visible, _ in dark.load(validation)] if config['nights'] else []
    except NoPairs as error:
        kept, remedy = ('held back', 'validation_share') if validation else \
            ('to train on', 'max_luminance')
        raise TrainingError(f'{dark.root}: no pair {kept} is as dark as `nights` wants; '
                            f'set nights: {{}}, or raise its {remedy}') from error


def _samples(config: dict, data: Path, done: int) -> tuple[Reservoir, Reservoir]:
    folders = PairFolders(root=data, **config['data'])
    pairs = folders.load()
    if config['only_clean']:
        pairs = [pair for pair in pairs if usable(*pair)]
    if not pairs:
        raise TrainingError(f'{data}: every picture is burnt out, hazy or soft itself; '
                            'see only_clean')
    seed = own_seed(config['seed']) + done
    stream = JudgedStream(pairs, seed, _nights(config, folders, validation=False))
    samples = Reservoir(stream_loader(stream, config['workers']), config['reservoir'], seed)
    clear = JudgedStream(folders.load(validation=True), 1, vary=False, low=config['visible_from'])
    held_back = Reservoir(clear, config['held_back'], 1)
    held_back.fill(config['held_back'])
    return samples, held_back


def _phase(task: GuidanceTask, config: dict, folder: Path, steps: int, lr: float,
           samples: Reservoir, held_back: Reservoir, resume: bool) -> None:
    if not steps:
        return
    phases = PRETRAIN, LORA, READ_OUT
    later = [folder.parent / phase for phase in phases[phases.index(folder.name) + 1:]]
    loop = Loop(task, folder, lr, steps, later=later)
    if resume:
        loop.resume()

    def losses(step: int) -> dict[str, torch.Tensor]:
        samples.fill(round(config['fresh'] * (step + 1)) - round(config['fresh'] * step))
        batch = {k: v.to(loop.device) for k, v in samples.draw(config['batch']).items()}
        with loop.autocast():
            return loop.model(batch)

    loop.run(losses, folder.name, {config['report_steps']: _report(task, loop, held_back)})


def _read_out(task: GuidanceTask, config: dict, folder: Path, samples: Reservoir,
              held_back: Reservoir, resume: bool) -> None:
    settings = config['read_out']
    if not settings['steps']:
        return
    loop = Loop(task, folder, settings['lr'], settings['steps'],
                weight_decay=settings['weight_decay'])
    samples.fill(max(config['reservoir'] - len(samples), 0))
    known = {'features': [], 'measures': [], 'severity': []}
    if config.get('hold'):
        known['vector'] = []
    task.guidance.eval()
    for chunk in samples.chunks(32):
        with torch.inference_mode(), loop.autocast():
            told = task.guidance(chunk['views'].to(loop.device), chunk['measures'].to(loop.device))
        chunk['features'] = told.features.float().unflatten(0, (2, -1)).transpose(0, 1).cpu()
        chunk['vector'] = told.vector.float().cpu()
        for key, parts in known.items():
            parts.append(chunk[key].clone())
    task.guidance.train()
    known = {key: torch.cat(parts) for key, parts in known.items()}
    if not config.get('hold'):
        task.guidance.standardise(known['measures'].to(loop.device))
    if resume:      # after what is held was computed, of the weights it began with
        loop.resume()
    rng = np.random.default_rng(own_seed(config['seed']))

    def losses(step: int) -> dict[str, torch.Tensor]:
        chosen = rng.integers(len(known['severity']), size=settings['batch'])
        return loop.model({k: v[chosen].to(loop.device) for k, v in known.items()})

    loop.run(losses, folder.name, {settings['report_steps']: _report(task, loop, held_back)})


def _report(task: GuidanceTask, loop: Loop, held_back: Reservoir) -> Callable[[], None]:
    def report() -> None:
        batch = next(held_back.chunks(len(held_back)))
        with loop.autocast():
            told = judge(task.guidance, batch, loop.device)
        found = scores(*told, batch['severity'])
        for name, value in found.items():
            loop.log.add_scalar(f'held_back/{name}', value, loop.step)
        loop.accelerator.print(f'step {loop.step}: ' + ', '.join(
            f'{k} {v:.3f}' for k, v in found.items()), flush=True)
    return report
