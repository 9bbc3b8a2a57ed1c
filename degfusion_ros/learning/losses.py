# SPDX-License-Identifier: Apache-2.0
"""
Differentiable losses of the fusion network.

Images are B x C x H x W in 0..1. `max_loss` and `gradient_loss` are the paper's (Eq. 15-18 with the
clean sources in place of PKDM's own outputs); `structure_loss`, `fidelity_loss`, `warmth_loss` and
`target_loss` keep what those two lose: the weaker source's structure, warm targets' contrast.
"""

from collections.abc import Callable

import torch
from torch.nn import functional

from degfusion_ros.learning.loop import TrainingError

_LUMA = (0.299, 0.587, 0.114)
Named = dict[str, Callable[[], torch.Tensor]]


def luminance(rgb: torch.Tensor) -> torch.Tensor:
    """Return BT.601 luma, B x 1 x H x W."""
    weights = rgb.new_tensor(_LUMA).view(1, 3, 1, 1)
    return (rgb * weights).sum(dim=1, keepdim=True)


def chroma(rgb: torch.Tensor) -> torch.Tensor:
    """Return colour without luminance: RGB minus luma, B x 3 x H x W."""
    return rgb - luminance(rgb)


def _blurred(x: torch.Tensor, size: int, sigma: float) -> torch.Tensor:
    t = torch.arange(size, dtype=x.dtype, device=x.device) - (size - 1) / 2
    kernel = torch.exp(-t * t / (2 * sigma * sigma))
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)
    r = size // 2
    x = functional.pad(x, (r, r, r, r), mode='replicate')
    return functional.conv2d(functional.conv2d(x, kernel), kernel.transpose(2, 3))


def _moments(x: torch.Tensor, y: torch.Tensor, size: int,
             stride: int) -> tuple[torch.Tensor, ...]:
    """
    Local means, variances and covariance in square windows.

    Box windows on a stride cost a tenth of Gaussian ones at every pixel; over random crops every
    window position is met.
    """
    means = functional.avg_pool2d(torch.cat([x, y, x * x, y * y, x * y], 1), size, stride)
    mx, my, xx, yy, xy = means.chunk(5, dim=1)
    return mx, my, (xx - mx * mx).clamp(min=0), (yy - my * my).clamp(min=0), xy - mx * my


def structure_loss(x: torch.Tensor, y: torch.Tensor, scales: int = 4) -> torch.Tensor:
    """
    1 - MS-SSIM in its additive form (Wang et al., 2003); luminance at the last scale only.

    One value an image, B. Small images have fewer scales: the 8x8 window must fit into the last.
    """
    scales = max(s for s in range(1, scales + 1) if s == 1 or min(x.shape[2:]) >> (s - 1) >= 8)
    total = 0.0
    for scale in range(scales):
        mx, my, sx, sy, sxy = _moments(x, y, 8, 4 if scale == 0 else 2)
        similar = (2 * sxy + 9e-4) / (sx + sy + 9e-4)
        if scale == scales - 1:
            similar = similar * (2 * mx * my + 1e-4) / (mx * mx + my * my + 1e-4)
        total = total + 1 - similar.mean((1, 2, 3))
        if scale < scales - 1:
            x, y = functional.avg_pool2d(x, 2), functional.avg_pool2d(y, 2)
    return total / scales


def fidelity_loss(reference: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """1 - VIF in the pixel domain (Sheikh and Bovik, 2006), of `reference`; one an image, B."""
    told, all_of_it, sensor = 0.0, 0.0, 2 / 255 ** 2
    for size, stride in ((8, 4), (5, 2), (3, 1)):
        _, _, s1, s2, s12 = _moments(reference, image, size, stride)
        gain = (s12 / (s1 + 1e-7)).clamp(min=0)
        noise = (s2 - gain * s12).clamp(min=1e-7)
        told = told + torch.log1p(gain * gain * s1 / (noise + sensor)).sum((1, 2, 3))
        all_of_it = all_of_it + torch.log1p(s1 / sensor).sum((1, 2, 3))
        reference, image = (functional.avg_pool2d(t, 2) for t in (reference, image))
    return 1 - told / all_of_it.clamp(min=1.0)


def worse_told(one: torch.Tensor, other: torch.Tensor,
               weight: torch.Tensor | float = 1.0) -> torch.Tensor:
    """
    Join the losses against both sources (frames x crops): the worse of each frame, mostly.

    A mean over the batch would let one frame copy its visible image and the next its thermal one.
    `weight` (frames) counts some frames more.
    """
    one, other = one.mean(dim=1), other.mean(dim=1)
    return (weight * (torch.maximum(one, other) + 0.25 * (one + other))).mean()


def gradients(x: torch.Tensor) -> torch.Tensor:
    """Sobel derivatives divided by 4 (so that they match differences), B x 2C x H-2 x W-2."""
    dx, dy = x[..., 2:] - x[..., :-2], x[..., 2:, :] - x[..., :-2, :]
    gx = dx[..., :-2, :] + 2 * dx[..., 1:-1, :] + dx[..., 2:, :]
    gy = dy[..., :-2] + 2 * dy[..., 1:-1] + dy[..., 2:]
    return torch.cat([gx, gy], dim=1) / 4


def gradient_loss(fused: torch.Tensor, visible: torch.Tensor,
                  thermal: torch.Tensor) -> torch.Tensor:
    """L1 to the stronger of the sources' gradients, sign kept (luminance images)."""
    gf, gv, gt = gradients(fused), gradients(visible), gradients(thermal)
    return (gf - torch.where(gv.abs() > gt.abs(), gv, gt)).abs().mean()


def edge_loss(fused: torch.Tensor, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """
    1 - Q_AB/F (Xydeas and Petrovic, 2000), with gentler slopes, that pull from further away.

    How well the size and the orientation of both sources' edges are kept, strong edges first.
    """
    (x, size), *sources = ((g, g.square().sum(1).add(1e-6).sqrt()) for g in map(
        gradients, (fused, one, other)))
    kept = total = 0.0
    for source, there in sources:
        ratio = torch.minimum(size, there) / torch.maximum(size, there)
        cosine = (x * source).sum(1).abs() / (size * there)
        angle = 1 - torch.acos(cosine.clamp(max=0.9999)) * (2 / torch.pi)
        quality = torch.sigmoid(8 * (ratio - 0.5)) * torch.sigmoid(12 * (angle - 0.8))
        kept, total = kept + (quality * there).sum(), total + there.sum()
    # a flawless edge has the sigmoids at 4 and 2.4
    return 1 - kept / total / 0.9003


def max_loss(fused: torch.Tensor, visible: torch.Tensor, thermal: torch.Tensor) -> torch.Tensor:
    """L1 to the brighter source."""
    return (fused - torch.maximum(visible, thermal)).abs().mean()


def warmth_loss(fused: torch.Tensor, thermal: torch.Tensor, keep: float = 0.9) -> torch.Tensor:
    """Penalise warm targets whose contrast to their surroundings falls below `keep` of theirs."""
    def contrast(x: torch.Tensor) -> torch.Tensor:
        small = functional.avg_pool2d(x, 4)     # targets are larger than 4 px, blurs are wide
        return small - _blurred(small, 13, 3.0)
    there = contrast(thermal)
    mask = (there / 0.25).clamp(0, 1)
    missing = functional.relu(keep * there - contrast(fused))
    return (mask * missing).sum() / mask.sum().clamp(min=1.0)


def target_loss(fused: torch.Tensor, thermal: torch.Tensor, warm: torch.Tensor,
                keep: float = 0.9, enough: int = 40) -> torch.Tensor:
    """
    Penalise warm targets whose mean contrast to what surrounds them falls below `keep` of theirs.

    `warm` is B x 2, the masks of targets and of their surroundings (pairs.warm_targets); crops in
    which either has fewer than `enough` pixels do not count.
    """
    sizes = warm.sum((2, 3))
    def contrast(x: torch.Tensor) -> torch.Tensor:
        inside, around = ((x * warm).sum((2, 3)) / sizes.clamp(min=1)).unbind(dim=1)
        return inside - around
    there = contrast(thermal)
    counts = ((sizes >= enough).all(dim=1) & (there > 0.04)).float()
    missing = functional.relu(keep - contrast(fused) / there.clamp(min=0.04))
    return (counts * missing).sum() / counts.sum().clamp(min=1)


def restoration_loss(restored: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
    """L1 of pixels and of gradients."""
    return (restored - clean).abs().mean() + (gradients(restored) - gradients(clean)).abs().mean()


def decibel_loss(restored: torch.Tensor, clean: torch.Tensor, least: float = 2 / 255,
                 ) -> torch.Tensor:
    """
    Mean of the images' negative PSNR in dB, as NAFNet (Chen et al., ECCV 2022) is trained.

    To L1 a dark frame's error is ten times a rainy one's; here a dB is a dB. Errors below `least`
    (root mean square) hardly count.
    """
    squared = (restored - clean).square().mean((1, 2, 3))
    return 10 * torch.log10(squared + least ** 2).mean()


def artefact_loss(fused: torch.Tensor, visible: torch.Tensor, thermal: torch.Tensor,
                  weight: torch.Tensor | float = 1.0) -> torch.Tensor:
    """
    Mean of what the fused gradient's size exceeds both sources' by, as Nabf counts it.

    Of several images the root mean square, so that the noisiest count most; `weight` (B) counts
    some of them more.
    """
    found, one, other = (gradients(x).square().sum(1).add(1e-8).sqrt()
                         for x in (fused, visible, thermal))
    beyond = (found - torch.maximum(one, other)).relu().mean((1, 2)) * weight
    return beyond.square().mean().add(1e-12).sqrt()


def weighted(table: Named, weights: dict[str, float]) -> dict[str, torch.Tensor]:
    """Compute the losses that have a weight, and 'total'."""
    unknown = set(weights) - set(table)
    if unknown:
        raise TrainingError(f'losses: {", ".join(sorted(unknown))}: unknown; choose from '
                            f'{", ".join(table)}')
    found = {name: table[name]() for name in weights}
    return {**found, 'total': sum(weights[name] * value for name, value in found.items())}
