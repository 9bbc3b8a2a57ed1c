# SPDX-License-Identifier: Apache-2.0
"""The Fuser: what goes in and comes out, and that judging does not disturb fusing."""

import platform
import sys
import threading
import weakref

import numpy as np
import pytest
import torch

from degfusion_ros import Fuser, FuserError
from degfusion_ros.fuser import ENGINES, OUTPUTS, THERMAL_LABELS, VISIBLE_LABELS
from degfusion_ros.models import compiled
from degfusion_ros.models.labels import LABELS


@pytest.fixture(scope='module')
def fuser(tiny_model) -> Fuser:
    return Fuser.load(tiny_model, 'cpu', 'float32')


def _pair(height: int = 50, width: int = 70, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return (rng.integers(0, 256, (height, width, 3), dtype=np.uint8),
            rng.integers(0, 256, (height, width), dtype=np.uint8))


@pytest.mark.parametrize('size', [(32, 32), (50, 70), (48, 64), (301, 33)])
def test_any_size_keeps_its_size(fuser, size):
    fusion = fuser.fuse(*_pair(*size), OUTPUTS)
    assert fusion.fused.shape == fusion.visible.shape == (*size, 3)
    assert fusion.thermal.shape == size
    assert {x.dtype for x in (fusion.fused, fusion.visible, fusion.thermal)} == {np.dtype('uint8')}


def test_only_wanted_outputs_come_back(fuser):
    fusion = fuser.fuse(*_pair())
    assert fusion.fused is not None and fusion.visible is None and fusion.thermal is None
    fusion = fuser.fuse(*_pair(), outputs=('thermal',))
    assert fusion.fused is None and fusion.visible is None and fusion.thermal is not None


def test_refresh_names_every_label_and_steers(fuser):
    visible, thermal = _pair(120, 160)
    before = fuser.fuse(visible, thermal).fused
    told = fuser.refresh(visible, thermal)
    assert set(told.visible) == set(VISIBLE_LABELS) and set(told.thermal) == set(THERMAL_LABELS)
    assert all(0 <= s <= 1 for s in (*told.visible.values(), *told.thermal.values()))
    assert told.vector.shape == (512,) and told.vector.dtype == np.float32
    assert told.visible_labels and told.thermal_labels
    assert (fuser.fuse(visible, thermal).fused != before).any()


@pytest.fixture(scope='module')
def told(tiny_model):
    """Return a judgement by a guidance whose heads say given odds, whatever they are shown."""
    fuser, pair = Fuser.load(tiny_model, 'cpu', 'float32'), _pair(64, 64)

    def judge(severity=0.5, **odds):
        for modality, names in LABELS.items():
            head = fuser._guidance.heads[modality]
            head.weight.zero_()
            said = [odds.get(f'{modality}_{name}', 0.02) for name in names]
            head.bias.copy_(torch.tensor([*said, *[severity] * len(names)]).logit())
        return fuser.refresh(*pair)
    return judge


@pytest.mark.parametrize('odds, labels', [
    (0.34, ('clean',)), (0.36, ('unsure',)), (0.49, ('unsure',)), (0.51, ('rain',))])
def test_a_label_near_even_odds_is_unsure_and_from_even_odds_on_it_is_there(told, odds, labels):
    found = told(visible_rain=odds)
    assert found.visible_labels == labels
    assert found.unsure == {'visible': labels == ('unsure',), 'thermal': False}
    assert found.thermal_labels == ('clean',)
    # below even odds a severity counts in proportion
    assert found.visible['rain'] == pytest.approx(0.5 if odds > 0.5 else 0.5 * odds, abs=1e-5)


def test_doubts_beside_a_sure_label_are_not_told_and_cameras_doubt_alone(told):
    found = told(visible_fog=0.9, visible_rain=0.45, thermal_stripe=0.4, thermal_blur=0.2)
    assert found.visible_labels == ('fog',) and found.thermal_labels == ('unsure',)
    assert found.unsure == {'visible': False, 'thermal': True}
    assert told(thermal_stripe=0.3, thermal_blur=0.3).unsure['thermal'] is False   # no sum
    both = told(visible_fog=0.9, visible_rain=0.6)
    assert set(both.visible_labels) == {'fog', 'rain'}


def test_what_steers_is_steadied_unless_the_scene_is_another(fuser):
    labels = len(VISIBLE_LABELS) + len(THERMAL_LABELS)
    visible, thermal = _pair(120, 160)
    fuser._kept = []
    told = [torch.from_numpy(fuser.refresh(*pair, keep=0.5).vector) for pair in
            ((visible, thermal), (visible // 2 + 60, thermal // 2 + 60))]
    before, after = (vector[:labels] / 2 for vector in told)
    alike = (after - before).abs().max() <= 0.5
    torch.testing.assert_close(fuser._kept[0][0][0], told[1].lerp(told[0], 0.5 if alike else 0.0),
                               atol=1e-5, rtol=1e-4)
    still = fuser._kept[0][0]
    near = still + 0.1
    pair = fuser._tensors(visible, thermal)

    def steadied(vector, keep):
        fuser._kept = [fuser._steadied(vector, pair, keep, *fuser._kept)]
        return fuser._kept[0][0]
    torch.testing.assert_close(steadied(near, 0.5), still + 0.05)
    far = still.clone()
    far[0, 3] += 1.2
    assert torch.equal(steadied(far, 0.5), far)
    assert torch.equal(steadied(near, 0.0), near)


def test_prompts_of_its_own_are_steadied_too(tiny_tg_ecnet):
    fuser, (visible, thermal) = Fuser.load(tiny_tg_ecnet, 'cpu', 'float32'), _pair(96, 128)
    fuser.refresh(visible, thermal, keep=0.5)
    (vector, first), = fuser._kept
    pair = fuser._tensors(visible // 4, thermal)
    own = fuser._network.gate(vector, *pair)
    _, gate = fuser._steadied(vector, pair, 0.25, *fuser._kept)
    torch.testing.assert_close(gate, own.lerp(first, 0.25))
    assert not torch.allclose(own, first)


def test_16_bit_and_float_thermal_mean_the_same_picture(fuser):
    visible, thermal = _pair()
    eight = fuser.fuse(visible, thermal).fused.astype(int)
    unit = fuser.fuse(visible, thermal.astype(np.float32) / 255).fused.astype(int)
    assert np.abs(eight - unit).max() <= 1
    raw = fuser.fuse(visible, thermal.astype(np.uint16) * 20 + 7000)
    assert raw.fused.shape == visible.shape


def test_fusing_goes_on_while_another_thread_judges(fuser):
    visible, thermal = _pair(64, 64)
    fuser.refresh(visible, thermal)
    states, stop, errors = [], threading.Event(), []
    for seed in range(3):
        other = _pair(64, 64, seed)
        fuser.refresh(*other)
        states.append(fuser.fuse(visible, thermal).fused.tobytes())

    def judge():
        try:
            while not stop.is_set():
                for seed in range(3):
                    fuser.refresh(*_pair(64, 64, seed))
        except Exception as error:   # noqa: BLE001  (reported below)
            errors.append(error)
    thread = threading.Thread(target=judge)
    thread.start()
    try:
        # every frame is steered by one whole vector, never by a half-swapped set of weights
        assert all(fuser.fuse(visible, thermal).fused.tobytes() in states for _ in range(30))
    finally:
        stop.set()
        thread.join()
    assert not errors


@pytest.mark.parametrize('visible, thermal, told', [
    (np.zeros((64, 64), np.uint8), np.zeros((64, 64), np.uint8), 'visible image'),
    (np.zeros((64, 64, 3), np.float32), np.zeros((64, 64), np.uint8), 'visible image'),
    (np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.int32), 'thermal image'),
    (np.zeros((64, 64, 3), np.uint8), np.zeros((64, 32), np.uint8), 'register'),
    (np.zeros((16, 64, 3), np.uint8), np.zeros((16, 64), np.uint8), 'smaller'),
    (np.zeros((64, 64, 3), np.uint8), np.pad(np.full((1, 1), np.nan, np.float32), (0, 63)), 'NaN'),
    (np.zeros((64, 64, 3), np.uint8), np.full((64, 64), -np.inf, np.float32), 'infinite'),
    (np.zeros((64, 64, 3), np.uint8), np.full((64, 64), 300, np.float32), '300, not in 0..1'),
    (np.zeros((64, 64, 3), np.uint8), np.full((64, 64), -0.5, np.float32), 'from -0.5 to -0.5'),
])
def test_unusable_images_are_refused_in_one_line(fuser, visible, thermal, told):
    for call in (fuser.fuse, fuser.refresh):
        with pytest.raises(FuserError, match=told) as caught:
            call(visible, thermal)
        assert '\n' not in str(caught.value)


def test_a_size_too_small_is_not_warmed_up_for(fuser):
    with pytest.raises(FuserError, match='2x2, smaller than 32x32'):
        fuser.warm_up(2, 2)


def test_unusable_settings_are_refused(tiny_model):
    for args, told in ((('nonsense',), 'nonsense'), ((tiny_model, 'cuda:99'), 'cuda:99'),
                       ((tiny_model, 'abacus'), 'abacus'), ((tiny_model, 'cpu', 'int3'), 'int3')):
        with pytest.raises(FuserError, match=told):
            Fuser.load(*args)


def test_bfloat16_is_close_to_float32(tiny_model):
    visible, thermal = _pair(64, 64)
    exact = Fuser.load(tiny_model, 'cpu', 'float32').fuse(visible, thermal, OUTPUTS)
    fast = Fuser.load(tiny_model, 'cpu', 'bfloat16').fuse(visible, thermal, OUTPUTS)
    for name in OUTPUTS:
        difference = getattr(exact, name).astype(int) - getattr(fast, name).astype(int)
        assert np.abs(difference).mean() < 2


@pytest.mark.parametrize('engine', [e for e in ENGINES if e not in ('auto', 'torch')])
def test_every_engine_fuses_as_torch_does_and_is_steered_alike(tiny_model, engine):
    visible, thermal = _pair(40, 70)
    made = []
    for name in ('torch', engine):
        fuser = Fuser.load(tiny_model, 'cpu', 'float32', name)
        assert fuser.engine == name
        fuser.warm_up(40, 70)
        told = fuser.refresh(visible, thermal)
        made.append((fuser.fuse(visible, thermal, OUTPUTS), told.vector))
    for name in OUTPUTS:
        one, other = (getattr(fusion, name).astype(int) for fusion, _ in made)
        assert one.shape == other.shape and np.abs(one - other).max() <= 1
    assert np.allclose(made[0][1], made[1][1])


def test_auto_takes_openvino_where_it_is_and_torch_elsewhere(tiny_model, monkeypatch):
    monkeypatch.setattr(compiled, 'fault', lambda: 'no Python package: pip install openvino')
    assert Fuser.load(tiny_model, 'cpu').engine == 'torch'
    with pytest.raises(FuserError, match='pip install openvino'):
        Fuser.load(tiny_model, 'cpu', engine='openvino')
    monkeypatch.setattr(compiled, 'fault', lambda: '')
    for machine, engine in (('x86_64', 'openvino'), ('aarch64', 'torch')):
        monkeypatch.setattr(platform, 'machine', lambda machine=machine: machine)
        assert Fuser.load(tiny_model, 'cpu').engine == engine


def test_onnxruntime_lets_go_of_its_sessions_too(tiny_model):
    fuser = Fuser.load(tiny_model, 'cpu', engine='onnxruntime')
    pair = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8)
    before = fuser.fuse(*pair).fused
    session, = fuser._network._sessions.values()
    session = weakref.ref(session[0])
    fuser.forget()
    assert session() is None
    assert (fuser.fuse(*pair).fused == before).all()


@pytest.mark.parametrize('given, told', [
    (('auto', 'abacus'), 'torch, openvino, onnxruntime'),
    (('bfloat16', 'onnxruntime'), 'float32 only'),
    (('auto', 'onnxruntime', 'tensorrt'), 'install onnxruntime-gpu')])
def test_an_engine_that_cannot_be_had_is_refused(tiny_model, given, told):
    with pytest.raises(FuserError, match=told):
        Fuser.load(tiny_model, 'cpu', *given)


def test_a_missing_engine_says_what_to_install(tiny_model, monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with pytest.raises(FuserError, match='pip install onnx onnxruntime'):
        Fuser.load(tiny_model, engine='onnxruntime')
