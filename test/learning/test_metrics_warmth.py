# SPDX-License-Identifier: Apache-2.0
"""`hot`: what an average, a copy and a maximum keep of a warm target."""

import numpy as np
import pytest

from degfusion_ros.learning.metrics_warmth import hot


def scene():
    thermal = np.full((120, 160), 40, np.uint8)
    thermal[50:66, 70:94] = 220         # 2 % of the picture
    return thermal, np.full_like(thermal, 100)


def test_copy_average_maximum_and_negative():
    thermal, visible = scene()
    assert hot(thermal, thermal) == pytest.approx(1)
    assert hot(thermal, thermal // 2 + visible // 2) == pytest.approx(0.5, abs=0.01)
    assert hot(thermal, np.maximum(thermal, visible)) == pytest.approx(120 / 180, abs=0.02)
    assert hot(thermal, 255 - thermal) == pytest.approx(-1)
    assert hot(thermal, visible) == 0


def test_nothing_warm_has_no_value():
    flat = np.full((120, 160), 40, np.uint8)
    assert np.isnan(hot(flat, flat))
    faint = flat.copy()
    faint[50:66:2, 70:94] = 41      # half a grey level
    assert np.isnan(hot(faint, flat))
