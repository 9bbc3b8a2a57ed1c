# SPDX-License-Identifier: Apache-2.0
"""CLIP towers, LoRA through peft, and published weights from a local file."""

import open_clip
import pytest
from safetensors.torch import save_file
import torch

from degfusion_ros.imaging.statistics import COUNT
from degfusion_ros.models import clip as clips
from degfusion_ros.models.guidance import Guidance


def _views(batch: int = 1) -> torch.Tensor:
    return torch.randint(0, 256, (batch, 2, 3, 224, 224), dtype=torch.uint8)


def _measures(batch: int = 1) -> torch.Tensor:
    return torch.randn(batch, COUNT)


@torch.no_grad()
def test_judgement_has_a_row_per_pair():
    told = Guidance().eval()(_views(2), _measures(2))
    assert told.visible.shape == (2, 6) and told.thermal.shape == (2, 4)
    assert told.vector.shape == (2, 512) and told.features.shape == (4, 512)
    assert 0 <= told.visible_severity.min() and told.visible_severity.max() <= 1


@torch.no_grad()
def test_statistics_are_standardised_clamped_and_can_be_left_out():
    torch.manual_seed(0)
    guidance, views, measures = Guidance().eval(), _views(), 40 + 3 * torch.randn(50, COUNT)
    guidance.standardise(measures)
    torch.testing.assert_close(guidance.centre, measures.mean(0))
    far, farther = (guidance(views, measures[:1] + 1000 * k).vector for k in (1, 2))
    assert torch.equal(far, farther)
    assert not torch.equal(far, guidance(views, measures[:1]).vector)
    plain = Guidance(measures=0).eval()
    assert torch.equal(plain(views, measures[:1]).vector, plain(views, measures[1:2]).vector)
    with pytest.raises(ValueError, match='7 statistics'):
        Guidance(measures=7)


def test_lora_trains_few_parameters_and_merges_exactly():
    torch.manual_seed(0)
    guidance = Guidance().eval()
    keys = set(guidance.state_dict())
    seen = _views(), _measures()
    with torch.no_grad():
        before = guidance(*seen).vector
        lora = clips.add_lora(guidance.clip, rank=4)
        trained = [p for p in guidance.clip.visual.parameters() if p.requires_grad]
        share = sum(p.numel() for p in trained) / sum(
            p.numel() for p in guidance.clip.visual.parameters())
        for p in trained:
            p.add_(torch.randn_like(p) * 0.05)
        adapted = guidance(*seen).vector
        assert clips.adapters(lora)
        clips.merge_lora(guidance.clip, lora)
        merged = guidance(*seen).vector
    assert 0.005 < share < 0.06
    assert (adapted - before).abs().max() > 1e-3
    torch.testing.assert_close(merged, adapted, atol=1e-4, rtol=1e-4)
    assert set(guidance.state_dict()) == keys


def test_published_weights_load_from_a_local_file(tmp_path):
    torch.manual_seed(0)
    published = open_clip.create_model('ViT-B-32', pretrained=None)
    save_file({k: v.contiguous() for k, v in published.state_dict().items()},
              tmp_path / 'vit.safetensors')
    loaded, tokenizer = clips.create_clip('ViT-B-32', tmp_path / 'vit.safetensors')
    for (name, a), b in zip(published.state_dict().items(), loaded.state_dict().values()):
        assert torch.equal(a, b), name
    assert tokenizer(['a clean visible image']).shape == (1, 77)
    guidance = Guidance('ViT-B-32', loaded).eval()
    with torch.no_grad():
        assert guidance(_views(), _measures()).vector.shape == (1, 512)


def test_judging_makes_no_tokenizer(monkeypatch):
    """That of a SigLIP would be looked up in a hub of models."""
    for module, name in ((clips, 'WordTokenizer'), (open_clip, 'get_tokenizer')):
        monkeypatch.setattr(module, name, None)
    Guidance()


def test_unusable_clip_names_are_refused(tmp_path):
    with pytest.raises(ValueError, match='no-such-clip'):
        clips.create_clip('no-such-clip')
    with pytest.raises(ValueError, match='roberta-ViT-B-32.*hub'):
        clips.create_clip('roberta-ViT-B-32')
    with pytest.raises(FileNotFoundError, match='absent.safetensors'):
        clips.create_clip('ViT-B-32', tmp_path / 'absent.safetensors')


def test_tokenizer_ends_every_text_with_its_largest_id():
    tokens = clips.WordTokenizer()(['a clean visible image', 'a thermal image with heavy stripe'])
    assert tokens.shape == (2, 24)
    assert (tokens.max(dim=1).values == 63).all()
    assert (tokens == 63).sum(dim=1).tolist() == [1, 1]
    with pytest.raises(KeyError):
        clips.WordTokenizer()(['elephants'])
