# SPDX-License-Identifier: Apache-2.0
"""A recorded frame is the frame, whatever steers it; what was not recorded runs all the same."""

import pytest
from steered import network_of, OUTPUTS, pair, steer
import torch

from degfusion_ros.models import recorded, tracing
from degfusion_ros.models.deraining import Deraining
from degfusion_ros.models.dgmoe import DgMoe
from degfusion_ros.models.labels import VISIBLE_LABELS
from degfusion_ros.models.recorded import Recorded


@pytest.mark.parametrize('kind, dtype', [('dgmoe', torch.float32), ('dgmoe', torch.bfloat16),
                                         ('tg_ecnet', torch.float32),
                                         ('tg_ecnet', torch.bfloat16)])
@torch.inference_mode()
def test_a_program_gives_the_same_bytes_for_other_images_and_states(kind, dtype):
    network = network_of(kind).at(dtype).to(memory_format=torch.channels_last)
    plain, frames = Recorded(network), Recorded(network)
    with torch.autocast('cpu', torch.bfloat16, enabled=dtype == torch.bfloat16):
        assert frames.record(*pair(0), steer(network, 0, dtype), OUTPUTS)
        for seed in range(1, 4):
            given = *pair(seed), steer(network, seed, dtype), OUTPUTS
            for made, wanted in zip(frames(*given), plain(*given), strict=True):
                assert made.dtype == torch.uint8 and torch.equal(made, wanted)


@torch.inference_mode()
def test_only_what_was_recorded_runs_as_a_program(monkeypatch):
    network = network_of('dgmoe')
    frames, state = Recorded(network), steer(network, 0)
    assert frames.record(*pair(0), state, ('fused',))
    calls = []
    forward = DgMoe.forward
    monkeypatch.setattr(DgMoe, 'forward', lambda *a: calls.append(1) or forward(*a))
    frames(*pair(1), state, ('fused',))
    assert not calls
    for images, outputs in ((pair(1, 32, 64), ('fused',)), (pair(1), ('thermal',))):
        image, = frames(*images, state, outputs)
        assert image.shape[1:3] == images[1].shape[2:]
    assert len(calls) == 2


@torch.inference_mode()
def test_rain_is_another_program_but_for_the_fused_image(monkeypatch):
    network = network_of('dgmoe')
    plain, frames, states = Recorded(network), Recorded(network), []
    for rain in (0.0, 1.6):
        vector = torch.zeros(1, 512)
        vector[:, VISIBLE_LABELS.index('rain')] = rain
        states.append(network.steer(vector, None, None, torch.float32))
    assert frames.record(*pair(0), states[0], ('fused',))
    for state in states:
        assert frames.record(*pair(0), state, OUTPUTS)
    wanted = [plain(*pair(1), state, OUTPUTS) for state in states]
    seen, calls = [], []
    derain = Deraining.forward
    monkeypatch.setattr(Deraining, 'forward', lambda *a: seen.append(1) or derain(*a))
    for state in states:
        plain(*pair(1), state, OUTPUTS)
    assert len(seen) == 1, 'derained though it is dry'
    monkeypatch.setattr(DgMoe, 'forward', lambda *a: calls.append(1))
    for state, images in zip(states, wanted):
        assert all(map(torch.equal, frames(*pair(1), state, OUTPUTS), images))
        frames(*pair(1), state, ('fused',))
    assert not calls


@torch.inference_mode()
def test_a_program_that_gives_another_picture_is_not_kept(monkeypatch):
    network = network_of('dgmoe')
    frames, state = Recorded(network), steer(network, 0)
    traced = tracing.traced

    def wrong(*args, **kwargs):
        program = traced(*args, **kwargs)
        return lambda *images: tuple(255 - image for image in program(*images))
    monkeypatch.setattr(tracing, 'traced', wrong)
    assert not frames.record(*pair(0), state, ('fused',))

    def deaf(frame, *inputs):
        first = traced(frame, *inputs)(*inputs)
        return lambda *images: first
    monkeypatch.setattr(tracing, 'traced', deaf)
    assert not frames.record(*pair(0), state, ('fused',))

    def none(*args, **kwargs):
        raise RuntimeError('no such operator')
    monkeypatch.setattr(tracing, 'traced', none)
    assert not frames.record(*pair(0), state, ('fused',))
    assert frames(*pair(0), state, ('fused',))[0].shape == (1, 64, 96, 3)


@torch.inference_mode()
def test_what_many_frames_ask_for_is_recorded_and_no_other_size():
    network = network_of('dgmoe')
    frames, state = Recorded(network), steer(network, 0)
    for _ in range(recorded.MANY - 1):
        frames(*pair(0), state, ('visible',))
        frames(*pair(0, 32), state, ('fused',))
    frames.record_what_pays(state)
    assert not frames._programs
    frames(*pair(0), state, ('visible',))
    frames.record_what_pays(state)
    (shape, *_, outputs), = frames._programs
    assert shape == (1, 3, 64, 96) and outputs == ('visible',)
    assert frames.way == recorded.OPERATORS
    frames(*pair(0), state, ('visible',))
    assert frames.way == 'torch'
    frames.forget()
    frames(*pair(0), state, ('visible',))
    assert not frames._programs and frames.way == recorded.OPERATORS


@torch.inference_mode()
def test_a_program_that_found_no_room_is_tried_again_once_others_are_forgotten(monkeypatch):
    network = network_of('dgmoe')
    frames, state = Recorded(network), steer(network, 0)
    with monkeypatch.context() as patch:
        patch.setattr(tracing, 'traced', lambda *_, **__: (_ for _ in ()).throw(MemoryError()))
        assert not frames.record(*pair(0), state, ('fused',))
    assert not frames.record(*pair(0), state, ('fused',))
    frames.forget()
    assert frames.record(*pair(0), state, ('fused',))


@torch.inference_mode()
def test_programs_do_not_pile_up(monkeypatch):
    monkeypatch.setattr(recorded, 'KEPT', 2)
    network = network_of('dgmoe')
    frames, state = Recorded(network), steer(network, 0)
    for height in (16, 32, 48, 32):
        assert frames.record(*pair(0, height), state, ('fused',))
    assert [key[0][2] for key in frames._programs] == [32, 48]
