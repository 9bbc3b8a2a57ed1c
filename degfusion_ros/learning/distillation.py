# SPDX-License-Identifier: Apache-2.0
"""What a large trained network tells a smaller one (Hinton et al., 2015): its fused pictures."""

from pathlib import Path

import torch

from degfusion_ros.learning.loop import TrainingError
from degfusion_ros.models import checkpoint
from degfusion_ros.models.dgmoe import DgMoe


class Teacher:
    """
    A trained dgmoe, frozen, asked what it would make of the same degraded crops.

    What a fused picture should be like no clean source tells pixel by pixel, and the losses that
    say it pull weakly; a picture that a larger network has made does. The two are steered alike,
    so the file must hold the guidance of this training (`guidance`, its tensors) as it is.
    """

    def __init__(self, file: Path, guidance: dict[str, torch.Tensor]):
        about = checkpoint.read(file)[1]
        if about.get('kind') != DgMoe.kind:
            raise TrainingError(f'teacher: {file}: no dgmoe, but {about.get("kind")}; choose one, '
                                'or set it to null')
        network, own = checkpoint.load(file)
        for name, tensor in own.state_dict().items():
            other = guidance.get(name)
            # files hold bfloat16
            if other is None or not torch.equal(tensor.bfloat16(), other.bfloat16()):
                raise TrainingError(f'teacher: {file}: its guidance is not the one that --guidance '
                                    'names; a vector would tell the two networks different things')
        self.network = network.requires_grad_(False).to(memory_format=torch.channels_last)

    @torch.no_grad()
    def fused(self, visible: torch.Tensor, thermal: torch.Tensor, vectors: torch.Tensor,
              statistics: torch.Tensor) -> torch.Tensor:
        """
        Return its fused pictures, float32 B x 3 x H x W.

        `visible` (B x 3 x H x W) and `thermal` (B x 1 x H x W) in 0..1 are degraded crops that fall
        into equal runs, one for each of `vectors` (frames x 512); `statistics` are B x 14, the
        whole frames'.
        """
        state = self.network.route(vectors, outputs=('fused',))
        out, _ = self.network.enhance_and_fuse(visible, thermal, state, ('fused',), statistics)
        return out.unpacked('fused').float()
