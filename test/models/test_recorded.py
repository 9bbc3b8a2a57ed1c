# SPDX-License-Identifier: Apache-2.0
"""A recorded frame is the frame, whatever steers it; what was not recorded runs all the same."""

import pytest
import torch

from degfusion_ros.models import recorded
from degfusion_ros.models.dgmoe import DgMoe
from degfusion_ros.models.recorded import Recorded
from degfusion_ros.models.tg_ecnet import TgEcnet

OUTPUTS = ('fused', 'visible', 'thermal')
SMALL = {'widths': (8, 8, 12, 16), 'decoder_widths': (8, 8, 12), 'encoder_blocks': (1, 1, 1, 1),
         'heads': (1, 1, 1, 2), 'prompt': 8, 'words': 4}


def _pair(seed: int, height: int = 64, width: int = 96) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    visible = torch.randint(0, 256, (1, height, width, 3), dtype=torch.uint8, generator=draw)
    return visible.permute(0, 3, 1, 2), torch.rand(1, 1, height, width, generator=draw)


def _network(kind: str):
    torch.manual_seed(0)
    network = DgMoe((8, 16)) if kind == 'dgmoe' else TgEcnet(**SMALL)
    for parameter in network.parameters():      # fresh heads would change nothing
        torch.nn.init.normal_(parameter, std=0.05)
    return network.eval().requires_grad_(False)


def _steer(network, seed: int, dtype=torch.float32):
    return network.steer(torch.randn(1, 512, generator=torch.Generator().manual_seed(seed)),
                         *_pair(seed, 120, 160), dtype)


@pytest.mark.parametrize('kind, dtype', [('dgmoe', torch.float32), ('dgmoe', torch.bfloat16),
                                         ('tg_ecnet', torch.float32),
                                         ('tg_ecnet', torch.bfloat16)])
@torch.inference_mode()
def test_a_program_gives_the_same_bytes_for_other_images_and_states(kind, dtype):
    network = _network(kind).at(dtype).to(memory_format=torch.channels_last)
    plain, frames = Recorded(network), Recorded(network)
    with torch.autocast('cpu', torch.bfloat16, enabled=dtype == torch.bfloat16):
        assert frames.record(*_pair(0), _steer(network, 0, dtype), OUTPUTS)
        for seed in range(1, 4):
            given = *_pair(seed), _steer(network, seed, dtype), OUTPUTS
            for made, wanted in zip(frames(*given), plain(*given), strict=True):
                assert made.dtype == torch.uint8 and torch.equal(made, wanted)


@torch.inference_mode()
def test_only_what_was_recorded_runs_as_a_program(monkeypatch):
    network = _network('dgmoe')
    frames, state = Recorded(network), _steer(network, 0)
    assert frames.record(*_pair(0), state, ('fused',))
    calls = []
    forward = DgMoe.forward
    monkeypatch.setattr(DgMoe, 'forward', lambda *a: calls.append(1) or forward(*a))
    frames(*_pair(1), state, ('fused',))
    assert not calls
    for pair, outputs in ((_pair(1, 32, 64), ('fused',)), (_pair(1), ('thermal',))):
        image, = frames(*pair, state, outputs)
        assert image.shape[1:3] == pair[1].shape[2:]
    assert len(calls) == 2


@torch.inference_mode()
def test_a_program_that_gives_another_picture_is_not_kept(monkeypatch):
    network = _network('dgmoe')
    frames, state = Recorded(network), _steer(network, 0)
    trace = torch.jit.trace

    def wrong(*args, **kwargs):
        program = trace(*args, **kwargs)
        return lambda *images: tuple(255 - image for image in program(*images))
    monkeypatch.setattr(torch.jit, 'trace', wrong)
    assert not frames.record(*_pair(0), state, ('fused',))

    def none(*args, **kwargs):
        raise RuntimeError('no such operator')
    monkeypatch.setattr(torch.jit, 'trace', none)
    assert not frames.record(*_pair(0), state, ('fused',))
    assert frames(*_pair(0), state, ('fused',))[0].shape == (1, 64, 96, 3)


@torch.inference_mode()
def test_what_many_frames_ask_for_is_recorded_and_no_other_size():
    network = _network('dgmoe')
    frames, state = Recorded(network), _steer(network, 0)
    for _ in range(recorded.MANY - 1):
        frames(*_pair(0), state, ('visible',))
    frames.record_what_pays(*_pair(0), state)
    assert not frames._programs
    frames(*_pair(0), state, ('visible',))
    frames.record_what_pays(*_pair(0, 32), state)       # the pair at hand is of another size
    assert not frames._programs
    frames.record_what_pays(*_pair(0), state)
    assert [key[-1] for key in frames._programs] == [('visible',)]


@torch.inference_mode()
def test_programs_do_not_pile_up(monkeypatch):
    monkeypatch.setattr(recorded, 'KEPT', 2)
    network = _network('dgmoe')
    frames, state = Recorded(network), _steer(network, 0)
    for height in (16, 32, 48, 32):
        assert frames.record(*_pair(0, height), state, ('fused',))
    assert [key[0][2] for key in frames._programs] == [32, 48]
