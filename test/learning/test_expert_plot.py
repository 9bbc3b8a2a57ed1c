# SPDX-License-Identifier: Apache-2.0
"""The heat maps are a picture, larger with more conditions."""

import cv2
import numpy as np

from degfusion_ros.learning.expert_plot import plot


def test_a_picture_of_any_number_of_conditions():
    layers = [f'encoder {i}' for i in range(6)]
    told = {name: np.full((6, 8), 1 / 8) for name in ('clean', 'fog', 'rain', 'night')}
    tall = cv2.imdecode(np.frombuffer(plot(told, layers), np.uint8), cv2.IMREAD_COLOR)
    low = cv2.imdecode(np.frombuffer(plot({'clean': told['clean']}, layers), np.uint8),
                       cv2.IMREAD_COLOR)
    assert tall.shape[0] > low.shape[0] and tall.std() > 5
