# SPDX-License-Identifier: Apache-2.0
import pytest

from degfusion_ros.stream.offsets import offsets_ns, to_reference_ns


@pytest.mark.parametrize('visible_s, thermal_s, reference, stream, wanted', [
    (0.0, 2.01, 'visible', 'thermal', 2_010_000_000),
    (0.5, 2.01, 'visible', 'thermal', 1_510_000_000),
    (0.5, 2.01, 'thermal', 'visible', -1_510_000_000),
    (0.5, 2.01, 'thermal', 'thermal', 0), (-0.027, 0.0, 'visible', 'thermal', 27_000_000)])
def test_stamps_by_the_references_clock(visible_s, thermal_s, reference, stream, wanted):
    parameters = {'sync.offset_visible_s': visible_s, 'sync.offset_thermal_s': thermal_s,
                  'sync.reference': reference}
    assert to_reference_ns(parameters, stream) == wanted
    assert offsets_ns(parameters)['thermal'] == round(thermal_s * 1000) * 1_000_000
