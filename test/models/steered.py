# SPDX-License-Identifier: Apache-2.0
"""Small networks of both kinds, images for them, and what steers them."""

import torch

from degfusion_ros.models.dgmoe import DgMoe
from degfusion_ros.models.tg_ecnet import TgEcnet

OUTPUTS = ('fused', 'visible', 'thermal')
SMALL = {'widths': (8, 8, 12, 16), 'decoder_widths': (8, 8, 12), 'encoder_blocks': (1, 1, 1, 1),
         'heads': (1, 1, 1, 2), 'prompt': 8, 'words': 4}


def pair(seed: int, height: int = 64, width: int = 96) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    visible = torch.randint(0, 256, (1, height, width, 3), dtype=torch.uint8, generator=draw)
    return visible.permute(0, 3, 1, 2), torch.rand(1, 1, height, width, generator=draw)


def network_of(kind: str) -> DgMoe | TgEcnet:
    torch.manual_seed(0)
    network = DgMoe((8, 16), deraining=(8, 8)) if kind == 'dgmoe' else TgEcnet(**SMALL)
    for parameter in network.parameters():      # fresh heads would change nothing
        torch.nn.init.normal_(parameter, std=0.05)
    return network.eval().requires_grad_(False)


def steer(network, seed: int, dtype=torch.float32):
    return network.steer(torch.randn(1, 512, generator=torch.Generator().manual_seed(seed)),
                         *pair(seed, 120, 160), dtype)
