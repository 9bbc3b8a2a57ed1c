# SPDX-License-Identifier: Apache-2.0
"""Tone curves: the identity at first, their derivative, and where they apply."""

from hypothesis import example, given, settings, strategies as st
import pytest
import torch

from degfusion_ros.models.tone import about, Exposure, LIMITS, slope, TERMS, Tone, toned, top

TERM = st.floats(-2, 2)


@settings(deadline=None)
@given(y=st.floats(0.02, 1), terms=st.tuples(*[TERM] * TERMS))
def test_slope_is_the_curves_derivative(y, terms):
    light = torch.full((1, 1, 1, 1), y, dtype=torch.float64, requires_grad=True)
    tone = torch.tensor([terms], dtype=torch.float64)
    toned(light, tone).sum().backward()
    torch.testing.assert_close(slope(light.detach(), tone), light.grad)


@settings(deadline=None)
@given(y=st.floats(0, 1), terms=st.tuples(*[TERM] * TERMS))
def test_a_curve_has_four_terms(y, terms):
    a, b, c, d = terms
    found = toned(torch.full((1, 1, 1, 1), y, dtype=torch.float64),
                  torch.tensor([[*terms, 9.0]], dtype=torch.float64))
    assert found.item() == pytest.approx(a + (1 + b) * y + c * y ** 0.5 + d * y * y, abs=1e-9)


@settings(deadline=None)
@given(b=TERM, c=st.floats(0, 2), d=st.floats(-2, 0))
@example(b=-1.875, c=0.09375, d=0.0)    # its top lies between black and the next even step
def test_a_curve_that_would_fall_stays_at_its_top(b, c, d):
    tone, light = torch.tensor([[0.1, b, c, d]]), torch.linspace(0, 1, 200).view(1, 1, 1, -1)
    found = toned(torch.minimum(light, top(tone)), tone)
    assert (found.diff() > -2e-3).all()         # 64 steps hit the top but for so much
    assert found.amax() == pytest.approx(toned(light, tone).amax().item(), abs=2e-3)
    below = light <= top(tone)
    assert torch.equal(found[below], toned(light, tone)[below])


def test_both_start_as_the_identity():
    exposure = Exposure(24)(torch.rand(3, 24), torch.ones(3, 1))
    assert torch.equal(exposure, torch.zeros(3, TERMS))
    prompt = Tone(8)(torch.rand(3, 8))
    assert torch.equal(prompt, torch.zeros(3, TERMS + 1))
    light = torch.rand(3, 16, 4, 4)
    assert torch.equal(toned(light, exposure), light)
    assert torch.equal(top(exposure), torch.ones(3, 1, 1, 1))


def test_an_exposure_is_bounded_and_changes_only_what_was_judged_wrong():
    torch.manual_seed(0)
    net = Exposure(24)
    torch.nn.init.normal_(net[-1].weight, std=100)
    wrong, right = net(torch.rand(2, 24), torch.tensor([[1.0], [0.0]]))
    assert wrong.abs().max() > 0.4 and torch.equal(right, torch.zeros(TERMS))
    assert (wrong.abs() <= torch.tensor(LIMITS) + 1e-6).all()


def test_nights_are_told_apart_although_all_their_statistics_are_near_zero():
    torch.manual_seed(0)
    net, seen, share = Exposure(24), torch.ones(2, 4), torch.ones(2, 1)
    torch.nn.init.normal_(net[-1].weight, std=0.5)
    dark = torch.tensor([0.02, 0.04]).view(2, 1).expand(2, 10)
    bright = dark + 0.5
    night, day = (net(about(x, seen), share).diff(dim=0).norm() for x in (dark, bright))
    assert night > 2 * day
