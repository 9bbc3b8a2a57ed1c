# SPDX-License-Identifier: Apache-2.0
"""Fixed buffers behave as a function; a CUDA graph is one where there is CUDA."""

import threading

import pytest
from steered import network_of, OUTPUTS, pair
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from degfusion_ros.models.graphs import cuda_graph, Static


def _replayed(function, runs):
    """Capture without CUDA: what a graph does, run anew from the buffers at each replay."""
    def capture(buffers):
        outputs = function(*buffers)

        def replay():
            runs.append([x.data_ptr() for x in buffers])
            for out, new in zip(outputs, function(*buffers)):
                out.copy_(new)
        return replay, outputs
    return capture


def _function(visible, thermal, gain, bias):
    return visible * gain + bias, thermal - bias


def test_every_call_gives_what_the_function_gives_from_the_same_buffers():
    runs, made = [], []
    state = torch.rand(4, 4), torch.rand(4, 4)
    program = Static(_replayed(_function, runs), (torch.rand(4, 4), torch.rand(4, 4), *state))
    for refresh in (False, False, True, False):
        if refresh:
            state = torch.rand(4, 4), torch.rand(4, 4)
        given = torch.rand(4, 4), torch.rand(4, 4), *state
        made.append((program(*given), _function(*given)))
    for found, wanted in made:      # later calls leave earlier results alone
        torch.testing.assert_close(found, wanted)
    assert len(runs) == 4 and all(where == runs[0] for where in runs)


def test_what_steers_is_copied_only_when_it_is_another(monkeypatch):
    copied = []
    copy = torch.Tensor.copy_
    given = [torch.rand(2, 2) for _ in range(4)]
    program = Static(lambda buffers: (lambda: None, ()), tuple(given))
    monkeypatch.setattr(torch.Tensor, 'copy_', lambda a, b: copied.append(b) or copy(a, b))
    program(*given)
    assert len(copied) == 2
    program(*given[:2], torch.rand(2, 2), given[3])
    assert len(copied) == 2 + 4


def test_two_threads_do_not_mix_their_frames():
    inside, second = threading.Event(), threading.Event()
    given = [torch.full((2, 2), float(i)) for i in range(4)]

    def capture(buffers):
        outputs = tuple(x.clone() for x in buffers[:2])

        def replay():
            if not inside.is_set():     # the first frame meets another half way through
                inside.set()
                second.wait(0.5)        # which must wait its turn
            for out, new in zip(outputs, _function(*buffers)):
                out.copy_(new)
            second.set()
        return replay, outputs
    program, made = Static(capture, tuple(given)), {}

    def fuse(name, *images):
        made[name] = program(*images, *given[2:])
    first = threading.Thread(target=fuse, args=('first', *given[:2]))
    first.start()
    assert inside.wait(10)
    fuse('second', given[1], given[0])
    first.join()
    for name, images in (('first', given[:2]), ('second', (given[1], given[0]))):
        torch.testing.assert_close(made[name], _function(*images, *given[2:]))


@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA')
def test_a_cuda_graph_gives_what_the_function_gives():
    program = Static(cuda_graph(_function), tuple(torch.rand(4, 4).cuda() for _ in range(4)))
    for _ in range(3):
        given = tuple(torch.rand(4, 4).cuda() for _ in range(4))
        torch.testing.assert_close(program(*given), _function(*given))


class _Elsewhere(TorchDispatchMode):
    """Remembers what was computed with a tensor that is not on the GPU."""

    def __init__(self):
        super().__init__()
        self.met = set()

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        made = operator(*args, **(kwargs or {}))
        if any(x.device.type != 'cuda' for x in pytree.tree_leaves((args, kwargs, made))
               if isinstance(x, torch.Tensor)):
            self.met.add(str(operator))
        return made


@pytest.mark.parametrize('kind', ['dgmoe', 'tg_ecnet'])
@pytest.mark.parametrize('label', [None, 3])    # nothing wrong, rain
def test_a_frame_takes_nothing_from_the_host_which_no_graph_could(kind, label):
    vector = torch.zeros(1, 512)
    if label is not None:
        vector[:, label] = 1.2
    network = network_of(kind)
    state = network.steer(vector, *pair(0, 120, 160), torch.float32)
    elsewhere = _Elsewhere()
    with FakeTensorMode(), torch.device('cuda'), torch.no_grad():    # shapes alone: no GPU needed
        state = pytree.tree_map(lambda x: torch.empty(x.shape, dtype=x.dtype), state)
        network = type(network)(**network.config).eval()
        visible = torch.empty(1, 64, 96, 3, dtype=torch.uint8).permute(0, 3, 1, 2)
        with elsewhere:
            made = network(visible, torch.empty(1, 1, 64, 96), state, OUTPUTS)
            shapes = [made.bytes(name).shape for name in OUTPUTS]
    assert shapes == [(1, 64, 96, 3), (1, 64, 96, 3), (1, 64, 96, 1)]
    assert not elsewhere.met
