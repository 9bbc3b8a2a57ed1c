# SPDX-License-Identifier: Apache-2.0
"""The Fuser where it rains and more than rain is wrong: the derained picture is restored."""

import numpy as np
import pytest
import torch

from degfusion_ros import Fuser
from degfusion_ros.fuser import ENGINES, OUTPUTS, VISIBLE_LABELS
from degfusion_ros.models import checkpoint
from degfusion_ros.models.dgmoe import DgMoe


def _pair(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return (rng.integers(0, 256, (height, width, 3), dtype=np.uint8),
            rng.integers(0, 256, (height, width), dtype=np.uint8))


@pytest.fixture
def rainy(tiny_model, tmp_path) -> Fuser:
    """Return a fuser that derains, whose guidance finds rain and noise in whatever it is shown."""
    network, guidance = checkpoint.load(tiny_model)
    torch.manual_seed(0)
    derains = DgMoe(**{**network.config, 'deraining': [8, 8]})
    derains.load_state_dict(network.state_dict(), strict=False)
    torch.nn.init.normal_(derains.deraining.head.weight, std=0.1)
    head = guidance.heads['visible']
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_(torch.tensor([0.9 if name in ('rain', 'noise') else 0.02
                                      for name in VISIBLE_LABELS] * 2).logit())
    path = tmp_path / 'rainy.safetensors'
    checkpoint.save(path, 'dgmoe', derains.state_dict(), guidance.state_dict(), derains.config, 0,
                    guidance.clip_name)
    fuser = Fuser.load(path, 'cpu', 'float32')
    fuser.path = path
    return fuser


def test_in_rain_and_more_the_derained_picture_is_judged_and_restored(rainy):
    visible, thermal = _pair(64, 96)
    plain = Fuser.load(rainy.path, 'cpu', 'float32')
    plain.refresh(visible, thermal, outputs=('fused',))
    before = plain.fuse(visible, thermal, OUTPUTS)
    told = rainy.refresh(visible, thermal)
    after = rainy.fuse(visible, thermal, OUTPUTS)
    assert told.visible_labels == plain.refresh(visible, thermal).visible_labels
    assert set(told.visible_labels) == {'rain', 'noise'}        # of the picture as it came
    assert (after.fused == before.fused).all() and (after.thermal == before.thermal).all()
    # by hand: derained, judged, its rain forgotten, restored
    with torch.inference_mode():
        dry = rainy._network.dried(rainy._tensors(visible, thermal)[0])
    dry = np.ascontiguousarray(dry[0].permute(1, 2, 0).numpy())
    assert (dry != visible).any()
    plain.refresh(dry, thermal, outputs=())
    vector, gate = (x.clone() for x in plain._kept[0])
    gate[:, VISIBLE_LABELS.index('rain')] = 0
    plain.steering = vector, gate
    assert (after.visible == plain.fuse(dry, thermal, ('visible',)).visible).all()
    assert (after.visible != before.visible).any()
    assert (rainy.fuse(visible, thermal, ('visible',)).visible == after.visible).all()


@pytest.mark.parametrize('engine', [e for e in ENGINES if e not in ('auto', 'torch')])
def test_every_engine_restores_the_derained_picture(rainy, engine):
    visible, thermal = _pair(64, 96)
    other = Fuser.load(rainy.path, 'cpu', 'float32', engine)
    for fuser in (rainy, other):
        fuser.warm_up(64, 96)
        fuser.refresh(visible, thermal)
    assert len(rainy.steering) == len(other.steering) == 4
    made = [fuser.fuse(visible, thermal, OUTPUTS) for fuser in (rainy, other)]
    for name in OUTPUTS:
        one, two = (getattr(fusion, name).astype(int) for fusion in made)
        assert np.abs(one - two).max() <= 1, name


def test_what_steers_goes_on_in_another_fuser_in_rain_too(rainy):
    visible, thermal = _pair(64, 96)
    rainy.refresh(visible, thermal)
    other = Fuser.load(rainy.path, 'cpu', 'float32')
    assert other.steering is None and len(rainy.steering) == 4
    other.steering = rainy.steering
    for fuser in (rainy, other):
        fuser.refresh(visible // 2, thermal, keep=0.5)
    for one, two in zip(rainy.steering, other.steering, strict=True):
        assert torch.equal(one, two)
    assert (rainy.fuse(visible, thermal, OUTPUTS).visible
            == other.fuse(visible, thermal, OUTPUTS).visible).all()


def test_the_derained_picture_stays_in_a_sequence_a_little_longer(rainy, monkeypatch):
    visible, thermal = _pair(64, 96)
    asked, dries = [], rainy._network.dries
    monkeypatch.setattr(rainy._network, 'dries', lambda gate, already: (
        asked.append(already), dries(gate, already))[1])
    for keep in (0.5, 0.5, 0.0):
        rainy.refresh(visible, thermal, keep=keep)
    assert asked == [False, True, False]    # no last one yet, one, a picture of its own
