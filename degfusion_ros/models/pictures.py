# SPDX-License-Identifier: Apache-2.0
"""Pictures as callers hand them over and get them back: NumPy arrays, checked."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from degfusion_ros.imaging.thermal import ThermalScaler
from degfusion_ros.models.choice import FuserError
from degfusion_ros.models.transfers import download

SMALLEST = 32
SLACK = 0.01        # of float32 in 0..1, for what interpolation and rounding add


@dataclass(frozen=True)
class Fusion:
    """Results of one pair, None where not asked for: uint8 HxWx3 RGB, HxWx3 RGB and HxW."""

    fused: np.ndarray | None = None
    visible: np.ndarray | None = None
    thermal: np.ndarray | None = None


def checked(visible: np.ndarray, thermal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a pair that a network can take, raw counts scaled to 0..1; raises FuserError."""
    if visible.dtype != np.uint8 or visible.ndim != 3 or visible.shape[2] != 3:
        raise FuserError(f'visible image: {visible.dtype} {visible.shape}, not uint8 HxWx3 RGB')
    if thermal.ndim != 2 or thermal.dtype not in (np.uint8, np.uint16, np.float32):
        raise FuserError(f'thermal image: {thermal.dtype} {thermal.shape}, not uint8, uint16 or '
                         'float32 HxW')
    if visible.shape[:2] != thermal.shape:
        raise FuserError(f'thermal image: {thermal.shape[1]}x{thermal.shape[0]} where the visible '
                         f'is {visible.shape[1]}x{visible.shape[0]}; register them first')
    if min(thermal.shape) < SMALLEST:
        raise FuserError(f'images: {thermal.shape[1]}x{thermal.shape[0]}, smaller than '
                         f'{SMALLEST}x{SMALLEST}')
    if thermal.dtype == np.uint16:
        thermal = ThermalScaler()(thermal)
    elif thermal.dtype == np.float32:
        _check_range(thermal)
    return np.ascontiguousarray(visible), np.ascontiguousarray(thermal)


def _check_range(thermal: np.ndarray) -> None:
    with np.errstate(all='ignore'):
        low, high = float(thermal.min()), float(thermal.max())     # NaN if any is
    if not np.isfinite((low, high)).all():
        raise FuserError('thermal image: has pixels that are NaN or infinite, which would spread '
                         'over all of it; fill them first, as imaging.thermal.ThermalScaler does')
    if low < -SLACK or high > 1 + SLACK:
        raise FuserError(f'thermal image: float32 from {low:g} to {high:g}, not in 0..1; scale it '
                         'first, as imaging.thermal.ThermalScaler does')


def as_bytes(thermal: np.ndarray) -> np.ndarray:
    """Return a thermal image, uint8 or float32 in 0..1, as uint8."""
    if thermal.dtype == np.uint8:
        return thermal
    return (np.clip(thermal, 0, 1) * 255 + 0.5).astype(np.uint8)


def as_images(images: Sequence[torch.Tensor], size: tuple[int, int]) -> list[np.ndarray]:
    """Return the first of B x H x W x C each, cut to `size`, as HxWx3 or HxW on this machine."""
    found = [x[0, :size[0], :size[1]] for x in download(images)]
    return [np.ascontiguousarray(x[..., 0] if x.shape[2] == 1 else x) for x in found]
