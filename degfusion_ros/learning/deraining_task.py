# SPDX-License-Identifier: Apache-2.0
"""Training of dgmoe's deraining network, which needs nothing of the network beside it."""

import torch
from torch import nn

from degfusion_ros.learning import losses
from degfusion_ros.models.dgmoe import DgMoe


class DerainingTask(nn.Module):
    """
    The deraining network and its losses, called as FusionTask is.

    It is taught alone: the share that it has of a restored image hangs on the guidance.
    """

    def __init__(self, network: DgMoe, weights: dict[str, float]):
        super().__init__()
        self.network, self.weights = network, weights

    def forward(self, batch: dict[str, torch.Tensor], many: dict[str, torch.Tensor],
                ) -> dict[str, torch.Tensor]:
        """Return named losses of the visible crops of `batch`."""
        bad, clean = (batch[k].flatten(0, 1)[:, :3].float().div(255).contiguous(
            memory_format=torch.channels_last) for k in ('degraded', 'clean'))
        made = bad + self.network.deraining(bad)
        with torch.autocast(bad.device.type, enabled=False):
            return losses.weighted({
                'visible': lambda: losses.restoration_loss(made.float(), clean),
                'visible_db': lambda: losses.decibel_loss(made.float(), clean)}, self.weights)
