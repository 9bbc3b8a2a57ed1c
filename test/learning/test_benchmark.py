# SPDX-License-Identifier: Apache-2.0
"""The benchmark counts, compares and names what it measures; no time is held to a figure."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import _disable_current_modes

from degfusion_ros.fuser import OUTPUTS
from degfusion_ros.learning import (
    benchmark,
    benchmark_forms,
    benchmark_machine,
    benchmark_peers,
)
from degfusion_ros.learning.benchmark_machine import (
    describe,
    gflop,
    Peak,
    peak_memory,
    peak_memory_mb,
)
from degfusion_ros.models import checkpoint, recorded, tracing
from degfusion_ros.models.dgmoe import DgMoe
from degfusion_ros.models.experts import DGME
from degfusion_ros.models.guidance import Guidance
from degfusion_ros.models.layers import conv_add, conv_relu

SIZE = '64x32'


@pytest.fixture(scope='module')
def network(tiny_model):
    return checkpoint.load(tiny_model)[0].requires_grad_(False)


def _images():
    visible, thermal = benchmark_peers.pair((32, 64))
    return (torch.from_numpy(visible).permute(2, 0, 1)[None], torch.from_numpy(thermal)[None, None])


def test_the_routed_form_computes_what_the_folded_one_does(network):
    torch.manual_seed(1)
    vector = torch.randn(1, 512)
    with torch.inference_mode():
        told = [form(*_images(), form.steer(vector, None, None, torch.float32),
                     ('fused', 'thermal'))
                for form in (benchmark_forms.in_form(network, name, torch.float32)
                             for name in ('folded', 'routed'))]
    for name in ('fused', 'thermal'):
        folded, routed = (out.unpacked(name) for out in told)
        assert torch.allclose(folded, routed, atol=1e-5)


def test_the_dense_form_costs_what_the_folded_one_does(network):
    cost = {}
    for name in ('folded', 'dense'):
        form = benchmark_forms.in_form(network, name, torch.float32)
        assert any(isinstance(m, DGME) for m in form.modules()) == (name == 'folded')
        with torch.inference_mode():
            state = form.steer(torch.zeros(1, 512), None, None, torch.float32)
            cost[name] = gflop(lambda f=form, s=state: f(*_images(), s, OUTPUTS))
    assert cost['dense'] == cost['folded'] > 0


def test_a_network_without_mixtures_has_the_form_it_has():
    assert benchmark_forms.forms_of(torch.nn.Linear(1, 1)) == ('routed',)


def test_fused_convolutions_are_counted_as_plain_ones():
    x, w, other = torch.rand(1, 4, 8, 8), torch.rand(6, 4, 3, 3), torch.rand(1, 6, 8, 8)
    expected = 2 * 6 * 8 * 8 * 4 * 9 / 1e9
    with torch.inference_mode():
        assert gflop(lambda: conv_relu(x, w, torch.rand(6))) == pytest.approx(expected)
        assert gflop(lambda: conv_add(x, w, torch.rand(6), other)) == pytest.approx(expected)
        assert gflop(lambda: np.ones(3).sum()) is None


def test_rows_tell_what_was_measured(tiny_model):
    specs = [benchmark.Spec(str(tiny_model), SIZE, 'folded', 'torch'),
             benchmark.Spec(benchmark_peers.REFERENCE, SIZE)]
    candidates = [benchmark.Candidate(spec) for spec in specs]
    peaks = {('float32', 1): Peak('float32', 'cpu', side=64)}
    benchmark.measure(candidates, peaks, frames=5)
    rows = [c.row(peaks, {'memory_mb': 12.5}) for c in candidates]
    for row in rows:
        assert 0 < row['ms']['p50'] <= row['ms']['p99']
        assert row['fps'] == pytest.approx(1e3 / row['ms']['p50'], rel=0.01)
        assert row['size'] == SIZE and row['memory_mb'] == 12.5
    # the row's own GFLOP are rounded: for a tiny model by several per cent
    share = candidates[0].gflop / rows[0]['ms']['p50'] * 1e3 / peaks['float32', 1].gflops
    assert rows[0]['peak_share'] == pytest.approx(share, rel=0.02)
    assert rows[1]['gflop'] is None and rows[1]['form'] is None
    assert benchmark.ratio(rows[1], rows) == 1
    assert benchmark.ratio(rows[0], rows) == pytest.approx(
        rows[0]['ms']['p50'] / rows[1]['ms']['p50'], rel=0.01)
    assert benchmark.ratio(rows[0] | {'size': '1x1'}, rows) is None


def test_models_of_one_name_in_two_folders_are_told_apart():
    names = {benchmark.Spec(model, form='folded', engine='torch').name for model in
             ('runs/a/model.safetensors', 'runs/b/model.safetensors', 'model')}
    assert len(names) == 3


def test_a_compiled_engine_loads_no_second_network_until_its_arithmetic_is_asked(tiny_model,
                                                                                 monkeypatch):
    loaded = []
    load = checkpoint.load
    monkeypatch.setattr(checkpoint, 'load', lambda path: (loaded.append(path), load(path))[1])
    candidate = benchmark.Candidate(
        benchmark.Spec(str(tiny_model), SIZE, 'folded', 'onnxruntime'))
    candidate.run(1)
    before = len(loaded)
    assert candidate.gflop > 0 and len(loaded) == before + 1
    assert candidate.gflop > 0 and len(loaded) == before + 1


def test_a_program_out_of_torchs_sight_is_counted_all_the_same(tiny_model, monkeypatch):
    traced = tracing.traced

    def opaque(*given):     # as a CUDA graph is
        program = traced(*given)

        def unseen(*images):
            with _disable_current_modes():
                return program(*images)
        return unseen
    monkeypatch.setattr(tracing, 'traced', opaque)
    candidate = benchmark.Candidate(benchmark.Spec(str(tiny_model), SIZE, 'folded', 'torch'))
    assert candidate.gflop > 0


def test_what_onnxruntime_computes_though_it_is_dry_is_counted(tmp_path, monkeypatch):
    network, guidance = DgMoe((8, 8, 8, 8), deraining=(8, 8)), Guidance()
    checkpoint.save(tmp_path / 'wet.safetensors', network.kind, network.state_dict(),
                    guidance.state_dict(), network.config, 0, guidance.clip_name)
    monkeypatch.setattr(DgMoe, 'dry', lambda *_: [[]])
    monkeypatch.setattr(benchmark, '_fuse', lambda *_: (None, None))    # none is run
    cost = {(engine, outputs): benchmark.Candidate(benchmark.Spec(
        str(tmp_path / 'wet.safetensors'), SIZE, 'folded', engine, outputs=outputs)).gflop
        for engine in ('torch', 'onnxruntime') for outputs in (('fused',), OUTPUTS)}
    assert cost['onnxruntime', ('fused',)] == cost['torch', ('fused',)]
    assert cost['onnxruntime', OUTPUTS] > cost['torch', OUTPUTS]


def test_the_reference_keeps_the_strongest_detail_and_the_visible_colour():
    visible = np.full((64, 96, 3), (200, 60, 60), np.uint8)
    thermal = np.full((64, 96), 90, np.uint8)
    thermal[28:36, 40:56] = 255
    fused = benchmark_peers.laplacian_pyramid(visible, thermal)
    assert fused.shape == visible.shape and fused.dtype == np.uint8
    assert fused[32, 48].mean() > fused[2, 2].mean() + 40
    assert fused[2, 2, 0] > fused[2, 2, 1] + 80, 'red stays red'
    same = benchmark_peers.laplacian_pyramid(np.repeat(thermal[..., None], 3, axis=2), thermal)
    assert np.abs(same[..., 0].astype(int) - thermal).max() <= 1


@pytest.mark.parametrize('name, told', [
    ('numpy', 'module:callable'), ('no_such_module:fuse', 'no_such_module'),
    ('numpy:no_such_thing', 'no_such_thing'), ('numpy:pi', 'not a callable')])
def test_a_peer_that_is_none_is_told(name, told):
    with pytest.raises(benchmark_peers.BenchmarkError, match=told):
        benchmark_peers.load_peer(name)


def test_the_machine_is_told():
    assert {'processor', 'cores', 'flags', 'threads', 'torch'} <= set(describe('cpu'))
    assert peak_memory_mb() > 10


def test_a_gpus_matmul_is_waited_for_before_the_clock_starts_and_stops(monkeypatch):
    steps, clock = [], iter(range(100))
    monkeypatch.setattr(torch.cuda, 'synchronize', lambda device=None: steps.append(str(device)))
    monkeypatch.setattr(torch, 'matmul', lambda *_: steps.append('matmul'))
    monkeypatch.setattr(benchmark_machine.time, 'perf_counter',
                        lambda: (steps.append('clock'), next(clock))[1])
    peak = Peak('float32', 'cpu', side=8)
    peak._device = torch.device('cuda:1')
    peak.measure(1)
    assert steps == ['cuda:1', 'clock', 'matmul', 'cuda:1', 'clock']
    assert peak.gflops == 2 * 8 ** 3 / 1e9


@pytest.mark.parametrize('tf32', [True, False])
def test_a_gpus_float32_peak_is_that_of_what_its_convolutions_take(monkeypatch, tf32):
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', tf32)
    before = torch.get_float32_matmul_precision()
    for device, expected in (('cuda', tf32), ('cpu', before != 'highest')):
        with benchmark_machine._rounded_as_convolutions(torch.device(device)):
            assert torch.backends.cuda.matmul.allow_tf32 == expected
        assert torch.get_float32_matmul_precision() == before


def test_a_gpus_memory_is_told_beside_the_processs_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'max_memory_reserved', {'cuda:1': 3_040_000}.get)
    assert peak_memory('cuda:1')['gpu_memory_mb'] == 3.0
    assert set(peak_memory('cpu')) == {'memory_mb'} and peak_memory('cuda:1')['memory_mb'] > 10


def test_a_row_tells_which_program_ran_whatever_was_asked_for(tiny_model, monkeypatch):
    def program(form, engine, model=tiny_model):
        candidate = benchmark.Candidate(benchmark.Spec(str(model), SIZE, form, engine))
        candidate.run(1)
        return candidate.row({}, {})['program']
    assert program('folded', 'torch') == 'torch'
    assert program('routed', 'torch') == recorded.OPERATORS
    assert program(None, 'python', benchmark.REFERENCE) is None
    monkeypatch.setattr(tracing, 'traced', lambda *_, **__: (_ for _ in ()).throw(ValueError()))
    assert program('folded', 'torch') == recorded.OPERATORS
