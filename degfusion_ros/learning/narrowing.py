# SPDX-License-Identifier: Apache-2.0
"""
Start a smaller dgmoe from a larger one: structured pruning (Li et al., ICLR 2017).

Of every stream of channels those stay that the next layers read most, of every block the strongest
hidden ones, of every level the first blocks. Training then mends it in some hundred steps.
"""

import torch

from degfusion_ros.learning.loop import TrainingError
from degfusion_ros.models.blocks import ConvBlock
from degfusion_ros.models.dgmoe import DgMoe
from degfusion_ros.models.experts import boxed, DGME, EXPERTS
from degfusion_ros.models.steady import hold

Kept = list[torch.Tensor]       # of each level, the channels that stay, in their order


@torch.no_grad()
def narrow(network: DgMoe, other: DgMoe) -> None:
    """
    Fill `network` from `other`, which has its shape but is wider or deeper; TrainingError.

    Its deraining network is not taken over: it costs as much as a small network does.
    """
    for name in ('widths', 'plain', 'decoder'):
        mine = network.config[name]
        theirs = other.config[name]
        if len(mine) != len(theirs) or any(a > b for a, b in zip(mine, theirs)) or \
                name == 'widths' and mine[-1] != theirs[-1]:
            raise TrainingError(f'start_from: a dgmoe of {name} {theirs}; `network` has {mine}, '
                                'which may be smaller, but for the coarsest width, never larger')
    if other.config['steady']:
        raise TrainingError('start_from: a steady dgmoe; start from one that is not')
    steady = network.config['steady']
    seen, made = _strongest_channels(other, network.config['widths'], steady)
    for name in ('enhance_visible', 'enhance_thermal', 'colour', 'state', 'tints', 'whole'):
        mine, theirs = (getattr(x, name).state_dict() for x in (network, other))
        if not set(mine) <= set(theirs):
            raise TrainingError('start_from: its PKDM has no stage for rain; set rain to 0')
        getattr(network, name).load_state_dict({key: theirs[key] for key in mine})
    _take(network.stem, other.stem, out=seen[0])
    for i, (block, theirs) in enumerate(zip(network.encoder, other.encoder)):
        _take_mixture(block, theirs, seen[i])
        for mine, plain in zip(network.plain[i], other.plain[i]):
            if isinstance(plain, ConvBlock):
                _take_block(mine, plain, seen[i])
            else:
                mine.load_state_dict(plain.state_dict())
    for i, (mine, theirs) in enumerate(zip(network.downs, other.downs)):
        _take(mine, theirs, out=seen[i + 1], into=seen[i])
    for way, skips in network.skips.items():
        for mine, theirs in zip(skips, other.skips[way]):
            for i, (one, larger) in enumerate(zip(mine, theirs)):
                _take(one, larger, out=made[i], into=seen[i])
        for i, (mine, theirs) in enumerate(zip(network.ups[way], other.ups[way])):
            mine.weight.copy_(theirs.weight[made[i + 1]][:, made[i]])
            mine.bias.copy_(theirs.bias[made[i]])
    kept = []       # of the larger one's blocks in a row
    for i, (level, theirs) in enumerate(zip(network.decoder, other.decoder)):
        start = sum(map(len, other.decoder[:i]))
        kept += range(start, start + len(level))
        for block, larger in zip(level, theirs):
            _take_mixture(block, larger, made[i])
    for name, head in network.heads.items():
        _take(head, other.heads[name], into=made[0])
    if steady:
        hold(network)
    for part, routers in network.routers.items():
        blocks = range(len(routers)) if len(routers) == len(other.routers[part]) else kept
        for router, i in zip(routers, blocks):
            router.load_state_dict(other.routers[part][i].state_dict())


def _strongest_channels(other: DgMoe, widths: list[int], steady: bool) -> tuple[Kept, Kept]:
    """
    Return the channels that stay of the encoder's stream and of the decoder's, by level.

    Where the network is `steady` the first place is the weakest one's, to be made 1.
    """
    seen, made = [], []
    for i, width in enumerate(widths):
        spare = steady and i < len(widths) - 1
        skips = [level[i].weight for way in other.skips.values() for level in way]
        down = [other.downs[i].weight] if i < len(other.downs) else []
        seen.append(_strongest([*skips, *down, other.encoder[i].common], width, spare))
        ups = [way[i - 1].weight.transpose(0, 1) for way in other.ups.values()] if i else \
            [head.weight for head in other.heads.values()]
        blocks = [b.common for b in other.decoder[i]] if i < len(other.decoder) else []
        made.append(_strongest([*ups, *blocks], width, spare))
    return seen, made


def _strongest(readers: list[torch.Tensor], count: int, spare: bool) -> torch.Tensor:
    """
    Return the `count` inputs (second dimension) that kernels read most, in their order.

    If one is to `spare`, the weakest of them comes first.
    """
    size = sum(w.transpose(0, 1).flatten(1).square().sum(1) for w in readers)
    best = size.topk(count).indices
    return torch.cat([best[-1:], best[:-1].sort().values]) if spare else best.sort().values


def _take(mine: torch.nn.Conv2d, theirs: torch.nn.Conv2d, out: torch.Tensor | None = None,
          into: torch.Tensor | None = None) -> None:
    weight, bias = theirs.weight, theirs.bias
    if out is not None:
        weight, bias = weight[out], bias if bias is None else bias[out]
    if into is not None:
        weight = weight[:, into]
    mine.weight.copy_(weight)
    if bias is not None:
        mine.bias.copy_(bias)


def _take_block(mine: ConvBlock, theirs: ConvBlock, kept: torch.Tensor) -> None:
    rows = _strongest_hidden(theirs.first.weight, theirs.second.weight[..., 0, 0], len(kept))
    _take(mine.first, theirs.first, rows, kept)
    _take(mine.second, theirs.second, kept, rows)


def _take_mixture(mine: DGME, theirs: DGME, kept: torch.Tensor) -> None:
    for task in range(mine.tasks):
        kernels = theirs.common.unflatten(0, (mine.tasks, -1))[task]
        rows = _strongest_hidden(kernels, theirs.common_second[task], mine.common_hidden)
        mine.common.unflatten(0, (mine.tasks, -1))[task] = kernels[rows][:, kept]
        mine.common_bias[task] = theirs.common_bias[task, rows]
        mine.common_steer[task] = theirs.common_steer[task, rows]
        mine.common_second[task] = theirs.common_second[task][kept][:, rows]
    large = [k for group in theirs.first for k in group.split(theirs.hidden)]
    small = [k for group in mine.first for k in group.split(mine.hidden)]
    for e in range(EXPERTS):
        rows = _strongest_hidden(boxed(large[e]), theirs.second[e], mine.hidden)
        small[e].copy_(large[e][rows][:, kept])
        mine.first_bias[e], mine.steer[e] = theirs.first_bias[e, rows], theirs.steer[e, rows]
        mine.second[e] = theirs.second[e][kept][:, rows]
        if not mine.steady:
            mine.second_bias[e] = theirs.second_bias[e, kept]


def _strongest_hidden(first: torch.Tensor, second: torch.Tensor, count: int) -> torch.Tensor:
    size = first.flatten(1).norm(dim=1) * second.norm(dim=0)
    return size.topk(count).indices.sort().values
