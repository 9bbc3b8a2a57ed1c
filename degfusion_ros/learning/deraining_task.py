# SPDX-License-Identifier: Apache-2.0
"""Training of dgmoe's deraining network, which needs nothing of the network beside it."""

import torch
from torch import nn

from degfusion_ros.learning import losses
from degfusion_ros.models.dgmoe import DgMoe
from degfusion_ros.models.enhancement import STATISTICS


class DerainingTask(nn.Module):
    """
    The deraining network and its losses, called as FusionTask is.

    It is taught alone: the share that it has of a restored image hangs on the guidance. Every step
    sees its crops mirrored either way, and in colours that change places: it learns some hundred
    scenes by heart else, and then spoils what little rain has left whole.
    """

    def __init__(self, network: DgMoe, weights: dict[str, float]):
        super().__init__()
        self.network, self.weights = network, weights

    def forward(self, batch: dict[str, torch.Tensor], many: dict[str, torch.Tensor],
                ) -> dict[str, torch.Tensor]:
        """Return named losses of the visible crops of `batch`."""
        whole = batch['statistics'][:, :STATISTICS[0]].repeat_interleave(
            batch['degraded'].shape[1], dim=0)
        bad, clean, whole = _another_way(*(batch[k].flatten(0, 1)[:, :3].float().div(255)
                                           for k in ('degraded', 'clean')), whole)
        made = bad + self.network.deraining(bad, whole)
        with torch.autocast(bad.device.type, enabled=False):
            return losses.weighted({
                'visible': lambda: losses.restoration_loss(made.float(), clean),
                'visible_db': lambda: losses.decibel_loss(made.float(), clean)}, self.weights)


def _another_way(bad: torch.Tensor, clean: torch.Tensor,
                 whole: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """
    Mirror images B x 3 x H x W and exchange their colours, all alike: rain is grey and falls.

    So are those of the frames' statistics, B x 10: three for each colour, and one of all.
    """
    colours = torch.randperm(3).to(bad.device)
    mirrored = [side for side in (2, 3) if torch.rand(()) < 0.5]
    images = (x[:, colours].flip(mirrored).contiguous(memory_format=torch.channels_last)
              for x in (bad, clean))
    each = whole[:, :-1].unflatten(1, (3, 3))[:, :, colours].flatten(1)
    return *images, torch.cat([each, whole[:, -1:]], dim=1)
