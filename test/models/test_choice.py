# SPDX-License-Identifier: Apache-2.0
"""What auto becomes, and what is not there, whatever machine the tests run on."""

import platform

import pytest
import torch

from degfusion_ros.models import compiled
from degfusion_ros.models.choice import find_device, find_engine, find_precision, FuserError


@pytest.fixture(params=[0, 1, 2])
def gpus(request, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: request.param > 0)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: request.param)
    return request.param


def test_the_devices_that_are_there_are_taken(gpus):
    names = ['cpu', *['cuda'] * (gpus > 0), *(f'cuda:{n}' for n in range(gpus))]
    assert [find_device(name) for name in names] == names
    assert find_device('auto') == ('cuda' if gpus else 'cpu')


@pytest.mark.parametrize('device', ['cuda:2', 'cuda:9', 'cuda:x', 'cuda:', 'cuda:-1', 'gpu', ''])
def test_a_device_that_is_not_there_is_one_line(gpus, device):
    with pytest.raises(FuserError, match=f'sees {gpus} CUDA devices.*use auto or cpu') as caught:
        find_device(device)
    assert repr(device) in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.parametrize('engine', ['onnxruntime', 'openvino'])
def test_an_engine_for_the_cpu_keeps_the_network_there(gpus, engine):
    assert find_device('auto', engine) == 'cpu'
    with pytest.raises(FuserError, match='device auto or cpu, or engine torch'):
        find_engine(engine, 'cuda')


def test_an_older_torch_that_does_not_know_the_processor_gets_float32(monkeypatch):
    monkeypatch.delattr('torch.cpu._is_avx512_bf16_supported', raising=False)
    assert find_precision('auto', 'cpu', 'torch') == 'float32'
    monkeypatch.setattr('torch.cpu._is_avx512_bf16_supported', lambda: True, raising=False)
    assert find_precision('auto', 'cpu', 'torch') == 'bfloat16'


@pytest.mark.parametrize('machine', ['x86_64', 'aarch64'])
def test_auto_takes_no_engine_that_cannot_do_the_precision(monkeypatch, machine):
    monkeypatch.setattr(platform, 'machine', lambda: machine)
    monkeypatch.setattr(compiled, 'fault', lambda: '')
    found = [find_engine('auto', 'cpu', precision) for precision in ('auto', 'float16')]
    assert found == ['openvino' if machine == 'x86_64' else 'torch', 'torch']
    assert find_precision('float16', 'cpu', found[1]) == 'float16'


def test_an_openvino_that_cannot_be_loaded_is_left_out_and_told_where_it_is_asked_for(monkeypatch):
    def broken():
        raise ImportError('libtbb.so.12: cannot open\nshared object file')
    monkeypatch.setattr(platform, 'machine', lambda: 'x86_64')
    monkeypatch.setattr(compiled, 'openvino', broken)
    compiled.fault.cache_clear()
    try:
        assert find_engine('auto', 'cpu') == 'torch'
        with pytest.raises(FuserError, match='openvino.*cannot be loaded .libtbb.*install it') as e:
            find_engine('openvino', 'cpu')
        assert '\n' not in str(e.value)
    finally:
        compiled.fault.cache_clear()


def test_openvino_takes_no_float16():
    assert find_precision('float16', 'cuda', 'torch') == 'float16'
    assert find_precision('bfloat16', 'cpu', 'openvino') == 'bfloat16'
    with pytest.raises(FuserError, match='float16.*openvino takes float32 or bfloat16'):
        find_precision('float16', 'cpu', 'openvino')
