# SPDX-License-Identifier: Apache-2.0
"""DAGM: what is wrong with both images, and the vector that steers the experts."""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from degfusion_ros.models.clip import create_clip, SMALL
from degfusion_ros.models.labels import LABELS

VECTOR_SIZE = 512
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

    f_vis, f_ir come from one CLIP image encoder, d_deg = MLP(f_vis * f_ir). Beyond the paper, two
    linear heads per modality read presence and severity of every label off its feature.
    """

    def __init__(self, clip_name: str = SMALL, clip: nn.Module | None = None):
        super().__init__()
        self.clip_name = clip_name
        self.clip = create_clip(clip_name)[0] if clip is None else clip
        width = self.clip.visual.output_dim
        self.norm = nn.LayerNorm(width)
        self.heads = nn.ModuleDict({m: nn.Linear(width, 2 * len(LABELS[m])) for m in LABELS})
        self.mlp = nn.Sequential(nn.Linear(width, VECTOR_SIZE), nn.GELU(),
                                 nn.Linear(VECTOR_SIZE, VECTOR_SIZE))
        self.register_buffer('mean', torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, views: torch.Tensor) -> Judgement:
        """Judge `views`, uint8 B x 2 x 3 x 224 x 224 (visible, thermal; see imaging.views)."""
        batch = views.shape[0]
        images = views.transpose(0, 1).flatten(0, 1).to(self.mean.dtype)  # 2B x 3 x 224 x 224
        raw = self.clip.encode_image((images / 255 - self.mean) / self.std)
        feature = self.norm(raw.float())                                   # 2B x 512
        f_vis, f_ir = feature[:batch], feature[batch:]
        presence, severity = zip(*(self.heads[m](f).chunk(2, dim=1)
                                   for m, f in (('visible', f_vis), ('thermal', f_ir))))
        # the norm keeps the product in the range in which a fresh MLP learns
        vector = self.mlp(functional.layer_norm(f_vis * f_ir, f_vis.shape[1:]))
        return Judgement(*presence, *(s.sigmoid() for s in severity), vector, raw)
