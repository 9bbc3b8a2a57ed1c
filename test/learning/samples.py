# SPDX-License-Identifier: Apache-2.0
"""Two unlike grey pictures with structure and fine texture, and noise, for tests of metrics."""

import cv2
import numpy as np


def picture(seed=0, shape=(192, 240)):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(20, 235, (shape[0] // 12, shape[1] // 12), dtype=np.uint8)
    smooth = cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return cv2.add(smooth, rng.integers(0, 8, shape, dtype=np.uint8))


def noisy(image, sigma, seed=5):
    noise = np.random.default_rng(seed).normal(0, sigma, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


A, B = picture(0), picture(1)
AVERAGE = cv2.addWeighted(A, 0.5, B, 0.5, 0)
