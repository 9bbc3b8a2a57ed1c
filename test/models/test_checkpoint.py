# SPDX-License-Identifier: Apache-2.0
"""Model files: round trip, and one clear line for every kind of wrong file."""

import json
import pickle

import pytest
from safetensors.torch import load_file, save_file
import torch

from degfusion_ros.models import checkpoint
from degfusion_ros.models.checkpoint import CheckpointError
from degfusion_ros.models.dgmoe import DgMoe


def test_round_trip_in_bfloat16(tiny_model):
    network, guidance = checkpoint.load(tiny_model)
    torch.manual_seed(0)
    fresh = DgMoe(**network.config)
    assert not network.training
    torch.testing.assert_close(network.stem.weight, fresh.stem.weight, atol=0.01, rtol=0.01)
    # the text tower is for training only and does not travel
    assert not hasattr(guidance.clip, 'transformer')


def test_wrong_files_get_one_clear_line(tmp_path, tiny_model):
    tensors = load_file(tiny_model)
    cases = {'absent': None, 'truncated': tiny_model.read_bytes()[:5000], 'text': b'hello' * 100,
             'pickle': pickle.dumps(print)}
    for name, data in cases.items():
        path = tmp_path / f'{name}.safetensors'
        if data is not None:
            path.write_bytes(data)
        with pytest.raises(CheckpointError, match=name) as caught:
            checkpoint.load(path)
        assert '\n' not in str(caught.value)
    for name, about in {'other_kind': {'kind': 'detector'},
                        'future': {'kind': 'dgmoe', 'version': '99'},
                        'no_config': {'kind': 'dgmoe', 'version': '2'}}.items():
        path = tmp_path / f'{name}.safetensors'
        save_file(tensors, path, about)
        with pytest.raises(CheckpointError, match=name):
            checkpoint.load(path)


@pytest.mark.parametrize('fixture, wrong', [
    ('tiny_model', {'widths': []}), ('tiny_model', {'widths': [0, 0, 0, 0]}),
    ('tiny_tg_ecnet', {'expert_hidden': float('inf')}), ('tiny_tg_ecnet', {'prompt': 0}),
    ('tiny_model', [])])
def test_settings_that_make_no_network_get_one_clear_line(tmp_path, request, fixture, wrong):
    tensors, about = checkpoint.read(request.getfixturevalue(fixture))
    config = {**json.loads(about['config']), **wrong} if wrong else wrong
    save_file(tensors, tmp_path / 'odd.safetensors', {**about, 'config': json.dumps(config)})
    with pytest.raises(CheckpointError, match='odd.safetensors: does not hold') as caught:
        checkpoint.load(tmp_path / 'odd.safetensors')
    assert '\n' not in str(caught.value)


def test_a_guidance_is_found_in_a_fusion_checkpoint_too(tmp_path, tiny_model):
    _, theirs = checkpoint.load(tiny_model)
    guidance, tensors = checkpoint.load_guidance(tiny_model)
    assert all(torch.equal(x, theirs.state_dict()[k]) for k, x in guidance.state_dict().items())
    assert not any(k.startswith(('guidance.', 'network.')) for k in tensors)
    save_file({'x': torch.zeros(1)}, tmp_path / 'x.safetensors', {'kind': 'detector'})
    with pytest.raises(CheckpointError, match='x.safetensors: no guidance'):
        checkpoint.load_guidance(tmp_path / 'x.safetensors')
    del tensors['mlp.0.weight']
    save_file(tensors, tmp_path / 'y.safetensors', {'kind': 'guidance', 'clip': theirs.clip_name})
    with pytest.raises(CheckpointError, match='y.safetensors: does not hold'):
        checkpoint.load_guidance(tmp_path / 'y.safetensors')


def test_missing_tensors_are_named(tmp_path, tiny_model):
    tensors, about = checkpoint.read(tiny_model)
    del tensors['network.stem.weight']
    save_file(tensors, tmp_path / 'lacking.safetensors', about)
    with pytest.raises(CheckpointError, match='lacking'):
        checkpoint.load(tmp_path / 'lacking.safetensors')
