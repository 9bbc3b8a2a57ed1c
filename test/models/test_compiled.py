# SPDX-License-Identifier: Apache-2.0
"""A compiled frame is torch's but for roundings, whatever steers it, and follows a refresh."""

import subprocess
import sys
import threading

import pytest
from steered import network_of, OUTPUTS, pair, steer
import torch

from degfusion_ros.models import compiled, recorded
from degfusion_ros.models.compiled import Compiler
from degfusion_ros.models.network import FusionNetwork, Outputs
from degfusion_ros.models.recorded import Recorded

pytest.importorskip('openvino')


@pytest.mark.parametrize('kind', ['dgmoe', 'tg_ecnet'])
@torch.inference_mode()
def test_a_compiled_frame_is_the_frame_for_other_images_and_states(kind):
    network = network_of(kind)
    program = Compiler(network, torch.float32, 1)(*pair(0), steer(network, 0), OUTPUTS)
    plain = Recorded(network)
    told = set()
    for seed in range(1, 4):
        state, given = steer(network, seed), pair(1)
        made = program(*given, *recorded.pytree.tree_leaves(state))
        for found, wanted in zip(made, plain(*given, state, OUTPUTS), strict=True):
            assert found.dtype == torch.uint8 and found.shape == wanted.shape
            assert (found.int() - wanted.int()).abs().max() <= 1
        told.add(made[0].numpy().tobytes())
    assert len(told) == 3       # what steers is heard


@torch.inference_mode()
def test_bfloat16_is_close_and_is_what_frames_then_run_by(monkeypatch):
    network, original = network_of('dgmoe').at(torch.bfloat16), network_of('dgmoe')
    frames = Recorded(network.to(memory_format=torch.channels_last),
                      Compiler(original, torch.bfloat16, 1))
    state = steer(network, 0, torch.bfloat16)
    with torch.autocast('cpu', torch.bfloat16):
        wanted = frames(*pair(0), state, ('fused',))
        assert frames.record(*pair(0), state, ('fused',))
        monkeypatch.setattr(type(network), 'forward', None)     # nobody asks torch any more
        found = frames(*pair(0), state, ('fused',))
    assert 0 < (found[0].float() - wanted[0].float()).abs().mean() < compiled.CLOSE


@torch.inference_mode()
def test_torch_records_what_openvino_cannot_or_gets_wrong():
    from openvino.frontend import GeneralFailure
    network = network_of('dgmoe')

    def refuses(*_):
        raise GeneralFailure('no such operation')      # of Exception, like most of OpenVINO's

    def errs(visible, thermal, state, outputs):
        return lambda *_: tuple(255 - x for x in Recorded(network)(visible, thermal, state,
                                                                    outputs))
    state = steer(network, 0)
    wanted, = Recorded(network)(*pair(1), state, ('fused',))
    for compiler in (refuses, errs):
        frames = Recorded(network, compiler)
        assert frames.record(*pair(0), state, ('fused',))
        assert torch.equal(frames(*pair(1), state, ('fused',))[0], wanted)
        assert frames.way == 'torch'


@torch.inference_mode()
def test_threads_that_share_a_program_do_not_mix_their_frames():
    network = network_of('dgmoe')
    states = [recorded.pytree.tree_leaves(steer(network, seed)) for seed in range(2)]
    program = Compiler(network, torch.float32, 1)(*pair(0), steer(network, 0), ('fused',))
    wanted = [program(*pair(seed), *states[seed])[0] for seed in range(2)]
    wrong = []

    def work(seed):
        for _ in range(20):
            if not torch.equal(program(*pair(seed), *states[seed])[0], wanted[seed]):
                wrong.append(seed)
    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@torch.inference_mode()
def test_no_convolution_waits_for_a_pass_that_adds_its_bias(monkeypatch):
    class Twice(FusionNetwork):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Conv2d(3, 32, 3, padding=1)
            self.head = torch.nn.Conv2d(32, 3, 3, padding=1)

        def forward(self, visible, thermal, state, outputs):
            images = visible.float(), visible.flip(3).float(), visible.float() * state['gain']
            made = sum(self.head(self.layer(x / 255).relu()) for x in images)
            return Outputs(made, None, None, 1)
    network, (visible, thermal) = Twice(), pair(0)

    def passes():
        program = Compiler(network, torch.float32, 1)(visible, thermal, {'gain': torch.ones(1)},
                                                      ('fused',))
        graph = program._request.get_compiled_model().get_runtime_model()
        ran = [str(op.get_rt_info()['layerType'].value) for op in graph.get_ordered_ops()]
        assert ran.count('Convolution') == 6
        return sum(kind in ('Add', 'Eltwise', 'Subgraph') for kind in ran)
    own = passes()
    monkeypatch.setattr(compiled, '_own_biases', lambda model: None)
    assert own <= passes() - 3


def test_openvino_comes_without_its_telemetry():
    told = subprocess.run(
        [sys.executable, '-c', 'import sys\nfrom degfusion_ros.models.compiled import openvino\n'
         'openvino().Core()\nprint("openvino_telemetry" in sys.modules)'],
        capture_output=True, text=True, check=True)
    assert told.stdout.strip() == 'False'
