# SPDX-License-Identifier: Apache-2.0
"""Losses are zero where they should be, and prefer what they are meant to prefer."""

import torch

from degfusion_ros.learning import losses


def _images():
    torch.manual_seed(0)
    base = torch.nn.functional.interpolate(torch.rand(2, 2, 12, 12), size=(120, 120),
                                           mode='bicubic').clamp(0, 1)
    return base[:, :1], base[:, 1:]


def test_identity_costs_nothing():
    x, _ = _images()
    assert losses.structure_loss(x, x).abs().max() < 1e-4
    assert losses.fidelity_loss(x, x).abs().max() < 0.02
    assert losses.gradient_loss(x, x, x) == 0 and losses.max_loss(x, x, x) == 0
    assert losses.warmth_loss(x, x) == 0 and losses.restoration_loss(x, x) == 0


def test_noise_and_blur_cost_structure_and_fidelity():
    x, _ = _images()
    noisy = x + 0.1 * torch.randn_like(x)
    worse = x + 0.3 * torch.randn_like(x)
    for loss in (losses.structure_loss, losses.fidelity_loss):
        assert loss(x, noisy).shape == (2,)
        assert 0.01 < loss(x, noisy).mean() < loss(x, worse).mean()


def test_a_dark_frame_and_a_rainy_one_are_heard_alike_in_decibel():
    x, _ = _images()
    near, far = x + 0.06, x + 0.3
    for scale in (0.5, 0.25):       # of the error: the same gain, wherever it is won
        gains = [losses.decibel_loss(y, x) - losses.decibel_loss(x + (y - x) * scale, x)
                 for y in (near, far)]
        assert torch.allclose(gains[0], gains[1], rtol=0.2)
    assert losses.decibel_loss(x, x) > losses.decibel_loss(x + 0.001, x) - 2
    mixed = losses.decibel_loss(torch.cat([near, far]), torch.cat([x, x]))
    assert torch.isclose(mixed, (losses.decibel_loss(near, x) + losses.decibel_loss(far, x)) / 2)


def test_edges_are_lost_by_blur_and_by_averaging_and_kept_by_the_stronger_source():
    visible, thermal = _images()
    thermal = thermal * 0.2
    pair = visible, thermal
    soft = torch.nn.functional.avg_pool2d(visible, 5, 1, 2)
    kept, mixed, blurred = (losses.edge_loss(x, *pair)
                            for x in (visible, (visible + thermal) / 2, soft))
    assert losses.edge_loss(visible, visible, visible) < 0.02
    assert kept < blurred < mixed < 1      # an average halves every edge


def test_averaging_loses_warm_targets_and_the_maximum_keeps_them():
    thermal = torch.full((1, 1, 120, 120), 0.1)
    thermal[..., 50:60, 50:60] = 0.9
    visible = torch.full_like(thermal, 0.15)
    average, negative = (losses.warmth_loss(x, thermal) for x in ((thermal + visible) / 2,
                                                                  1 - thermal))
    assert 0.1 < average < negative
    for kept in (thermal, torch.maximum(thermal, visible), 1.2 * thermal):
        assert losses.warmth_loss(kept, thermal) == 0


def test_chroma_ignores_brightness():
    rgb = torch.rand(1, 3, 8, 8)
    torch.testing.assert_close(losses.chroma(rgb), losses.chroma(rgb + 0.2), atol=1e-6, rtol=0)
    torch.testing.assert_close(losses.luminance(rgb.new_ones(1, 3, 2, 2)),
                               torch.ones(1, 1, 2, 2))


def test_losses_have_finite_gradients_on_flat_images():
    flat = torch.full((1, 1, 120, 120), 0.5, requires_grad=True)
    other = torch.zeros(1, 1, 120, 120)
    total = (losses.structure_loss(flat, other).sum() + losses.fidelity_loss(other, flat).sum()
             + losses.gradient_loss(flat, other, other) + losses.edge_loss(flat, other, other)
             + losses.warmth_loss(flat, other))
    total.backward()
    assert torch.isfinite(flat.grad).all()


def test_copying_one_source_is_worse_than_serving_both():
    copy = losses.worse_told(torch.tensor([[0.0]]), torch.tensor([[0.8]]))
    shared = losses.worse_told(torch.tensor([[0.4]]), torch.tensor([[0.4]]))
    # frames that copy different sources do not make each other good
    mixed = losses.worse_told(torch.tensor([[0.0], [0.8]]), torch.tensor([[0.8], [0.0]]))
    assert shared < copy and torch.isclose(mixed, copy)
