# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime computes what torch does, and follows a refresh without a new engine."""

import sys
from types import SimpleNamespace

import onnxruntime
import pytest
import torch

from degfusion_ros.models import engine
from degfusion_ros.models.dgmoe import DgMoe
from degfusion_ros.models.labels import VISIBLE_LABELS

ALL = ('fused', 'visible', 'thermal')
SIZE = (32, 64)


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    network = DgMoe((8, 8, 8, 8), deraining=(8, 8))
    # a fresh head changes nothing: make it tell
    for heads in (*network.heads.values(), network.deraining.head):
        for weight in heads.parameters():
            torch.nn.init.normal_(weight, std=0.1)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope='module')
def exported(network):
    return engine.OnnxNetwork(network, 'cpu', 1)


def _images(seed):
    generator = torch.Generator().manual_seed(seed)
    visible = torch.randint(0, 256, (1, *SIZE, 3), dtype=torch.uint8, generator=generator)
    return visible.permute(0, 3, 1, 2), torch.rand(1, 1, *SIZE, generator=generator)


def _both(network, exported, vector, outputs, images):
    with torch.inference_mode():
        return [net(*images, net.steer(vector, None, None, torch.float32), outputs)
                for net in (network, exported)]


@pytest.mark.parametrize('outputs', [ALL, ('fused',), ('thermal',)])
def test_it_computes_what_torch_does(network, exported, outputs):
    expected, found = _both(network, exported, torch.randn(1, 512), outputs, _images(0))
    for name in ALL:
        assert (getattr(found, name) is not None) == (name in outputs)
        if name in outputs:
            assert found.unpacked(name).shape == expected.unpacked(name).shape
            assert torch.allclose(found.unpacked(name), expected.unpacked(name), atol=1e-4)


def test_a_refresh_steers_without_a_new_session(network, exported):
    images, seen = _images(1), []
    session = exported._session(SIZE)[0]
    for seed in range(3):
        vector = torch.randn(1, 512, generator=torch.Generator().manual_seed(seed)) * 4
        expected, found = _both(network, exported, vector, ('fused',), images)
        assert torch.allclose(found.unpacked('fused'), expected.unpacked('fused'), atol=1e-4)
        seen.append(found.unpacked('fused'))
    assert exported._session(SIZE)[0] is session
    assert not torch.allclose(seen[0], seen[1]), 'the gate state has no effect'


def test_sessions_do_not_pile_up(network, monkeypatch):
    monkeypatch.setattr(engine, 'KEPT', 2)
    monkeypatch.setattr(engine, 'graph', lambda *_: SimpleNamespace(SerializeToString=bytes))
    frames = engine.OnnxNetwork(network, 'cpu', 1)
    frames._start = lambda model: SimpleNamespace(get_overridable_initializers=list)
    for height in (32, 64, 96, 64):
        assert frames._session((height, 64))[0] is frames._session((height, 64))[0]
    assert list(frames._sessions) == [(64, 64), (96, 64)]


def test_a_session_of_dry_frames_serves_rainy_ones(network, exported):
    images, seen = _images(3), []
    session = exported._session(SIZE)[0]
    for rain in (0.0, 0.8):
        vector = torch.zeros(1, 512)
        vector[:, VISIBLE_LABELS.index('rain')] = 2 * rain
        expected, found = _both(network, exported, vector, ('visible',), images)
        assert torch.allclose(found.unpacked('visible'), expected.unpacked('visible'), atol=1e-4)
        vector[:, VISIBLE_LABELS.index('rain')] = 2 * 0.06      # still dry
        expected, _ = _both(network, exported, vector, ('visible',), images)
        seen.append((found.unpacked('visible') - expected.unpacked('visible')).abs().max())
    assert exported._session(SIZE)[0] is session and seen[1] > 0.01


def test_a_graph_frozen_when_dry_carries_no_deraining(network):
    convolutions = {}
    for rain in (0.0, 0.8):
        vector = torch.zeros(1, 512)
        vector[:, VISIBLE_LABELS.index('rain')] = 2 * rain
        state = network.steer(vector, None, None, torch.float32)
        for frozen in (True, False):
            nodes = engine.graph(network, state, SIZE, ('visible',), frozen).graph.node
            convolutions[rain, frozen] = [n.op_type for n in nodes].count('Conv')
    assert len({convolutions[key] for key in ((0.8, True), (0.8, False), (0.0, False))}) == 1
    assert convolutions[0.0, True] < convolutions[0.0, False]


def test_bytes_and_unit_range_mean_the_same_picture(network, exported):
    visible, _ = _images(2)
    heat = torch.arange(SIZE[0] * SIZE[1]).reshape(1, 1, *SIZE).remainder(256)
    state = exported.steer(torch.zeros(1, 512), None, None, torch.float32)
    eight = exported(visible, heat.to(torch.uint8), state).unpacked('fused')
    assert torch.allclose(eight, exported(visible, heat / 255, state).unpacked('fused'), atol=1e-5)


def test_the_state_is_named_and_has_a_value_of_its_own(network):
    state = network.steer(torch.ones(1, 512), None, None, torch.float32)
    names = list(engine.leaves(state))
    assert {'visible_encoder.0.first', 'fused.0.second', 'visible.0.second_bias'} <= set(names)
    for frozen in (False, True):
        session = engine.start(
            engine.graph(network, state, SIZE, ('fused',), frozen).SerializeToString())
        steered = {i.name for i in session.get_overridable_initializers()}
        wanted = {n for n in names if not n.startswith(('visible.', 'thermal.'))}
        assert steered == (set() if frozen else wanted)
        visible, thermal = _images(3)
        found, = session.run(None, {'visible': visible.permute(0, 2, 3, 1).numpy(),
                                    'thermal': thermal[:, 0].numpy()})
        expected = network(visible, thermal, state).unpacked('fused').permute(0, 2, 3, 1)
        assert torch.allclose(torch.from_numpy(found), expected, atol=1e-4)


def test_what_cannot_be_had_is_told(network, monkeypatch):
    state = network.steer(torch.zeros(1, 512), None, None, torch.float32)
    with pytest.raises(engine.EngineError, match='multiples of 32; use 64x64'):
        engine.graph(network, state, (33, 64))
    with pytest.raises(engine.EngineError, match='TensorrtExecutionProvider'):
        engine.start(b'', 'tensorrt')
    with pytest.raises(engine.EngineError, match='choose from'):
        engine.start(b'', 'abacus')
    for model, told in ((b'none', 'cannot run the graph: '), ('no.onnx', 'cannot run no.onnx: ')):
        with pytest.raises(engine.EngineError, match=told) as caught:
            engine.start(model)
        assert '\n' not in str(caught.value)
    for package in ('onnx', 'onnxruntime'):     # when it is made, not at the first frame
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(engine.EngineError, match=f'package {package}: pip install'):
            engine.OnnxNetwork(network, 'cpu', 1)


def test_a_provider_that_is_there_but_cannot_be_loaded_is_told(network, monkeypatch):
    state = network.steer(torch.zeros(1, 512), None, None, torch.float32)
    model = engine.graph(network, state, SIZE, ('thermal',)).SerializeToString()
    # as an onnxruntime-gpu says without a CUDA; its sessions then run on the CPU
    there = ['CUDAExecutionProvider', 'CPUExecutionProvider']
    monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: there)
    assert engine.start(model).get_providers() == ['CPUExecutionProvider']
    with pytest.warns(UserWarning, match='CUDAExecutionProvider'), pytest.raises(
            engine.EngineError, match='CUDAExecutionProvider cannot be loaded; install'):
        engine.start(model, 'cuda')
