# SPDX-License-Identifier: Apache-2.0
"""Both stages of TG-ECNet run, resume, and end in a file that the Fuser takes."""

from pathlib import Path

import pytest
from safetensors import SafetensorError
from safetensors.torch import load_file
import torch
import yaml

from degfusion_ros import Fuser
from degfusion_ros.learning import tg_training
from degfusion_ros.learning.loop import TrainingError

CONFIG = Path(__file__).parents[2] / 'config' / 'train'
TINY = {'widths': [16, 16, 16, 16], 'decoder_widths': [16, 16, 16], 'prompt': 16, 'words': 4,
        'encoder_blocks': [1, 1, 1, 1], 'heads': [1, 1, 1, 2]}


def _config(**changes) -> dict:
    config = yaml.safe_load((CONFIG / 'tg_ecnet.yaml').read_text())
    config |= {'network': TINY, 'data': {'sets': ['street'], 'validation_share': 0.3},
               'fresh': 1, 'reservoir': 8, 'workers': 0, 'export_steps': 2, **changes}
    for stage in tg_training.STAGES:
        config[stage] |= {'frames': 2, 'crops': 1, 'crop': 64, 'steps': 2}
    return config


def _part(tensors: dict, part: str) -> dict:
    return {k: v for k, v in tensors.items() if k.startswith(part)}


def _same(one: dict, other: dict) -> bool:
    return bool(one) and all((one[k] == other[k]).all() for k in one)


def test_both_stages_resume_where_they_stopped(pair_root, tmp_path, guidance):
    config = _config()
    config['fusion']['steps'] = 0       # stopped between the stages
    out = tg_training.train(config, tmp_path / 'run', pair_root, guidance)
    first = load_file(out)
    config['fusion']['steps'] = 2
    tg_training.train(config, tmp_path / 'run', pair_root, guidance, resume=True)
    second = load_file(out)
    assert torch.load(tmp_path / 'run/restoration/last.pt', weights_only=True)['step'] == 2
    assert torch.load(tmp_path / 'run/fusion/last.pt', weights_only=True)['step'] == 2
    # stage one, and the guidance, are frozen in stage two
    for part in ('network.restorer.', 'guidance.'):
        assert _same(_part(first, part), _part(second, part))
    assert not _same(_part(first, 'network.fusion.'), _part(second, 'network.fusion.'))
    assert Fuser.load(out, 'cpu', 'float32').name == 'tg_ecnet'
    config |= {'seed': 99, 'restoration': {**config['restoration'], 'steps': 0}}
    # go on from it elsewhere, with stage two alone
    again = tg_training.train({**config, 'start_from': out}, tmp_path / 'more', pair_root, guidance)
    third = load_file(again)
    assert _same(_part(second, 'network.restorer.'), _part(third, 'network.restorer.'))
    fresh = tg_training.train(config, tmp_path / 'fresh', pair_root, guidance)
    near, far = (sum((load_file(x)[k].float() - v.float()).abs().sum() for k, v in
                     _part(second, 'network.fusion.').items()) for x in (again, fresh))
    assert near < 0.5 * far
    # all done: nothing is trained a second time
    tg_training.train(config, tmp_path / 'run', pair_root, guidance, resume=True)
    assert _same(second, load_file(out))


def test_what_is_wrong_is_named(pair_root, tmp_path, guidance):
    with pytest.raises(TrainingError, match='absent'):
        tg_training.train(_config(), tmp_path / 'run', pair_root, tmp_path / 'absent')
    with pytest.raises(TrainingError, match='top_k'):
        tg_training.train(_config(network={**TINY, 'top_k': 9}), tmp_path / 'run', pair_root,
                          guidance)


def test_half_a_frame_a_step_is_taken_in_and_counted_on_resuming(pair_root, tmp_path, guidance,
                                                                 monkeypatch):
    begun, begin = [], tg_training.Reservoir.begin
    monkeypatch.setattr(tg_training.Reservoir, 'begin', lambda reservoir, *args: (
        begun.append(args), begin(reservoir, *args)))
    config = _config(fresh=0.5)
    config['fusion']['steps'] = 0
    tg_training.train(config, tmp_path / 'run', pair_root, guidance)
    config['restoration']['steps'] = 3
    tg_training.train(config, tmp_path / 'run', pair_root, guidance, resume=True)
    assert begun == [(64, 0.0), (64, 1.0)]


def test_stage_two_begins_anew_where_stage_one_has_gone_on(pair_root, tmp_path, guidance):
    config = _config()
    tg_training.train(config, tmp_path / 'run', pair_root, guidance)
    config['restoration']['steps'], config['fusion']['steps'] = 4, 3
    out = tg_training.train(config, tmp_path / 'run', pair_root, guidance, resume=True)
    first = torch.load(tmp_path / 'run/restoration/last.pt', weights_only=True)['ema']
    wanted = {k: v.bfloat16() for k, v in first.items() if k.startswith('network.restorer.')}
    assert _same(wanted, load_file(out))


def test_fewer_steps_than_were_made_still_give_the_network(pair_root, tmp_path, guidance, capsys):
    config = _config()
    out = tg_training.train(config, tmp_path / 'run', pair_root, guidance)
    before = load_file(out)
    out.unlink()
    config['restoration']['steps'] = config['fusion']['steps'] = 1
    tg_training.train(config, tmp_path / 'run', pair_root, guidance, resume=True)
    assert _same(before, load_file(out))
    told = [line for line in capsys.readouterr().err.splitlines() if 'asked for' in line]
    assert [line.split(':')[1].rpartition('/')[2] for line in told] == ['restoration', 'fusion']


def test_torchs_random_numbers_are_a_processs_own_and_are_not_drawn_again(
        pair_root, tmp_path, guidance, monkeypatch):
    drawn, forward = [], tg_training.Restoration.forward
    monkeypatch.setattr(tg_training.Restoration, 'forward', lambda *args: (
        drawn.append(torch.rand(()).item()), forward(*args))[1])
    config = _config()
    config['fusion']['steps'] = 0
    for steps, resume in ((1, False), (2, True)):
        config['restoration']['steps'] = steps
        tg_training.train(config, tmp_path / 'run', pair_root, guidance, resume)
    monkeypatch.setattr(tg_training, 'own_seed', lambda seed: seed + 100)
    config['restoration']['steps'] = 1
    tg_training.train(config, tmp_path / 'other', pair_root, guidance)
    assert len(drawn) == len(set(drawn)) == 3


def test_a_network_that_cannot_be_written_ends_the_run_in_one_line(pair_root, tmp_path, guidance,
                                                                   monkeypatch):
    def full(*args):
        raise SafetensorError('I/O error: No space left on device (os error 28)')
    monkeypatch.setattr('degfusion_ros.models.checkpoint.save_file', full)
    with pytest.raises(TrainingError, match=r'tg_ecnet\.safetensors: cannot be written .*No space'):
        tg_training.train(_config(), tmp_path / 'run', pair_root, guidance)
