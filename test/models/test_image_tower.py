# SPDX-License-Identifier: Apache-2.0
"""The image tower without open_clip gives what open_clip gives, from the same weights."""

import subprocess
import sys

import open_clip
import pytest
import torch

from degfusion_ros.models.clip import create_clip
from degfusion_ros.models.image_tower import image_tower, ImageTower, SMALL

TINY = {'embed_dim': 32, 'quick_gelu': True,
        'vision_cfg': {'image_size': 64, 'layers': 2, 'width': 64, 'head_width': 32,
                       'patch_size': 16},
        'text_cfg': {'context_length': 8, 'vocab_size': 16, 'width': 32, 'heads': 2, 'layers': 1}}


def check(theirs, ours, size):
    visual = theirs.visual.eval()
    assert list(ours.visual.state_dict()) and \
        set(ours.visual.state_dict()) == set(visual.state_dict())
    ours.visual.load_state_dict(visual.state_dict())
    images = torch.rand(2, 3, size, size)
    with torch.inference_mode():
        assert torch.allclose(theirs.encode_image(images), ours.eval().encode_image(images),
                              atol=2e-5)


def test_the_shipped_tower_is_open_clips():
    check(create_clip(SMALL)[0], image_tower(SMALL), 224)


def test_a_quick_gelu_tower_is_open_clips():
    theirs = open_clip.model.CLIP(
        TINY['embed_dim'], open_clip.CLIPVisionCfg(**TINY['vision_cfg']),
        open_clip.CLIPTextCfg(**TINY['text_cfg']), quick_gelu=True)
    check(theirs, ImageTower(TINY), 64)


def test_the_published_vit_has_the_same_tensors():
    with torch.device('meta'):
        theirs = open_clip.create_model('ViT-B-32', pretrained=None, device='meta')
        ours = image_tower('ViT-B-32')
    shapes = {name: t.shape for name, t in theirs.visual.state_dict().items()}
    assert {name: t.shape for name, t in ours.visual.state_dict().items()} == shapes


@pytest.mark.parametrize('name', ['RN50', 'coca_ViT-B-32', 'no-such-clip',
                                  '../models/degfusion-small'])
def test_what_is_no_plain_vit_is_left_to_open_clip(name):
    assert image_tower(name) is None


def test_judging_imports_no_open_clip():
    code = ('import sys; from degfusion_ros.models.image_tower import image_tower; '
            f'assert image_tower("{SMALL}"); '
            'assert not {"open_clip", "torchvision", "peft"} & set(sys.modules)')
    subprocess.run([sys.executable, '-c', code], check=True)
