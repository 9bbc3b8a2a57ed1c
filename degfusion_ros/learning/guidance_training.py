# SPDX-License-Identifier: Apache-2.0
"""Stage one: teach a CLIP to describe degradations, then to steer experts by them."""

from pathlib import Path

import numpy as np
from safetensors.torch import load_file, save_file
import torch
from torch import nn
from torch.nn import functional

from degfusion_ros.learning.loop import Loop, stream_loader, TrainingError
from degfusion_ros.learning.pairs import DegradedStream, PairFolders, Reservoir
from degfusion_ros.models import clip as clips
from degfusion_ros.models.guidance import Guidance, Judgement, VECTOR_SIZE
from degfusion_ros.models.labels import LABELS, THERMAL_LABELS, VISIBLE_LABELS

PRESENT = 0.1       # a severity from which a label counts as there
_N = len(VISIBLE_LABELS)


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
        """Return the named losses of a batch of views and severities."""
        severity = batch['severity']
        told: Judgement = self.guidance(batch['views'])
        words = [describe(m, row) for m, part in (('visible', severity[:, :_N]),
                                                  ('thermal', severity[:, _N:]))
                 for row in part.tolist()]
        clip = self.guidance.clip
        texts = clip.encode_text(self.tokenizer(words).to(severity.device)).float()
        same = torch.tensor([[a == b for b in words] for a in words], device=severity.device)
        match = contrastive_loss(told.features.float(), texts, same, clip.logit_scale.exp())
        present = (severity >= PRESENT).float()
        logits = torch.cat([told.visible, told.thermal], dim=1).float()
        guess = torch.cat([told.visible_severity, told.thermal_severity], dim=1).float()
        presence = functional.binary_cross_entropy_with_logits(logits, present)
        error = ((guess - severity).abs() * present).sum() / present.sum().clamp(min=1)
        probe = functional.binary_cross_entropy_with_logits(self.probe(told.vector).float(),
                                                            severity)
        total = 0.3 * match + 2 * presence + error + probe
        return {'total': total, 'contrastive': match, 'presence': presence, 'severity': error,
                'probe': probe}


def train(config: dict, folder: Path, data: Path, resume: bool = False) -> Path:
    """
    Run both phases of `config` (config/train/guidance.yaml) and write guidance.safetensors.

    Phase 1 trains a small CLIP whole on descriptions; with published weights it is left out.
    Phase 2 freezes the towers and trains LoRA adapters, heads and the MLP.
    """
    torch.manual_seed(config['seed'])
    if config['clip'] != clips.SMALL and not config.get('weights'):
        raise TrainingError(f"clip {config['clip']}: needs `weights`, a local file of that model")
    model, tokenizer = clips.create_clip(config['clip'], config.get('weights'))
    task = GuidanceTask(Guidance(config['clip'], model), tokenizer)
    if config.get('start_from'):
        task.guidance.load_state_dict(load_file(config['start_from']))
    folders = PairFolders(root=data, **config['data'])
    samples = Reservoir(stream_loader(DegradedStream(folders.load(), config['seed'])),
                        config['reservoir'], config['seed'])
    held_back = Reservoir(DegradedStream(folders.load(validation=True), 1), config['held_back'], 1)
    held_back.fill(config['held_back'])
    if config['pretrain_steps'] and not config.get('weights'):
        _phase(task, config, folder / 'pretrain', config['pretrain_steps'], config['lr'],
               samples, held_back, resume)
    lora = clips.add_lora(task.guidance.clip, config['lora_rank'])
    _phase(task, config, folder / 'lora', config['lora_steps'], config['lora_lr'], samples,
           held_back, resume)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(clips.adapters(lora), folder / 'adapters.safetensors')
    clips.merge_lora(task.guidance.clip, lora)
    out = folder / 'guidance.safetensors'
    state = {k: v.contiguous() for k, v in task.guidance.state_dict().items()}
    save_file(state, out, {'clip': config['clip'], 'kind': 'guidance'})
    return out


def _phase(task: GuidanceTask, config: dict, folder: Path, steps: int, lr: float,
           samples: Reservoir, held_back: Reservoir, resume: bool) -> None:
    loop = Loop(task, folder, lr, steps)
    if resume:
        loop.resume()
    if loop.step < steps:
        samples.fill(config['batch'] * 4)

    def losses(step: int) -> dict[str, torch.Tensor]:
        samples.fill(config['fresh'])
        batch = {k: v.to(loop.device) for k, v in samples.draw(config['batch']).items()}
        with loop.autocast():
            return loop.model(batch)

    def report() -> None:
        scores = score(task.guidance, held_back.draw(config['held_back']), loop)
        for name, value in scores.items():
            loop.log.add_scalar(f'held_back/{name}', value, loop.step)
        loop.accelerator.print(f'step {loop.step}: ' + ', '.join(
            f'{k} {v:.3f}' for k, v in scores.items()), flush=True)

    loop.run(losses, folder.name, {config['report_steps']: report})


@torch.inference_mode()
def score(guidance: Guidance, batch: dict[str, torch.Tensor], loop: Loop) -> dict[str, float]:
    """Judge held-back samples: F1 of each label, their mean, and the mean severity error."""
    guidance.eval()
    rows = []
    for views in batch['views'].split(32):
        with loop.autocast():
            told = guidance(views.to(loop.device))
        rows.append((torch.cat([told.visible, told.thermal], 1).float().sigmoid().cpu(),
                     torch.cat([told.visible_severity, told.thermal_severity], 1).float().cpu()))
    guidance.train()
    presence, severity = (torch.cat(x) for x in zip(*rows))
    truth = batch['severity']
    said, there = presence > 0.5, truth >= PRESENT
    hit = (said & there).sum(0).float()
    f1 = 2 * hit / (said.sum(0) + there.sum(0)).clamp(min=1)
    return {'macro_f1': f1.mean().item(), 'exact': (said == there).all(1).float().mean().item(),
            'severity_error': (severity - truth).abs()[there].mean().item(),
            **{f'f1_{m}_{n}': v for (m, n), v in zip(
                ((m, n) for m in LABELS for n in LABELS[m]), f1.tolist())}}
