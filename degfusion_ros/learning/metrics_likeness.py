# SPDX-License-Identifier: Apache-2.0
"""
How much of one source the fused image holds: MI, CC, SCD, MSE, PSNR, SSIM, MS-SSIM, VIF.

All take grey HxW uint8 images of one size. Where an image is too small for a measure's windows the
result is nan.
"""

import cv2
import numpy as np
from skimage.metrics import structural_similarity

_SSIM_WINDOW, _SSIM_SIGMA = 11, 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_MS_WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])
_VIF_NOISE = 2.0        # variance of the visual noise
_VIF_SMALLEST = 41      # so that the coarsest scale has one whole window
_TINY = 1e-10


def mutual_information(source: np.ndarray, fused: np.ndarray) -> float:
    """MI (Qu et al., 2002) of one source, in bits, from the joint histogram of 256 levels."""
    pairs = source.ravel().astype(np.int64) * 256 + fused.ravel()
    joint = np.bincount(pairs, minlength=256 * 256).reshape(256, 256) / pairs.size
    apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    seen = joint > 0
    return float((joint[seen] * np.log2(joint[seen] / apart[seen])).sum())


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """CC: Pearson's coefficient, -1..1; 0 where one image is flat."""
    a, b = (x.astype(np.float64) - x.mean(dtype=np.float64) for x in (a, b))
    spread = np.sqrt((a ** 2).sum() * (b ** 2).sum())
    return float((a * b).sum() / spread) if spread > 0 else 0.0


def difference_correlation(source: np.ndarray, other: np.ndarray, fused: np.ndarray) -> float:
    """SCD (Aslantas and Bendes, 2015) of one source: r(fused - other, source), -1..1."""
    return correlation(fused.astype(np.float64) - other, source)


def squared_error(source: np.ndarray, fused: np.ndarray) -> float:
    """MSE on the scale 0..1."""
    return float((((source.astype(np.float64) - fused) / 255) ** 2).mean())


def psnr(error: float) -> float:
    """Return the PSNR in dB of a mean squared error on the scale 0..1; 100 dB where it is 0."""
    return float(10 * np.log10(1 / max(error, _TINY)))


def ssim(source: np.ndarray, fused: np.ndarray) -> float:
    """SSIM (Wang et al., 2004), Gaussian window of 11 px; HxW or HxWx3 (mean over channels)."""
    if min(source.shape[:2]) < _SSIM_WINDOW:
        return float('nan')
    return float(structural_similarity(
        source, fused, gaussian_weights=True, sigma=_SSIM_SIGMA, use_sample_covariance=False,
        data_range=255, channel_axis=2 if source.ndim == 3 else None))


def ms_ssim(source: np.ndarray, fused: np.ndarray) -> float:
    """
    MS-SSIM (Wang et al., 2003) over five scales, images of 176 px or more.

    Not torchmetrics': it averages the coarsest scale with mirrored borders, the others without.
    Where contrast and structure are negative on average, the scale counts 0.
    """
    if min(source.shape) < _SSIM_WINDOW * 2 ** (len(_MS_WEIGHTS) - 1):
        return float('nan')
    a, b = source.astype(np.float64), fused.astype(np.float64)
    kernel, score = _gauss(_SSIM_WINDOW, _SSIM_SIGMA), 1.0
    for scale, weight in enumerate(_MS_WEIGHTS):
        if scale:
            a, b = _halved(a), _halved(b)
        mean_a, mean_b, var_a, var_b, both = _moments(a, b, kernel)
        likeness = (2 * both + _C2) / (var_a + var_b + _C2)
        if scale == len(_MS_WEIGHTS) - 1:       # luminance counts at the coarsest scale alone
            likeness *= (2 * mean_a * mean_b + _C1) / (mean_a ** 2 + mean_b ** 2 + _C1)
        score *= max(likeness.mean(), 0.0) ** weight
    return float(score)


def vif(source: np.ndarray, fused: np.ndarray) -> float:
    """
    VIF in the pixel domain (VIFP; Sheikh and Bovik, 2006), four scales; 1 for a copy.

    Separable, in float64: torchmetrics' gives the same to 1e-6 in fifty times the time.
    """
    if min(source.shape) < _VIF_SMALLEST:
        return float('nan')
    a, b = source.astype(np.float64), fused.astype(np.float64)
    kept = there = 0.0
    for scale in range(4):
        size = 2 ** (4 - scale) + 1
        kernel = _gauss(size, size / 5)
        if scale:
            a, b = (np.ascontiguousarray(_smooth(x, kernel)[::2, ::2]) for x in (a, b))
        _, _, var_a, var_b, both = _moments(a, b, kernel)
        gain = both / (var_a + _TINY)
        noise = var_b - gain * both
        flat = var_a < _TINY
        gain[flat], noise[flat], var_a[flat] = 0, var_b[flat], 0
        flat = var_b < _TINY
        gain[flat] = noise[flat] = 0
        against = gain < 0
        gain[against], noise[against] = 0, var_b[against]
        noise = np.maximum(noise, _TINY)
        kept += np.log10(1 + gain ** 2 * var_a / (noise + _VIF_NOISE)).sum()
        there += np.log10(1 + var_a / _VIF_NOISE).sum()
    return float(kept / there) if there > 0 else float('nan')


def _gauss(size: int, sigma: float) -> np.ndarray:
    return cv2.getGaussianKernel(size, sigma, cv2.CV_64F)


def _smooth(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Filter where the whole window lies in the image."""
    r = len(kernel) // 2
    return cv2.sepFilter2D(image, -1, kernel, kernel)[r:-r, r:-r]


def _moments(a: np.ndarray, b: np.ndarray, kernel: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return local means of a and b, their variances and their covariance."""
    mean_a, mean_b = _smooth(a, kernel), _smooth(b, kernel)
    return (mean_a, mean_b, np.maximum(_smooth(a * a, kernel) - mean_a ** 2, 0),
            np.maximum(_smooth(b * b, kernel) - mean_b ** 2, 0),
            _smooth(a * b, kernel) - mean_a * mean_b)


def _halved(image: np.ndarray) -> np.ndarray:
    """Average 2x2 pixels, a little more of each where a side is odd."""
    return cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2),
                      interpolation=cv2.INTER_AREA)
