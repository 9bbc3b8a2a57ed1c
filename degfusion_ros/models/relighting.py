# SPDX-License-Identifier: Apache-2.0
"""
How bright a dark scene was, from two estimates: ours, not the papers'.

A curve read off the whole frame (PKDM's exposure) and the network behind it, which learnt from
crops, err in ways of their own, so a mean of both errs less than either, most of all under nights
unlike those of training. Details remain the network's.
"""

import torch
from torch.nn import functional

from degfusion_ros.models.colour import luma
from degfusion_ros.models.enhancement import Enhanced, LIGHT

SHARE = 0.9         # the exposure's, settled on pairs that are held back
REACH = 2           # cells, within which details lie
_DARK, _FOG = LIGHT.index('low_light'), LIGHT.index('fog')


def relight(enhanced: Enhanced, change: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """
    Return what takes the light of restored images towards the exposure's, B x 1 x h x w.

    An image is PKDM's with `change` (B x 16 x h x w) and `shift` (B x 3 x h x w, RGB) on top. 0
    where no exposure acts: by day, and where none was trained.
    """
    shift = shift.float()
    restored = (enhanced.base.float() + change.float()).mean(1, keepdim=True) + \
        (shift * luma(shift).view(3, 1, 1)).sum(1, keepdim=True)
    share = share_of_exposure(enhanced.told[:, -len(LIGHT):], enhanced.tone)
    missing = functional.avg_pool2d(enhanced.light - restored, REACH, ceil_mode=True,
                                    count_include_pad=False) * share.view(-1, 1, 1, 1)
    return functional.interpolate(missing, size=change.shape[2:], mode='bilinear').to(change.dtype)


def share_of_exposure(seen: torch.Tensor, tone: torch.Tensor) -> torch.Tensor:
    """Return the share (B, 0..SHARE) of frames' exposure; what is seen is B x 4, 0..1, of LIGHT."""
    # before a veil the exposure is but half of what was wrong with the light
    return SHARE * seen[:, _DARK] * (1 - seen[:, _FOG]) * (tone != 0).any(dim=1)
