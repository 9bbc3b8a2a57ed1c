# SPDX-License-Identifier: Apache-2.0
"""
Start dgmoe from a trained TG-ECNet: sparse upcycling (Komatsuzaki et al., ICLR 2023).

Both walk the same U-Net of luminance cells. Plain convolutions go over as they are. TG-ECNet's
experts, and the hidden channels of its plain blocks, are dealt out to the experts of DGME; what
that breaks, training mends in some thousand steps instead of from nothing.
"""

import torch

from degfusion_ros.learning.loop import TrainingError
from degfusion_ros.models.blocks import ConvBlock
from degfusion_ros.models.dgmoe import BRANCHES, DgMoe, PARTS
from degfusion_ros.models.enhancement import FACTOR
from degfusion_ros.models.experts import BOX, boxed, DGME, EXPERTS, SHAPES
from degfusion_ros.models.tg_ecnet import TgEcnet
from degfusion_ros.models.tg_experts import Experts
from degfusion_ros.models.tg_unet import Decoder

_KEPT = 0.8     # a chosen expert has half the weight, which TG-ECNet gave its first choice alone
_SHARED = 1.5   # two experts that share a block's other half; now and then both are of one quarter


@torch.no_grad()
def upcycle(network: DgMoe, other: TgEcnet, views: torch.Tensor) -> None:
    """
    Fill a fresh `network`, PKDM and routers excepted, from `other`, whose widths it must have.

    `views` (F x 2 x 3 x 224 x 224, uint8, of degraded pairs) tell which of the experts of `other`
    are in use. Raises TrainingError.
    """
    size, widths = other.size, tuple(network.config['widths'])
    if network.config['steady']:
        raise TrainingError('start_from: a TG-ECNet, from which no steady network can go on; train '
                            'one that is not, then start a steady one from that')
    if (size.widths, size.decoder_widths, size.factor, size.gate, size.tone) != \
            (widths, widths[:-1], FACTOR, 'image', True):
        raise TrainingError(f'start_from: a TG-ECNet of widths {size.widths}, gates per '
                            f'{size.gate}; dgmoe of widths {widths} needs the same, gates per '
                            'image and the tone curve')
    restorer, fusion = other.restorer, other.fusion
    network.stem.load_state_dict(restorer.encoder.stem.state_dict())
    for mine, theirs in zip(network.downs, restorer.encoder.downs):
        mine.load_state_dict(theirs.state_dict())
    prompts = other.prompt(views).unflatten(0, (2, -1))
    for i, block in enumerate(network.encoder):
        plain, level = network.plain[i], restorer.encoder.levels[i]
        for mine, theirs in zip(plain, level):
            mine.load_state_dict(theirs.state_dict())
        if i < len(restorer.encoder.mixtures):
            _take_mixture(block, restorer.encoder.mixtures[i], prompts,
                          level[0] if not len(plain) else None)
        else:       # it begins as next to nothing
            block.second.mul_(0.1)
            block.common_second.mul_(0.1)
    for i, level in enumerate(network.decoder):
        theirs = [[*d.levels[i], *(d.refinement if i == 0 else ())]
                  for d in (restorer.decoder, fusion.decoder)]
        for block, restoring, fusing in zip(level, *theirs):
            _take_block(block, restoring, fusing)
    _take_ways(network, other)
    for name, head in network.heads.items():
        theirs, start = (fusion.head, FACTOR ** 2) if name == 'fused' else (restorer.head, 0)
        head.weight[start:start + FACTOR ** 2] = theirs.weight
        head.bias[start:start + FACTOR ** 2] = theirs.bias


def _take_ways(network: DgMoe, other: TgEcnet) -> None:
    for way, decoder in (('restored', other.restorer.decoder), ('fused', other.fusion.decoder)):
        for mine, theirs in zip(network.ups[way], decoder.ups):
            mine.load_state_dict(theirs.state_dict())
    for i, width in enumerate(other.size.widths):
        skip = network.skips['restored'][0][i]
        for mine, theirs in zip((skip.weight, skip.bias), _join(other.restorer.decoder, i, width)):
            mine.copy_(theirs)
        weight, bias = _join(other.fusion.decoder, i, width)
        for skips, share in zip(network.skips['fused'], (other.fusion.alpha, other.fusion.beta)):
            skips[i].weight.copy_(weight * share[i].view(1, -1, 1, 1))
        network.skips['fused'][0][i].bias.copy_(bias)


def _join(decoder: Decoder, level: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what takes the encoder's features in; the coarsest are taken as they are."""
    if level < len(decoder.joins):
        skip = decoder.joins[level].skip
        return skip.weight, skip.bias
    return torch.eye(width)[..., None, None], torch.zeros(width)


def _take_mixture(block: DGME, mixture: Experts, prompts: torch.Tensor,
                  instead: ConvBlock | None) -> None:
    """Common experts: each branch's favourite, or the stronger half of a block left out."""
    kernels = mixture.first.unflatten(0, mixture.first_bias.shape)
    used = [mixture.gates(told).weights.mean(dim=0) for told in prompts]
    favourites = [] if instead is not None else [int(x.argmax()) for x in used]
    for task, _ in enumerate(BRANCHES):
        if instead is not None:
            _put_common(block, task, instead, _strongest(instead)[:block.common_hidden])
            continue
        e = favourites[task]
        rows = slice(task * block.common_hidden, (task + 1) * block.common_hidden)
        block.common[rows] = boxed(kernels[e])
        block.common_bias[task] = mixture.first_bias[e]
        block.common_second[task] = mixture.second[e] * used[task][e].clamp(min=0.4)
    order = sum(used).argsort(descending=True).tolist()
    rest = [e for e in order if e not in favourites]
    chosen = (rest + order)[:EXPERTS // 2]
    for place, e in enumerate(chosen):
        for half in range(2):
            rows = slice(half * block.hidden, (half + 1) * block.hidden)
            _put(block, place + half * EXPERTS // 2, kernels[e][rows], mixture.first_bias[e][rows],
                 mixture.second[e][:, rows] * _KEPT, mixture.second_bias[e] / 2)


def _take_block(block: DGME, restoring: ConvBlock, fusing: ConvBlock) -> None:
    """The stronger half becomes common; the experts take turns at the quarters of the rest."""
    m, h = block.common_hidden, block.hidden
    order = _strongest(restoring)
    for part in ('fused', 'visible', 'thermal'):
        source = fusing if part == 'fused' else restoring
        _put_common(block, PARTS[part], source, _strongest(source)[:m])
    for e in range(EXPERTS):
        rows = order[m + e % 2 * h:][:h]
        _put(block, e, restoring.first.weight[rows], restoring.first.bias[rows],
             restoring.second.weight[:, rows, 0, 0] * _SHARED, restoring.second.bias)


def _put_common(block: DGME, task: int, source: ConvBlock, rows: torch.Tensor) -> None:
    m = block.common_hidden
    block.common[task * m:(task + 1) * m] = source.first.weight[rows]
    block.common_bias[task] = source.first.bias[rows]
    block.common_second[task] = source.second.weight[:, rows, 0, 0]


def _put(block: DGME, expert: int, first: torch.Tensor, bias: torch.Tensor, second: torch.Tensor,
         end: torch.Tensor) -> None:
    """Fill one expert; of a larger kernel it takes the middle."""
    before = 0
    for group, (count, *shape) in zip(block.first, SHAPES):
        if expert < before + count:
            dy, dx = ((BOX - k) // 2 for k in shape)
            rows = slice((expert - before) * block.hidden, (expert - before + 1) * block.hidden)
            group[rows] = boxed(first)[..., dy:BOX - dy, dx:BOX - dx]
            break
        before += count
    block.first_bias[expert], block.second[expert] = bias, second
    block.second_bias[expert] = end


def _strongest(block: ConvBlock) -> torch.Tensor:
    size = block.first.weight.flatten(1).norm(dim=1) * block.second.weight[..., 0, 0].norm(dim=0)
    return size.argsort(descending=True)
