# SPDX-License-Identifier: Apache-2.0
"""All fusion metrics of a picture under their true definitions; published variants named so."""

from typing import NamedTuple

import cv2
import numpy as np

from degfusion_ros.learning import metrics_edges, metrics_likeness as likeness, metrics_statistics
from degfusion_ros.learning.metrics_warmth import hot

SIDES = ('visible', 'thermal')


class Metric(NamedTuple):
    """What a figure is and where the best is: 1 higher, -1 lower, 0 neither."""

    better: int
    what: str


# A figure of both sources also comes as NAME_visible, NAME_thermal and NAME_min (the worst-told
# source; MSE_max), so that copying one source cannot win.
METRICS = {
    'EN': Metric(0, 'entropy, bits'),
    'SD': Metric(0, 'standard deviation, grey levels'),
    'SF': Metric(0, 'spatial frequency, grey levels'),
    'AG': Metric(0, 'average gradient, grey levels'),
    'MI': Metric(1, 'mutual information with both sources, sum, bits'),
    'VIF': Metric(1, 'visual information fidelity (pixel domain), sum'),
    'Qabf': Metric(1, "the sources' edges kept, 0..0.975"),
    'Nabf': Metric(-1, 'artefacts: edges that no source has'),
    'CC': Metric(1, "Pearson's correlation, mean"),
    'SCD': Metric(1, 'sum of the correlations of differences'),
    'MSE': Metric(-1, 'mean squared error on the scale 0..1, mean'),
    'PSNR': Metric(1, 'of that error, dB'),
    'SSIM': Metric(1, 'structural similarity, mean'),
    'MS_SSIM': Metric(1, 'multi-scale structural similarity, mean'),
    'hot': Metric(1, 'share kept of the contrast of the hottest 2 %'),
    'PSNR_published': Metric(1, '10 log10(255 / sqrt(MSE)) with the MSE of 0..1 images, as '
                                'TG-ECNet prints it: half the dB of PSNR, plus 24.07'),
    'Nabf_swapped': Metric(-1, 'Nabf with the fused image for the first source and the visible '
                               'one for the fused, as a common toolbox calls it'),
}
BOTH_SOURCES = ('MI', 'VIF', 'Qabf', 'CC', 'SCD', 'MSE', 'PSNR', 'SSIM', 'MS_SSIM')


def worst(name: str) -> str:
    """Return the key of a metric's figure for the worst-told source."""
    return 'MSE_max' if name == 'MSE' else f'{name}_min'


def better(key: str) -> int:
    """Return where the best of any key of `measure` is: 1 higher, -1 lower, 0 neither."""
    for suffix in ('_visible', '_thermal', '_min', '_max'):
        key = key.removesuffix(suffix)
    return METRICS[key].better


def measure(fused: np.ndarray, visible: np.ndarray, thermal: np.ndarray) -> dict[str, float]:
    """
    Measure a fused image against its two sources.

    Images are uint8 of one size, HxWx3 RGB (measured on their BT.601 luma) or HxW. Returns every
    metric of `METRICS`, and per source and for the worst source those of `BOTH_SOURCES`; nan where
    an image is too small for a measure or has nothing to measure. Raises ValueError.
    """
    fused, visible, thermal = (_grey(x) for x in (fused, visible, thermal))
    if not fused.shape == visible.shape == thermal.shape:
        raise ValueError(f'images of several sizes: fused {fused.shape}, visible {visible.shape}, '
                         f'thermal {thermal.shape}')
    a, b = visible, thermal
    told = {'EN': metrics_statistics.entropy(fused), 'SD': metrics_statistics.deviation(fused),
            'SF': metrics_statistics.spatial_frequency(fused),
            'AG': metrics_statistics.average_gradient(fused)}
    q = metrics_edges.qabf(a, b, fused)
    error = [likeness.squared_error(x, fused) for x in (a, b)]
    of_each = {
        'MI': [likeness.mutual_information(x, fused) for x in (a, b)],
        'VIF': [likeness.vif(x, fused) for x in (a, b)],
        'Qabf': q[1:],
        'CC': [likeness.correlation(x, fused) for x in (a, b)],
        'SCD': [likeness.difference_correlation(a, b, fused),
                likeness.difference_correlation(b, a, fused)],
        'MSE': error,
        'PSNR': [likeness.psnr(e) for e in error],
        'SSIM': [likeness.ssim(x, fused) for x in (a, b)],
        'MS_SSIM': [likeness.ms_ssim(x, fused) for x in (a, b)],
    }
    for name, each in of_each.items():
        told[name] = sum(each) / (1 if name in ('MI', 'VIF', 'SCD') else 2)
        told |= {f'{name}_{side}': value for side, value in zip(SIDES, each)}
        told[worst(name)] = float(max(each) if name == 'MSE' else np.min(each))
    told |= {'Qabf': q[0], 'PSNR': likeness.psnr(told['MSE']), 'hot': hot(b, fused),
             'Nabf': metrics_edges.nabf(a, b, fused),
             'PSNR_published': likeness.psnr(told['MSE']) / 2 + 10 * np.log10(255),
             'Nabf_swapped': metrics_edges.nabf(fused, b, a)}
    return {name: float(value) for name, value in told.items()}


def _grey(image: np.ndarray) -> np.ndarray:
    if image.dtype != np.uint8:
        raise ValueError(f'image of {image.dtype}, not uint8')
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image
