# SPDX-License-Identifier: Apache-2.0
"""Training the guidance: several processes, d_deg held, resuming, and nights."""

import os
from pathlib import Path
import subprocess
import sys

import pytest
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
import torch
import yaml

from degfusion_ros.learning import fusion_training, guidance_training
from degfusion_ros.learning.guidance_training import GuidanceTask
from degfusion_ros.learning.loop import TrainingError
from degfusion_ros.learning.reservoir import Reservoir
from degfusion_ros.models.guidance import Guidance

CONFIG = Path(__file__).parents[2] / 'config' / 'train'


def _config(steps: int, **changes) -> dict:
    config = yaml.safe_load((CONFIG / 'guidance.yaml').read_text())
    return {**config, 'data': {'sets': ['street'], 'validation_share': 0.3}, 'batch': 2, 'fresh': 1,
            'reservoir': 32, 'workers': 0, 'nights': {}, 'only_clean': False, 'held_back': 2,
            'pretrain_steps': 0, 'lora_steps': 0, 'report_steps': 9, 'report': 0,
            'read_out': {'steps': steps, 'batch': 16, 'lr': 0.05, 'weight_decay': 0.0,
                         'report_steps': 9}, **changes}


@pytest.fixture
def start(tmp_path):
    guidance = Guidance()
    save_file(guidance.state_dict(), tmp_path / 'start.safetensors',
              {'clip': guidance.clip_name, 'kind': 'guidance'})
    return tmp_path / 'start.safetensors'


def test_two_processes_train_one_guidance(pair_root, tmp_path):
    config = _config(1, pretrain_steps=1, lora_steps=1)
    (tmp_path / 'config.yaml').write_text(yaml.safe_dump(config))
    done = subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node',
         '2', '-m', 'degfusion_ros', 'train', 'guidance', '--config', tmp_path / 'config.yaml',
         '--data', pair_root, '--output', tmp_path / 'out'],
        capture_output=True, text=True, timeout=100, env={**os.environ, 'OMP_NUM_THREADS': '1'})
    assert done.returncode == 0, done.stderr[-2000:]
    for phase in ('pretrain', 'lora', 'read_out'):
        last = torch.load(tmp_path / 'out' / phase / 'last.pt', weights_only=True)
        assert (last['step'], last['processes']) == (1, 2)
    assert load_file(tmp_path / 'out' / 'guidance.safetensors')


@pytest.mark.parametrize('given, told', [
    ({'weights': 'absent.safetensors'}, r'weights absent\.safetensors: cannot be loaded \(absent'),
    ({'clip': 'ViT-B32', 'weights': 'a.pt'}, 'clip ViT-B32, .*no such CLIP; use degfusion-small')])
def test_a_clip_that_is_not_there_is_named(pair_root, tmp_path, given, told):
    with pytest.raises(TrainingError, match=told):
        guidance_training.train(_config(1, **given), tmp_path / 'out', pair_root)


def test_weights_that_cannot_be_read_are_named(pair_root, tmp_path):
    (tmp_path / 'broken.safetensors').write_bytes(b'no tensors')
    config = _config(1, weights=str(tmp_path / 'broken.safetensors'))
    with pytest.raises(TrainingError, match=r'broken\.safetensors: cannot be loaded \('):
        guidance_training.train(config, tmp_path / 'out', pair_root)


@pytest.mark.parametrize('steps', ['pretrain_steps', 'lora_steps'])
def test_what_would_move_a_held_vector_is_refused(pair_root, tmp_path, start, steps):
    config = _config(1, start_from=start, hold=True, **{steps: 1})
    with pytest.raises(TrainingError, match='hold: .*pretrain_steps and lora_steps .*both to 0'):
        guidance_training.train(config, tmp_path / 'out', pair_root)


def test_a_resumed_run_holds_the_vectors_that_it_began_with(pair_root, tmp_path, start,
                                                           monkeypatch):
    seen, forward = [], GuidanceTask.forward
    monkeypatch.setattr(GuidanceTask, 'forward', lambda task, batch: (
        seen.append(batch['vector']) or forward(task, batch)))
    for steps, resume in ((2, False), (3, True)):       # the same samples, drawn by the same seed
        guidance_training.train(_config(steps, start_from=start, hold=True), tmp_path / 'out',
                                pair_root, resume)
    first, _, resumed = seen
    assert torch.equal(first, resumed)


def test_a_resumed_run_keeps_the_scale_of_its_measures(pair_root, tmp_path):
    first, other = (load_file(guidance_training.train(      # the other seed draws other samples
        _config(steps, seed=steps), tmp_path / 'out', pair_root, resume=steps > 1))
        for steps in (1, 2))
    assert torch.equal(first['centre'], other['centre'])


def test_a_resumed_run_draws_other_samples_and_as_many_as_it_had(pair_root, tmp_path, start,
                                                                monkeypatch):
    begun, seeds = [], []
    begin, stream = Reservoir.begin, guidance_training.JudgedStream
    monkeypatch.setattr(Reservoir, 'begin', lambda reservoir, *args: (
        begun.append(args[:2]), begin(reservoir, *args)))
    monkeypatch.setattr(guidance_training, 'JudgedStream', lambda pairs, seed, *rest, **more: (
        seeds.append(seed), stream(pairs, seed, *rest, **more))[1])
    for steps, resume in ((2, False), (3, True)):
        config = _config(0, lora_steps=steps, fresh=1.5, seed=7)
        guidance_training.train(config, tmp_path / 'guidance', pair_root, resume)
    assert begun == [(32, 0.0), (32, 3.0)] and seeds[::2] == [7, 9]
    begun.clear()
    config = yaml.safe_load((CONFIG / 'pkdm.yaml').read_text())
    config |= {'network': {'widths': [8, 8], 'decoder': [1]}, 'data': _config(1)['data'],
               'frames': 2, 'crop': 64, 'fresh': 3, 'reservoir': 8, 'workers': 0}
    for steps, resume in ((2, False), (3, True)):
        fusion_training.train({**config, 'steps': steps}, tmp_path / 'fusion', pair_root, start,
                              resume)
    assert begun == [(64, 0), (64, 6)]


def test_sets_without_nights_are_told_how_to_do_without(pair_root):
    config = _config(1, nights={'max_luminance': 1})
    with pytest.raises(TrainingError, match=r'as dark as `nights` wants; set nights: \{\}'):
        guidance_training._samples(config, pair_root, 0)


def test_phases_begin_anew_where_an_earlier_one_has_gone_on(pair_root, tmp_path):
    for steps in (1, 2):
        guidance_training.train(_config(1, pretrain_steps=steps, lora_steps=1), tmp_path,
                                pair_root, resume=steps > 1)
    last = [torch.load(tmp_path / phase / 'last.pt', weights_only=True)['model']
            for phase in ('pretrain', 'lora', 'read_out')]
    name = next(k for k in last[0] if k.startswith('guidance.clip.visual') and 'conv1' in k)
    assert all(torch.equal(last[0][name], other[name]) for other in last[1:])


def test_nights_that_are_missing_at_the_end_are_missed_before_the_first_step(pair_root, tmp_path):
    nights = {'max_luminance': 255, 'validation_share': 0.0}
    config = _config(0, pretrain_steps=1, nights=nights, report=7)
    with pytest.raises(TrainingError, match='no pair held back is as dark as `nights` wants; '
                                            'set nights: {}, or raise its validation_share'):
        guidance_training.train(config, tmp_path / 'out', pair_root)
    assert not (tmp_path / 'out').exists()


def test_torchs_random_numbers_are_a_processs_own_and_are_not_drawn_again(pair_root, tmp_path,
                                                                          monkeypatch):
    drawn, forward = [], GuidanceTask.forward
    monkeypatch.setattr(GuidanceTask, 'forward', lambda *args: (
        drawn.append(torch.rand(()).item()), forward(*args))[1])
    for steps, resume in ((1, False), (2, True)):
        guidance_training.train(_config(steps), tmp_path / 'run', pair_root, resume)
    monkeypatch.setattr(guidance_training, 'own_seed', lambda seed: seed + 100)
    guidance_training.train(_config(1), tmp_path / 'other', pair_root)
    assert len(drawn) == len(set(drawn)) == 3


@pytest.mark.parametrize('name', ['adapters', 'guidance'])
def test_a_full_disk_is_told_in_one_line_and_leaves_what_was_there(pair_root, tmp_path, monkeypatch,
                                                                   name):
    save = guidance_training.save_file

    def full(tensors, path, about=None):
        if path.stem == name:
            path.write_bytes(b'half')
            raise SafetensorError('I/O error: No space left on device (os error 28)')
        save(tensors, path, about)
    monkeypatch.setattr(guidance_training, 'save_file', full)
    (tmp_path / f'{name}.safetensors').write_bytes(b'whole')
    with pytest.raises(TrainingError, match=rf'{name}\.safetensors: cannot be written .*No space'):
        guidance_training.train(_config(0), tmp_path, pair_root)
    assert (tmp_path / f'{name}.safetensors').read_bytes() == b'whole'
    assert not list(tmp_path.glob('*.part'))
