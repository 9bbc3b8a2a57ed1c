# SPDX-License-Identifier: Apache-2.0
"""How well the guidance judges samples whose degradations are known."""

import torch

from degfusion_ros.models.guidance import Guidance
from degfusion_ros.models.labels import LABELS, VISIBLE_LABELS

PRESENT = 0.1       # a severity from which a label counts as there
_PARTS = {'visible': slice(0, len(VISIBLE_LABELS)), 'thermal': slice(len(VISIBLE_LABELS), None)}


@torch.inference_mode()
def judge(guidance: Guidance, batch: dict[str, torch.Tensor],
          device: torch.device | str = 'cpu') -> tuple[torch.Tensor, torch.Tensor]:
    """Return presence (probability) and severity, each N x 10, of `views` and `measures`."""
    training = guidance.training
    guidance.eval()
    rows = []
    for views, measures in zip(batch['views'].split(16), batch['measures'].split(16)):
        told = guidance(views.to(device), measures.to(device))
        rows.append((torch.cat([told.visible, told.thermal], 1).float().sigmoid().cpu(),
                     torch.cat([told.visible_severity, told.thermal_severity], 1).float().cpu()))
    guidance.train(training)
    presence, severity = (torch.cat(x) for x in zip(*rows))
    return presence, severity


def scores(presence: torch.Tensor, severity: torch.Tensor,
           truth: torch.Tensor) -> dict[str, float]:
    """
    Compare N x 10 verdicts with the true severities (0: not there).

    Returns macro_f1 over the labels that are there or were said at all, exact (share of pairs with
    all ten right), severity_error (mean absolute, where there) and f1_MODALITY_LABEL.
    """
    said, there = presence > 0.5, truth >= PRESENT
    hit = (said & there).sum(0).float()
    counted = said.sum(0) + there.sum(0)
    f1 = 2 * hit / counted.clamp(min=1)
    names = [f'f1_{m}_{n}' for m in LABELS for n in LABELS[m]]
    return {'macro_f1': f1[counted > 0].mean().item(),
            'exact': (said == there).all(1).float().mean().item(),
            'severity_error': (severity - truth).abs()[there].mean().item(),
            **{n: v for n, v, c in zip(names, f1.tolist(), counted.tolist()) if c}}


def confusion(presence: torch.Tensor, truth: torch.Tensor, modality: str) -> torch.Tensor:
    """
    Count verdicts on pairs with at most one label of `modality`: rows true, columns said.

    The last row and column are clean; the verdict is the likeliest label from even odds on.
    """
    presence, truth = presence[:, _PARTS[modality]], truth[:, _PARTS[modality]]
    clean = torch.full((len(truth),), truth.shape[1])
    is_ = torch.where(truth.amax(1) >= PRESENT, truth.argmax(1), clean)
    said = torch.where(presence.amax(1) > 0.5, presence.argmax(1), clean)
    size = truth.shape[1] + 1
    return torch.bincount(is_ * size + said, minlength=size * size).view(size, size)


def top1(counts: torch.Tensor) -> float:
    """Return the share on the diagonal of a confusion matrix."""
    return (counts.diagonal().sum() / counts.sum().clamp(min=1)).item()
