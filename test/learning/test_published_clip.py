# SPDX-License-Identifier: Apache-2.0
"""A published CLIP, from its file through both training stages to fused pictures."""

import json
from pathlib import Path

import open_clip
import pytest
from safetensors.torch import load_file, save_file
import torch
import yaml

from degfusion_ros.__main__ import main
from degfusion_ros.models import checkpoint, clip as clips

NAME = 'test-ViT-B-32'      # ViT-B-32's shape of file, fewer and narrower layers
CONFIG = Path(__file__).parents[2] / 'config' / 'train'
# where peft keeps an adapter -> the published weight that it changes
SITES = {'attn': 'attn.in_proj_weight', 'attn.base_layer.out_proj': 'attn.out_proj.weight',
         'mlp.c_fc': 'mlp.c_fc.weight', 'mlp.c_proj': 'mlp.c_proj.weight'}


@pytest.fixture(scope='module')
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp('clip')
    (folder / f'{NAME}.json').write_text(json.dumps({
        'embed_dim': 512,
        'vision_cfg': {'image_size': 224, 'layers': 2, 'width': 64, 'head_width': 32,
                       'patch_size': 32},
        'text_cfg': {'context_length': 77, 'vocab_size': 49408, 'width': 32, 'heads': 2,
                     'layers': 1}}))
    open_clip.add_model_config(folder / f'{NAME}.json')
    torch.manual_seed(0)
    tensors = {k: v.contiguous() for k, v in
               open_clip.create_model(NAME, pretrained=None).state_dict().items()}
    save_file(tensors, folder / 'published.safetensors')
    return folder / 'published.safetensors', tensors


def test_training_adapts_merges_and_ends_in_fused_pictures(published, pair_root, tmp_path):
    file, base = published
    config = {'clip': NAME, 'weights': str(file), 'seed': 1, 'nights': {}, 'only_clean': False,
              'data': {'sets': ['street'], 'validation_share': 0.3}, 'workers': 0, 'batch': 2,
              'fresh': 1, 'reservoir': 34, 'pretrain_steps': 2, 'lr': 1e-3, 'lora_rank': 4,
              'lora_steps': 2, 'lora_lr': 1e-2, 'held_back': 2, 'visible_from': 0.3,
              'report_steps': 2, 'report': 0,
              'read_out': {'steps': 2, 'batch': 8, 'lr': 1e-3, 'weight_decay': 0.05,
                           'report_steps': 2}}
    (tmp_path / 'train.yaml').write_text(yaml.safe_dump(config))
    out = tmp_path / 'run'
    assert main(['train', 'guidance', '--config', str(tmp_path / 'train.yaml'),
                 '--data', str(pair_root), '--output', str(out)]) == 0
    assert not (out / 'pretrain').exists()      # published weights are adapted, not retrained
    adapters = load_file(out / 'adapters.safetensors')
    assert adapters and all('lora_' in key for key in adapters)
    # B starts at zero: what it holds was learnt
    learnt = {key for key, value in adapters.items() if 'lora_B' in key and value.any()}
    assert learnt == {f'transformer.resblocks.{layer}.{site}.lora_B.default.weight'
                      for layer in (0, 1) for site in SITES}
    trained = load_file(out / 'guidance.safetensors')
    moved = {key for key, value in base.items() if not torch.equal(trained[f'clip.{key}'], value)}
    assert moved and all(key.startswith('visual.transformer') for key in moved)
    assert not [key for key in moved if 'ln_' in key]
    assert moved == {f'visual.transformer.resblocks.{layer}.{name}'
                     for layer in (0, 1) for name in SITES.values()}
    for layer in (0, 1):
        for site in ('attn', 'mlp.c_fc', 'mlp.c_proj'):
            a, b = (adapters[f'transformer.resblocks.{layer}.{site}.lora_{x}.default.weight']
                    for x in 'AB')
            key = f'visual.transformer.resblocks.{layer}.{SITES[site]}'
            torch.testing.assert_close(trained[f'clip.{key}'], base[key] + 2 * b @ a)
    again = clips.create_clip(NAME, file)[0]
    lora = clips.add_lora(again, config['lora_rank'])
    assert not lora.model.load_state_dict(adapters, strict=False).unexpected_keys
    clips.merge_lora(again, lora)
    for key, value in again.state_dict().items():
        torch.testing.assert_close(trained[f'clip.{key}'], value)

    guidance = checkpoint.load_guidance(out / 'guidance.safetensors')[0].eval()
    steered = {**yaml.safe_load((CONFIG / 'fusion.yaml').read_text()), 'frames': 2, 'crop': 64,
               'network': {'widths': [8, 8], 'plain': [0, 0], 'decoder': [1]}, 'fresh': 1,
               'data': config['data'], 'reservoir': 8, 'workers': 0, 'steps': 2, 'export_steps': 2}
    (tmp_path / 'fusion.yaml').write_text(yaml.safe_dump(steered))
    assert main(['train', 'fusion', '--config', str(tmp_path / 'fusion.yaml'), '--data',
                 str(pair_root), '--guidance', str(out / 'guidance.safetensors'), '--output',
                 str(tmp_path / 'fusion')]) == 0
    fusion = tmp_path / 'fusion' / 'dgmoe.safetensors'
    loaded = checkpoint.load(fusion)[1]
    assert loaded.clip_name == NAME
    views = torch.randint(0, 256, (1, 2, 3, 224, 224), dtype=torch.uint8)
    measures = torch.randn(1, len(guidance.centre))
    with torch.inference_mode():
        torch.testing.assert_close(loaded(views, measures).vector,
                                   guidance(views, measures).vector, atol=0.05, rtol=0.05)
    pairs = pair_root / 'street'
    assert main(['fuse', '--model', str(fusion), '--visible', str(pairs / 'visible'), '--thermal',
                 str(pairs / 'thermal'), '--output', str(tmp_path / 'fused')]) == 0
    names = {p.stem for p in (pairs / 'visible').iterdir()}
    assert {p.stem for p in (tmp_path / 'fused' / 'fused').iterdir()} == names
