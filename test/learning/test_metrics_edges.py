# SPDX-License-Identifier: Apache-2.0
"""Qabf and Nabf: hand-computed values, the definitions pixel by pixel, and what must hold."""

from math import atan, exp, hypot, pi

import numpy as np
import pytest
from samples import A, AVERAGE, B, noisy

from degfusion_ros.learning.metrics_edges import nabf, qabf

BEST = 0.9994 / (1 + np.exp(-7.5)) * 0.9879 / (1 + np.exp(-4.4))    # both sigmoids at 1
FLAT = np.zeros_like(A)       # any other grey has an edge: to the zeros around the picture


def mirrored(i, n):
    return -i if i < 0 else 2 * (n - 1) - i if i >= n else i


def zeros(i, n):
    return i if 0 <= i < n else None


def derivatives(image, y, x, border):
    """Return Sobel's across and down at one pixel, both times eight."""
    def at(dy, dx):
        row, column = border(y + dy, image.shape[0]), border(x + dx, image.shape[1])
        return 0 if row is None or column is None else int(image[row, column])
    across = sum(k * (at(d, 1) - at(d, -1)) for d, k in ((-1, 1), (0, 2), (1, 1)))
    down = sum(k * (at(1, d) - at(-1, d)) for d, k in ((-1, 1), (0, 2), (1, 1)))
    return across, down


def plain_nabf(visible, thermal, fused):
    """Nabf as Shreyamsha Kumar's paper defines it, on Sobel kernels divided by eight."""
    def edge(image, y, x):
        across, down = derivatives(image, y, x, mirrored)
        angle = 0.0 if across == 0 else pi / 2 if down == 0 else atan(across / down)
        return hypot(across, down) / 8, angle
    lost = total = 0.0
    for y in range(fused.shape[0]):
        for x in range(fused.shape[1]):
            strength, angle = edge(fused, y, x)
            sources = [edge(source, y, x) for source in (visible, thermal)]
            stronger = all(strength > there for there, _ in sources)
            for there, turned in sources:
                weight = there ** 1.5 if there >= 2 else 0.001
                ratio = 0.0 if 0 in (there, strength) else \
                    min(there, strength) / max(there, strength)
                alike = abs(abs(turned - angle) - pi / 2) * 2 / pi
                kept = (0.9999 / (1 + exp(-19 * (ratio - 0.5)))
                        * 0.9995 / (1 + exp(-22 * (alike - 0.5)))) ** 0.5
                lost += (1 - kept) * weight if stronger else 0.0
                total += weight
    return lost / total


def plain_qabf(visible, thermal, fused):
    """Qabf as Xydeas and Petrovic define it, zeros around the picture; of both and of each."""
    def edge(image, y, x):
        across, down = derivatives(image, y, x, zeros)
        return hypot(across, down), pi / 2 if across == 0 else atan(-down / across)
    kept, there = [0.0, 0.0], [0.0, 0.0]
    for y in range(fused.shape[0]):
        for x in range(fused.shape[1]):
            strength, angle = edge(fused, y, x)
            for i, source in enumerate((visible, thermal)):
                own, turned = edge(source, y, x)
                ratio = min(own, strength) / max(own, strength) if max(own, strength) else 0.0
                alike = 1 - abs(turned - angle) / (pi / 2)
                kept[i] += own * (0.9994 / (1 + exp(-15 * (ratio - 0.5)))
                                  * 0.9879 / (1 + exp(-22 * (alike - 0.8))))
                there[i] += own
    return sum(kept) / sum(there), kept[0] / there[0], kept[1] / there[1]


@pytest.fixture(params=['noise', 'faint', 'levels'])
def triple(request):
    """Return sources and a fused picture: all unlike, near the threshold, with equal edges."""
    rng = np.random.default_rng(7)
    a, b, f = rng.integers(0, {'noise': 256, 'faint': 9, 'levels': 2}[request.param], (3, 11, 14))
    if request.param == 'levels':       # flat places, edges straight across and straight down
        a, b, f = (np.repeat(np.repeat(x[:4, :5], 3, axis=0), 3, axis=1) * 90 for x in (a, b, f))
    return [x.astype(np.uint8) for x in (a, b, f)]


def test_nabf_is_the_published_definition_pixel_by_pixel(triple):
    expected = plain_nabf(*triple)
    assert expected > 0.01 and nabf(*triple) == pytest.approx(expected, rel=1e-9)


def test_qabf_is_the_published_definition_pixel_by_pixel(triple):
    assert qabf(*triple) == pytest.approx(plain_qabf(*triple), rel=1e-9)


def test_a_copy_of_both_sources_keeps_all_edges():
    assert qabf(A, A, A) == pytest.approx((BEST, BEST, BEST))
    assert nabf(A, A, A) == 0


def test_a_copy_of_one_source_serves_it_alone():
    both, visible, thermal = qabf(A, B, A)
    assert visible == pytest.approx(BEST) and thermal < 0.3 and thermal < both < visible


def test_nothing_is_kept_of_edges_in_a_flat_image():
    assert max(qabf(A, B, FLAT)) < 1e-3 and nabf(A, B, FLAT) == 0
    assert qabf(FLAT, FLAT, A) == (0, 0, 0)


def test_half_an_edge_is_a_point_of_the_strength_curve():
    # both have the edge of the zero border, equally strong relative to their level
    step = np.zeros((40, 40), np.uint8)
    step[:, 20:] = 200
    half = (step // 2).astype(np.uint8)
    expected = 0.9994 / (1 + np.exp(-15 * (0.5 - 0.5))) * 0.9879 / (1 + np.exp(-4.4))
    assert qabf(step, step, half)[0] == pytest.approx(expected)


def test_swapping_the_sources_changes_nothing():
    both, visible, thermal = qabf(A, B, AVERAGE)
    assert qabf(B, A, AVERAGE) == pytest.approx((both, thermal, visible))
    assert nabf(A, B, AVERAGE) == pytest.approx(nabf(B, A, AVERAGE))


def test_noise_is_an_artefact_and_averaging_is_none():
    scores = [nabf(A, B, noisy(AVERAGE, sigma)) for sigma in (0, 10, 40)]
    assert scores[0] < 0.02 < scores[1] < scores[2] < 1


def test_the_swapped_call_can_rank_noise_as_better():
    assert nabf(noisy(AVERAGE, 40), B, A) < nabf(AVERAGE, B, A)
