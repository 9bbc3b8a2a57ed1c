# SPDX-License-Identifier: Apache-2.0
"""The fusion networks, by the kind that their checkpoints name."""

from degfusion_ros.models.dgmoe import DgMoe
from degfusion_ros.models.tg_ecnet import TgEcnet

NETWORKS = {network.kind: network for network in (DgMoe, TgEcnet)}
