# SPDX-License-Identifier: Apache-2.0
"""Losses on images whose loss a hand can compute."""

import math

import pytest
import torch

from degfusion_ros.learning import losses


def row(*values):
    return torch.tensor(values).view(1, 1, 1, -1)


def slope(by):
    """Return a 12x12 image that rises by `by` a column: a gradient of twice that across."""
    return (by * torch.arange(12.0)).expand(1, 1, 12, 12)


def close(found, expected):
    assert found.item() == pytest.approx(expected, abs=1e-5)


def test_max_loss_is_the_distance_to_the_brighter_source_from_either_side():
    visible, thermal = row(0.2, 0.8, 0.3), row(0.5, 0.1, 0.3)
    close(losses.max_loss(row(0.4, 0.9, 0.3), visible, thermal), 0.2 / 3)
    close(losses.max_loss(visible, visible, thermal), 0.1)
    close(losses.max_loss(thermal, visible, thermal), 0.7 / 3)


def test_gradient_loss_is_the_distance_to_the_steeper_source_with_its_sign():
    visible, thermal = slope(0.02), slope(-0.05)
    for sources in ((visible, thermal), (thermal, visible)):
        close(losses.gradient_loss(thermal + 0.3, *sources), 0)     # brightness does not count
        close(losses.gradient_loss(visible, *sources), 0.14 / 2)    # across, and nothing along
        close(losses.gradient_loss(-thermal, *sources), 0.2 / 2)
        close(losses.gradient_loss(torch.zeros_like(visible), *sources), 0.1 / 2)
    turned = thermal.transpose(2, 3)
    # each source is the steeper one in its own direction
    close(losses.gradient_loss(visible + turned, visible, turned), 0)
    close(losses.gradient_loss(visible, visible, turned), 0.1 / 2)


def test_restoration_loss_is_that_of_levels_plus_that_of_slopes():
    flat = torch.full((1, 1, 12, 12), 0.5)
    close(losses.restoration_loss(flat + 0.1, flat), 0.1)
    close(losses.restoration_loss(flat - 0.1, flat), 0.1)
    close(losses.restoration_loss(slope(0.02), slope(0)), 0.02 * 5.5 + 0.04 / 2)
    close(losses.restoration_loss(slope(0.02), slope(0.05)), 0.03 * 5.5 + 0.06 / 2)


@pytest.fixture
def warm():
    """Return two thermal crops, contrasts 0.8 and 0.4, and the masks of targets and around."""
    masks = torch.zeros(2, 2, 24, 24)
    masks[:, 0, 8:16, 8:16] = 1
    masks[:, 1, 4:20, 4:20] = 1 - masks[:, 0, 4:20, 4:20]
    heat = 0.1 + torch.tensor([0.8, 0.4]).view(2, 1, 1, 1) * masks[:, :1]
    heat[..., 0, :] = 1.0       # in neither mask: does not count
    return heat, masks


def test_target_loss_is_the_share_of_the_contrast_that_is_missing(warm):
    heat, masks = warm
    close(losses.target_loss(heat, heat, masks), 0)
    close(losses.target_loss(1.5 * heat, heat, masks), 0)           # more is no fault
    close(losses.target_loss(0.95 * heat + 0.05, heat, masks), 0)   # nor is a little less
    close(losses.target_loss(heat / 2 + 0.3, heat, masks), 0.9 - 0.5)
    close(losses.target_loss(torch.zeros_like(heat), heat, masks), 0.9)
    close(losses.target_loss(1 - heat, heat, masks), 0.9 + 1)
    one = torch.cat([heat[:1], 0.25 * heat[1:]])
    close(losses.target_loss(one, heat, masks), (0.9 - 0.25) / 2)
    close(losses.target_loss(heat / 2, heat, masks, keep=0.7), 0.7 - 0.5)


def test_targets_too_small_or_too_faint_do_not_count(warm):
    heat, masks = warm
    flat = torch.zeros_like(heat)
    for i in (0, 1):            # the target's own mask, that of its surroundings
        small = masks.clone()
        small[0, i] = 0
        small[0, i, 8:14, 8:14] = 1     # 36 of 40 px
        fused = torch.cat([flat[:1], heat[1:] / 2])
        close(losses.target_loss(fused, heat, small), 0.9 - 0.5)
        close(losses.target_loss(flat[:1], heat[:1], small[:1]), 0)
    close(losses.target_loss(flat, 0.04 * heat, masks), 0)


def test_artefact_loss_is_the_slope_beyond_both_sources_worst_image_first():
    one, other = slope(0.02), slope(0.05)
    for sources in ((one, other), (other, one)):
        assert losses.artefact_loss(slope(0.05), *sources) < 1e-5
        assert losses.artefact_loss(slope(0), *sources) < 1e-5     # what is lost is no artefact
        close(losses.artefact_loss(slope(0.08), *sources), 0.16 - 0.1)
        close(losses.artefact_loss(slope(-0.08), *sources), 0.16 - 0.1)
    two = [torch.cat([x, x]) for x in (one, other)]
    fused = torch.cat([slope(0.08), slope(0.05)])
    close(losses.artefact_loss(fused, *two), 0.06 / math.sqrt(2))
    close(losses.artefact_loss(fused, *two, torch.tensor([3.0, 1.0])), 0.18 / math.sqrt(2))


def test_decibel_loss_is_the_negative_psnr():
    flat = torch.full((1, 1, 12, 12), 0.5)
    close(losses.decibel_loss(flat + 0.1, flat, least=0), -20)
    close(losses.decibel_loss(flat - 0.01, flat, least=0), -40)
    close(losses.decibel_loss(flat, flat, least=0.01), -40)


def test_the_worse_told_source_counts_five_quarters_and_the_better_one_a_quarter():
    one, other = torch.tensor([[0.2, 0.4], [0.1, 0.1]]), torch.tensor([[0.1, 0.1], [0.4, 0.6]])
    close(losses.worse_told(one[:1], other[:1]), 0.3 + 0.25 * 0.4)
    close(losses.worse_told(one, other), (0.3 + 0.25 * 0.4 + 0.5 + 0.25 * 0.6) / 2)
    close(losses.worse_told(one, other, torch.tensor([2.0, 0.0])), 0.3 + 0.25 * 0.4)


def test_the_total_is_weighted_and_leaves_out_what_has_no_weight():
    table = {name: lambda value=value: torch.tensor(value)
             for name, value in (('a', 0.5), ('b', 2.0))}
    table['c'] = pytest.fail
    found = losses.weighted(table, {'a': 3.0, 'b': 0.25})
    assert {name: value.item() for name, value in found.items()} == \
        {'a': 0.5, 'b': 2.0, 'total': 2.0}
