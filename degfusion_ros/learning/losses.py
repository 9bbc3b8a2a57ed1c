# SPDX-License-Identifier: Apache-2.0
"""
Differentiable losses of the fusion network.

Images are B x C x H x W in 0..1. `max_loss` and `gradient_loss` are the paper's (Eq. 15-18 with the
clean sources in place of PKDM's own outputs); `structure_loss`, `fidelity_loss` and `warmth_loss`
keep what those two lose: the weaker source's structure and the contrast of warm targets.
"""

import torch
from torch.nn import functional

_LUMA = (0.299, 0.587, 0.114)


def luminance(rgb: torch.Tensor) -> torch.Tensor:
    """Return BT.601 luma, B x 1 x H x W."""
    weights = rgb.new_tensor(_LUMA).view(1, 3, 1, 1)
    return (rgb * weights).sum(dim=1, keepdim=True)


def chroma(rgb: torch.Tensor) -> torch.Tensor:
    """Return colour without luminance: RGB minus luma, B x 3 x H x W."""
    return rgb - luminance(rgb)


def _gaussian(x: torch.Tensor, size: int, sigma: float, pad: bool = False) -> torch.Tensor:
    t = torch.arange(size, dtype=x.dtype, device=x.device) - (size - 1) / 2
    kernel = torch.exp(-t * t / (2 * sigma * sigma))
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1).expand(x.shape[1], 1, 1, -1)
    if pad:
        r = size // 2
        x = functional.pad(x, (r, r, r, r), mode='replicate')
    x = functional.conv2d(x, kernel, groups=x.shape[1])
    return functional.conv2d(x, kernel.transpose(2, 3), groups=x.shape[1])


def _moments(x: torch.Tensor, y: torch.Tensor, size: int, sigma: float):
    means = _gaussian(torch.cat([x, y, x * x, y * y, x * y], 1), size, sigma)
    mx, my, xx, yy, xy = means.chunk(5, dim=1)
    return mx, my, (xx - mx * mx).clamp(min=0), (yy - my * my).clamp(min=0), xy - mx * my


def structure_loss(x: torch.Tensor, y: torch.Tensor, scales: int = 4) -> torch.Tensor:
    """
    1 - MS-SSIM in its additive form (Wang et al., 2003); luminance at the last scale only.

    Small images have fewer scales: the 11x11 window must fit into the last.
    """
    scales = max(s for s in range(1, scales + 1) if s == 1 or min(x.shape[2:]) >> (s - 1) >= 11)
    total = 0.0
    for scale in range(scales):
        mx, my, sx, sy, sxy = _moments(x, y, 11, 1.5)
        similar = (2 * sxy + 9e-4) / (sx + sy + 9e-4)
        if scale == scales - 1:
            similar = similar * (2 * mx * my + 1e-4) / (mx * mx + my * my + 1e-4)
        total = total + 1 - similar.mean()
        if scale < scales - 1:
            x, y = functional.avg_pool2d(x, 2), functional.avg_pool2d(y, 2)
    return total / scales


def fidelity_loss(reference: torch.Tensor, image: torch.Tensor, scales: int = 3) -> torch.Tensor:
    """1 - VIF in the pixel domain (Sheikh and Bovik, 2006): information lost about `reference`."""
    told, all_of_it, sensor = 0.0, 0.0, 2 / 255 ** 2
    for scale in range(scales):
        size = (9, 5, 3)[min(scale, 2)]
        _, _, s1, s2, s12 = _moments(reference, image, size, size / 5)
        gain = (s12 / (s1 + 1e-7)).clamp(min=0)
        noise = (s2 - gain * s12).clamp(min=1e-7)
        told = told + torch.log1p(gain * gain * s1 / (noise + sensor)).sum()
        all_of_it = all_of_it + torch.log1p(s1 / sensor).sum()
        reference, image = (functional.avg_pool2d(t, 2) for t in (reference, image))
    return 1 - told / all_of_it.clamp(min=1.0)


def gradients(x: torch.Tensor) -> torch.Tensor:
    """Sobel derivatives divided by 4 (so that they match differences), B x 2C x H-2 x W-2."""
    k = x.new_tensor([[-1., 0., 1.], [-2., 0., 2.], [-1., 0., 1.]]) / 4
    kernel = torch.stack([k, k.T])[:, None].repeat(x.shape[1], 1, 1, 1)
    return functional.conv2d(x, kernel, groups=x.shape[1])


def gradient_loss(fused: torch.Tensor, visible: torch.Tensor,
                  thermal: torch.Tensor) -> torch.Tensor:
    """L1 to the stronger of the sources' gradients, sign kept (luminance images)."""
    gf, gv, gt = gradients(fused), gradients(visible), gradients(thermal)
    return (gf - torch.where(gv.abs() > gt.abs(), gv, gt)).abs().mean()


def max_loss(fused: torch.Tensor, visible: torch.Tensor, thermal: torch.Tensor) -> torch.Tensor:
    """L1 to the brighter source."""
    return (fused - torch.maximum(visible, thermal)).abs().mean()


def warmth_loss(fused: torch.Tensor, thermal: torch.Tensor, keep: float = 0.9) -> torch.Tensor:
    """Penalise warm targets whose contrast to their surroundings falls below `keep` of theirs."""
    def contrast(x: torch.Tensor) -> torch.Tensor:
        return _gaussian(x, 9, 1.5, pad=True) - _gaussian(x, 49, 12.0, pad=True)
    there = contrast(thermal)
    mask = (there / 0.25).clamp(0, 1)
    missing = functional.relu(keep * there - contrast(fused))
    return (mask * missing).sum() / mask.sum().clamp(min=1.0)


def restoration_loss(restored: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
    """L1 of pixels and of gradients."""
    return (restored - clean).abs().mean() + (gradients(restored) - gradients(clean)).abs().mean()
