# SPDX-License-Identifier: Apache-2.0
"""
DAGM: what is wrong with both images, and the vector that steers the experts.

Input: `guidance(views, measures)`. `views` is uint8 B x 2 x 3 x 224 x 224, visible then thermal,
each from imaging.views.guidance_view; `measures` is float32 B x COUNT, from
imaging.statistics.pair_statistics(visible, thermal) of the same whole uint8 frames.
"""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from degfusion_ros.imaging.statistics import COUNT, VISIBLE_COUNT
from degfusion_ros.models.image_tower import SMALL
from degfusion_ros.models.labels import LABELS

VECTOR_SIZE = 512
_LIMIT = 8.0        # of an entry of d_deg; 6 is rare
_WIDTH = 256        # of what is made of the measures of one image
_NOISE = 0.2        # on standardised measures, in training
# OpenAI's CLIP normalisation, which published weights expect
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)


class Judgement(NamedTuple):
    """Presence logits and severities (0..1) per label of each modality, and d_deg."""

    visible: torch.Tensor           # B x 6 presence logits
    thermal: torch.Tensor           # B x 4
    visible_severity: torch.Tensor  # B x 6 in 0..1
    thermal_severity: torch.Tensor  # B x 4
    vector: torch.Tensor            # B x 512, d_deg
    features: torch.Tensor          # 2B x 512, f_vis then f_ir


class Guidance(nn.Module):
    """
    The degradation-aware guidance module (Scientific Reports 10.1038/s41598-025-24436-3, Eq. 6-7).

    f_vis, f_ir come from one CLIP image encoder, d_deg = MLP(f_vis * f_ir). Beyond the paper, the
    frames' statistics join the MLP, and a head per modality reads presence and severity of every
    label off them alone: CLIP's features remember the few scenes of the training, and heads that
    see them too do worse on others. With `measures` 0 there are no statistics, as in the paper.
    """

    def __init__(self, clip_name: str = SMALL, clip: nn.Module | None = None,
                 measures: int = COUNT):
        super().__init__()
        if measures not in (0, COUNT):
            raise ValueError(f'guidance for {measures} statistics of a pair, not {COUNT}')
        self.clip_name = clip_name
        if clip is None:
            from degfusion_ros.models.clip import clip_model  # seconds and memory: see image_tower
            clip = clip_model(clip_name)
        self.clip = clip
        feature, extra = self.clip.visual.output_dim, 2 * _WIDTH if measures else 0
        self.norm = nn.LayerNorm(feature)
        if measures:
            self.register_buffer('centre', torch.zeros(measures))
            self.register_buffer('spread', torch.ones(measures))
            self.measured = nn.ModuleDict({'visible': _reader(VISIBLE_COUNT),
                                           'thermal': _reader(COUNT - VISIBLE_COUNT)})
        self.heads = nn.ModuleDict({m: nn.Linear(_WIDTH if measures else feature,
                                                 2 * len(LABELS[m])) for m in LABELS})
        self.drop = nn.Dropout(0.5)
        self.mlp = nn.Sequential(nn.Linear(feature + extra, VECTOR_SIZE), nn.GELU(),
                                 nn.Linear(VECTOR_SIZE, VECTOR_SIZE))
        self.register_buffer('mean', torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(_STD).view(1, 3, 1, 1), persistent=False)

    @torch.no_grad()
    def standardise(self, measures: torch.Tensor) -> None:
        """Take centre and spread of the statistics from N x COUNT samples."""
        self.centre.copy_(measures.mean(0))
        self.spread.copy_(measures.std(0) + 1e-2)

    def forward(self, views: torch.Tensor, measures: torch.Tensor) -> Judgement:
        """Judge B pairs by `views` and `measures` (see the top of this file)."""
        return self.read(self.encode(views), measures)

    def encode(self, views: torch.Tensor) -> torch.Tensor:
        """Return the CLIP features of `views`, 2B x 512: all visible ones, then all thermal."""
        images = views.transpose(0, 1).flatten(0, 1).to(self.mean.dtype)  # 2B x 3 x 224 x 224
        return self.clip.encode_image((images / 255 - self.mean) / self.std)

    def read(self, features: torch.Tensor, measures: torch.Tensor) -> Judgement:
        """Read the judgement off the features of `encode` and the statistics."""
        f_vis, f_ir = self.norm(features.float()).chunk(2)                # B x 512 each
        told = self._told(measures)
        presence, severity = zip(*(self.heads[m](x).chunk(2, dim=1)
                                   for m, x in zip(LABELS, told or (f_vis, f_ir))))
        # the norm keeps the product in the range in which a fresh MLP learns
        product = self.drop(functional.layer_norm(f_vis * f_ir, f_vis.shape[1:]))
        vector = self.mlp(torch.cat([product, *told], dim=1))
        severity = [s.sigmoid() for s in severity]
        judged = torch.cat([p.sigmoid() * s for p, s in zip(presence, severity)], dim=1)
        # bounded: a frame unlike all in training must not drive the gates out of their range
        rest = _LIMIT * (vector[:, judged.shape[1]:] / _LIMIT).tanh()
        vector = torch.cat([2 * judged, rest], dim=1)
        return Judgement(*presence, *severity, vector, features)

    def _told(self, measures: torch.Tensor) -> list[torch.Tensor]:
        if not hasattr(self, 'measured'):
            return []
        # clamped: a frame like none in training must not outshout everything
        measures = ((measures.float() - self.centre) / self.spread).clamp(-5, 5)
        if self.training:
            measures = measures + _NOISE * torch.randn_like(measures)
        return [self.measured['visible'](measures[:, :VISIBLE_COUNT]),
                self.measured['thermal'](measures[:, VISIBLE_COUNT:])]


def _reader(count: int) -> nn.Sequential:
    return nn.Sequential(nn.Dropout(0.1), nn.Linear(count, _WIDTH), nn.GELU(), nn.Dropout(0.3),
                         nn.Linear(_WIDTH, _WIDTH), nn.GELU(), nn.Dropout(0.3))
