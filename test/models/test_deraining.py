# SPDX-License-Identifier: Apache-2.0
"""The deraining network: nothing at first, far-sighted, and in charge in rain alone."""

import pytest
import torch

from degfusion_ros.models.deraining import derained, Deraining, rain_alone, rain_and_more, SHARE
from degfusion_ros.models.enhancement import scene_statistics
from degfusion_ros.models.labels import VISIBLE_LABELS
from degfusion_ros.models.network import Sum, unit
from degfusion_ros.models.packing import pack


@pytest.fixture
def deraining() -> Deraining:
    torch.manual_seed(0)
    return Deraining((8, 8, 12)).eval().requires_grad_(False)


def _judged(**severities: float) -> torch.Tensor:
    judged = torch.zeros(1, 10)
    for label, severity in severities.items():
        judged[:, VISIBLE_LABELS.index(label)] = severity
    return judged


def test_it_starts_by_changing_nothing(deraining):
    made = deraining(torch.rand(2, 3, 16, 24))
    assert made.shape == (2, 3, 16, 24) and not made.any()


def test_a_pixel_sees_its_surroundings(deraining):
    torch.nn.init.normal_(deraining.head.weight, std=0.1)
    image = torch.rand(1, 3, 64, 64)
    before = deraining(image)
    image[..., 32, 50] += 1.0
    moved = (deraining(image) - before).abs().amax(dim=(0, 1))
    assert moved[32, 32] > 1e-9 and moved[32, 50] > moved[32, 32]


def test_what_the_whole_frame_is_like_tells_and_crops_are_told_it(deraining):
    torch.nn.init.normal_(deraining.head.weight, std=0.1)
    torch.nn.init.normal_(deraining.whole[-1].weight, std=0.5)
    image = torch.rand(1, 3, 64, 64)
    own = deraining(image)
    assert torch.equal(own, deraining(image, scene_statistics(image)))
    assert (own - deraining(image, scene_statistics(image / 2))).abs().mean() > 1e-3


def test_weights_of_before_it_was_told_load_and_do_what_they_did(deraining):
    torch.nn.init.normal_(deraining.head.weight, std=0.1)
    old = {k: v for k, v in deraining.state_dict().items() if not k.startswith('whole')}
    torch.manual_seed(5)
    other = Deraining((8, 8, 12))
    other.load_state_dict(old)
    image = torch.rand(1, 3, 16, 24)
    torch.testing.assert_close(other(image), deraining(image))
    with pytest.raises(RuntimeError, match='head'):
        other.load_state_dict({k: v for k, v in old.items() if k != 'head.weight'})


def test_a_drizzle_is_derained_a_little_and_what_has_other_faults_not_at_all():
    for severity, share in ((0.02, 0.0), (0.06, 0.0), (0.18, 0.5), (0.3, 1.0), (0.9, 1.0)):
        torch.testing.assert_close(rain_alone(_judged(rain=severity)), torch.tensor([share]))
    assert rain_alone(_judged(rain=0.8, blur=0.5)) == 1     # soft drops look like blur
    for other in set(VISIBLE_LABELS) - {'rain', 'blur'}:
        assert rain_alone(_judged(rain=0.8, **{other: 0.5})) == 0
        assert rain_alone(_judged(rain=0.8, **{other: 0.1})) == 1
        assert 0 < rain_alone(_judged(rain=0.8, **{other: 0.28})) < 1


def test_rain_and_more_is_neither_rain_alone_nor_a_drizzle_nor_anything_dry():
    for severities, there in (({'rain': 0.6, 'noise': 0.4}, True), ({'rain': 0.6}, False),
                              ({'rain': 0.6, 'blur': 0.9}, False), ({'noise': 0.8}, False),
                              ({'rain': 0.1, 'noise': 0.4}, False),
                              ({'rain': 0.2, 'fog': 0.25, 'blur': 0.9}, True)):
        assert rain_and_more(_judged(**severities)) == there
        assert not (there and rain_alone(_judged(**severities)) >= 0.5)


def test_rain_and_more_stays_for_a_little_less_of_either():
    for severities, before, after in (
            ({'rain': 0.17, 'fog': 0.4}, False, True), ({'rain': 0.1, 'fog': 0.4}, False, False),
            ({'rain': 0.6, 'fog': 0.2}, False, True), ({'rain': 0.6, 'fog': 0.15}, False, False),
            ({'rain': 0.6}, False, False), ({'rain': 0.6, 'fog': 0.25}, True, True)):
        judged = _judged(**severities)
        assert (rain_and_more(judged), rain_and_more(judged, already=True)) == (before, after)


def test_each_frame_of_a_batch_has_its_own_share(deraining):
    torch.nn.init.normal_(deraining.head.weight, std=0.1)
    image = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8)
    restored = Sum(pack(image, 4), torch.rand(4, 48, 4, 4))
    made = derained(deraining, image, restored, torch.cat([_judged(), _judged(rain=0.5)]))
    assert torch.equal(made.change[:2], restored.change[:2])
    wanted = (1 - SHARE) * restored.change[2:] + SHARE * pack(deraining(unit(image[2:])), 4)
    torch.testing.assert_close(made.change[2:], wanted)
