# SPDX-License-Identifier: Apache-2.0
"""
Figures of edges: Qabf, the share of the sources' edges that is kept, and Nabf, the artefacts.

All take grey HxW uint8 images of one size.
"""

from typing import NamedTuple

import cv2
import numpy as np

# What filter2D correlates with, so that the image is convolved with Sobel's kernel: the sign counts
# where angles wrap.
_ACROSS = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]], np.float64)


class _Edges(NamedTuple):
    strength: np.ndarray
    angle: np.ndarray       # -pi/2..pi/2


def qabf(visible: np.ndarray, thermal: np.ndarray, fused: np.ndarray) -> tuple[float, ...]:
    """
    Qabf (Xydeas and Petrovic, 2000): of both sources, the visible and the thermal one; 0..0.975.

    Each pixel's kept strength and orientation, weighted by the strength of the source's edge. 0
    where no source has an edge.
    """
    edges = [_sobel(x, cv2.BORDER_CONSTANT) for x in (visible, thermal, fused)]
    weights = [e.strength for e in edges[:2]]
    kept = [(_kept(e, edges[2]) * w).sum() for e, w in zip(edges, weights)]
    there = [w.sum() for w in weights]
    pairs = [(sum(kept), sum(there)), *zip(kept, there)]
    return tuple(float(k / t) if t > 0 else 0.0 for k, t in pairs)


def nabf(visible: np.ndarray, thermal: np.ndarray, fused: np.ndarray) -> float:
    """
    Nabf (Petrovic and Xydeas, 2005, as modified by Shreyamsha Kumar, 2013), 0..1, lower is better.

    The weight of edges that are stronger than in both sources and like in neither of them.
    """
    visible, thermal, fused = (_sobel(x, cv2.BORDER_REFLECT_101) for x in (visible, thermal, fused))
    strength = fused.strength / 8
    added = (fused.strength > visible.strength) & (fused.strength > thermal.strength)
    lost = total = 0.0
    for source in (visible, thermal):
        edge = source.strength / 8
        weight = np.where(edge >= 2, edge ** 1.5, 0.001)
        both = (edge > 0) & (strength > 0)
        ratio = np.where(both, np.minimum(edge, strength), 0) / np.where(
            both, np.maximum(edge, strength), 1)
        turned = np.abs(np.abs(source.angle - fused.angle) - np.pi / 2) * 2 / np.pi
        quality = np.sqrt(_sigmoid(ratio, 0.9999, 19, 0.5) * _sigmoid(turned, 0.9995, 22, 0.5))
        lost += (added * (1 - quality) * weight).sum()
        total += weight.sum()
    return float(lost / total)


def _kept(source: _Edges, fused: _Edges) -> np.ndarray:
    low = np.minimum(source.strength, fused.strength)
    high = np.maximum(source.strength, fused.strength)
    ratio = np.where(high > 0, low / np.where(high > 0, high, 1), 0)
    turned = 1 - np.abs(source.angle - fused.angle) / (np.pi / 2)
    return _sigmoid(ratio, 0.9994, 15, 0.5) * _sigmoid(turned, 0.9879, 22, 0.8)


def _sigmoid(x: np.ndarray, top: float, slope: float, middle: float) -> np.ndarray:
    return top / (1 + np.exp(-slope * (x - middle)))


def _sobel(image: np.ndarray, border: int) -> _Edges:
    x = image.astype(np.float64)
    dx = cv2.filter2D(x, -1, _ACROSS, borderType=border)
    dy = cv2.filter2D(x, -1, -_ACROSS.T, borderType=border)
    # Orientation, not direction: an edge and its negative are the same edge.
    angle = np.where(dx == 0, np.pi / 2, np.arctan(dy / np.where(dx == 0, 1, dx)))
    return _Edges(np.hypot(dx, dy), angle)
