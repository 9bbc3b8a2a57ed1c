# SPDX-License-Identifier: Apache-2.0
"""Sizes that fit, and those that are refused."""

import pytest
import torch

from degfusion_ros.models.tg_unet import Decoder, Encoder, Size

TINY = {'widths': (8, 8, 12, 16), 'decoder_widths': (8, 8, 12), 'encoder_blocks': (1, 1, 1, 1),
        'heads': (1, 1, 1, 2), 'prompt': 8, 'words': 4}


@torch.no_grad()
def test_one_feature_map_a_level_and_back():
    size = Size(**TINY)
    encoder, prompts = Encoder(size, 16), torch.randn(1, 8)
    folds = [[m.fold(m.gates(prompts).weights[0])] for m in encoder.mixtures]
    features = encoder(torch.randn(2, 16, 16, 24), folds, [])
    assert [tuple(f.shape[1:]) for f in features] == \
        [(8, 16, 24), (8, 8, 12), (12, 4, 6), (16, 2, 3)]
    plain, hinted = Decoder(size)(features), Decoder(size)(features, torch.ones(2, 8, 16, 24))
    assert plain.shape == hinted.shape == (2, 8, 16, 24)


@pytest.mark.parametrize('changes, named', [
    ({'heads': (1, 1)}, 'heads'), ({'gate': 'row'}, 'gate'), ({'kinds': ('lstm',) * 4}, 'kinds'),
    ({'gate': 'pixel'}, 'expert_kernels'), ({'fusion_levels': 4}, 'fusion_levels'),
    ({'top_k': 7}, 'top_k'), ({'decoder_widths': (16, 8, 12)}, 'decoder_widths'),
])
def test_a_wrong_size_is_named(changes, named):
    with pytest.raises(ValueError, match=named):
        Size(**TINY | changes)
