# SPDX-License-Identifier: Apache-2.0
"""
How bright a dark scene was, from two estimates: ours, not the papers'.

A curve read off the whole frame (PKDM's exposure) and the network behind it, which learnt from
crops, err in ways of their own, so a mean of both errs less than either, most of all under nights
unlike those of training. Details remain the network's.
"""

import torch
from torch.nn import functional

from degfusion_ros.models.colour import LUMA
from degfusion_ros.models.enhancement import Enhanced, FAINTEST
from degfusion_ros.models.labels import VISIBLE_LABELS

SHARE = 2 / 3       # the exposure's, settled on pairs that are held back
REACH = 4           # cells, within which details lie


def relight(enhanced: Enhanced, change: torch.Tensor, shift: torch.Tensor,
            judged: torch.Tensor) -> torch.Tensor:
    """
    Return what takes the light of a restored image towards the exposure's, B x 1 x h x w.

    The image is PKDM's with `change` (B x 16 x h x w) and `shift` (B x 3 x h x w, RGB) on top;
    `judged` (F x 10) are the severities of each of F equal runs of images. 0 without an exposure.
    """
    if enhanced.light is None:
        return torch.zeros_like(change[:, :1])
    luma = shift.new_tensor(LUMA, dtype=torch.float32).view(1, 3, 1, 1)
    restored = (enhanced.base.float() + change.float()).mean(1, keepdim=True) + \
        (shift.float() * luma).sum(1, keepdim=True)
    share = share_of_exposure(judged).repeat_interleave(len(change) // len(judged), dim=0)
    missing = functional.avg_pool2d(enhanced.light - restored, REACH, ceil_mode=True,
                                    count_include_pad=False) * share.view(-1, 1, 1, 1)
    return functional.interpolate(missing, size=change.shape[2:], mode='bilinear').to(change.dtype)


def share_of_exposure(judged: torch.Tensor) -> torch.Tensor:
    """Return the share, F of 0..SHARE, of severities F x 10: in the dark, but not in fog."""
    # before a veil the exposure is but half of what was wrong with the light
    dark, fog = (judged[:, VISIBLE_LABELS.index(name)].float() / FAINTEST
                 for name in ('low_light', 'fog'))
    return SHARE * (dark - 1).clamp(0, 1) * (1 - fog).clamp(0, 1)
