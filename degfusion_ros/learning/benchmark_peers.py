# SPDX-License-Identifier: Apache-2.0
"""What stands beside the networks: a fixed reference in OpenCV, and anybody's Python callable."""

from collections.abc import Callable
import importlib
import os
import sys

import cv2
import numpy as np

Fuse = Callable[[np.ndarray, np.ndarray], np.ndarray]   # uint8 HxWx3 RGB, uint8 HxW -> HxWx3
REFERENCE = 'laplacian_pyramid'
LEVELS = 4


class BenchmarkError(RuntimeError):
    """A benchmark that cannot be run; one line says why and what to do."""


def laplacian_pyramid(visible: np.ndarray, thermal: np.ndarray) -> np.ndarray:
    """
    Fuse the luminance in a Laplacian pyramid of four levels, float32, on OpenCV alone.

    uint8 HxWx3 RGB and uint8 HxW in, uint8 HxWx3 RGB out. Of the details the stronger is taken,
    of the rest the mean; the colour is the visible image's. What it costs is the yardstick that
    times of different machines are compared by.
    """
    colour = cv2.cvtColor(visible.astype(np.float32) / 255, cv2.COLOR_RGB2YCrCb)
    pair, details = (colour[..., 0].copy(), thermal.astype(np.float32) / 255), []
    for _ in range(LEVELS - 1):
        size = pair[0].shape[1::-1]
        small = [cv2.pyrDown(image) for image in pair]
        a, b = (image - cv2.pyrUp(s, dstsize=size) for image, s in zip(pair, small))
        details.append(np.where(np.abs(a) > np.abs(b), a, b))
        pair = small
    fused = (pair[0] + pair[1]) / 2
    for detail in reversed(details):
        fused = cv2.pyrUp(fused, dstsize=detail.shape[1::-1]) + detail
    colour[..., 0] = fused
    return cv2.convertScaleAbs(cv2.cvtColor(colour, cv2.COLOR_YCrCb2RGB).clip(0, 1), alpha=255)


def load_peer(name: str) -> Fuse:
    """
    Import `module:callable`, also from the current folder; BenchmarkError when it is not there.

    The callable takes uint8 HxWx3 RGB and uint8 HxW and returns HxWx3.
    """
    module, _, attribute = name.partition(':')
    if not module or not attribute:
        raise BenchmarkError(f'peer {name!r}: write it as module:callable')
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = importlib.import_module(module)
        for part in attribute.split('.'):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise BenchmarkError(f'peer {name!r}: {error}') from error
    if not callable(found):
        raise BenchmarkError(f'peer {name!r}: {type(found).__name__}, not a callable')
    return found


def pair(size: tuple[int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Make a pair of textured pictures of (height, width): uint8 HxWx3 and uint8 HxW."""
    rng = np.random.default_rng(seed)
    height, width = size
    coarse = rng.integers(0, 256, (height // 16 + 2, width // 16 + 2, 4), dtype=np.uint8)
    fine = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(fine[..., :3]), np.ascontiguousarray(fine[..., 3])
