# SPDX-License-Identifier: Apache-2.0
"""CLIP towers from open_clip: the small one trained here, or a published one from a file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import logging
from pathlib import Path

import open_clip
from peft import LoraConfig, LoraModel
import torch
from torch import nn

from degfusion_ros.models.image_tower import SMALL

# LoRA sites of open_clip's ViT. `attn` stands for its `in_proj` and `out_proj`; peft 0.21 counts
# the adapter of the latter twice, in the forward pass and in the merge alike.
LORA_TARGETS = ('attn', 'c_fc', 'c_proj')
_WORDS = ('a', 'visible', 'thermal', 'image', 'with', 'and', 'clean', 'slight', 'moderate', 'heavy',
          'fog', 'low', 'light', 'overexposure', 'rain', 'noise', 'blur', 'stripe', 'contrast')


class WordTokenizer:
    """
    Tokenizer of the closed vocabulary in which degradations are described.

    0 pads, 1 starts and the highest id ends a text, because open_clip's text tower reads the
    feature at the position of the largest id.
    """

    def __init__(self, context_length: int = 24, vocab_size: int = 64):
        self.context_length, self.end = context_length, vocab_size - 1
        self.ids = {word: i + 2 for i, word in enumerate(_WORDS)}

    def __call__(self, texts: list[str]) -> torch.Tensor:
        """Return token ids, int64 (len(texts), context_length); a foreign word raises KeyError."""
        out = torch.zeros(len(texts), self.context_length, dtype=torch.long)
        for row, text in zip(out, texts):
            ids = [1, *(self.ids[w] for w in text.replace(',', ' ').split())]
            ids = [*ids[:self.context_length - 1], self.end]
            row[:len(ids)] = torch.tensor(ids)
        return out


def create_clip(name: str = SMALL, weights: str | Path | None = None,
                ) -> tuple[open_clip.CLIP, Callable[[list[str]], torch.Tensor]]:
    """
    Build a CLIP model as `clip_model` does, and its tokenizer, which training needs.

    That of some models (SigLIP's) is looked up in a hub of models.
    """
    clip = clip_model(name, weights)
    return clip, WordTokenizer() if name == SMALL else open_clip.get_tokenizer(name)


def clip_model(name: str = SMALL, weights: str | Path | None = None) -> open_clip.CLIP:
    """
    Build a CLIP model, asking nobody; without `weights` it is randomly initialised.

    `name` is 'degfusion-small' or any of open_clip's models (such as 'ViT-B-32'); `weights` is a
    local checkpoint of it (.safetensors, or a .pt holding tensors only), never a download.
    Raises ValueError for an unknown name, or one whose text tower only a hub of models has;
    FileNotFoundError for a missing file.
    """
    if SMALL not in open_clip.list_models():
        open_clip.add_model_config(Path(__file__).with_name(f'{SMALL}.json'))
    if name not in open_clip.list_models():
        raise ValueError(f'guidance {name!r}: no such CLIP; use {SMALL} or a name of open_clip')
    if 'hf_model_name' in open_clip.get_model_config(name)['text_cfg']:
        raise ValueError(f'guidance {name!r}: its text tower is from a hub of models; use {SMALL} '
                         'or another of open_clip')
    if weights is not None and not Path(weights).is_file():
        raise FileNotFoundError(f'{weights}: no such CLIP weights file')
    with _quiet_without(weights):
        clip = open_clip.create_model(name, pretrained=None if weights is None else str(weights))
    _sequence_first(clip.visual)
    return clip


def _sequence_first(visual: nn.Module) -> None:
    """
    Let a ViT's attention see contiguous L x N x D input; same weights, same result.

    Batch first, torch transposes inside and, at inference, multiplies token by token with a copy of
    the weights for each: 15 times slower on a CPU.
    """
    transformer = getattr(visual, 'transformer', None)
    if getattr(transformer, 'batch_first', False):
        transformer.batch_first = False
        for module in transformer.modules():
            if isinstance(module, nn.MultiheadAttention):
                module.batch_first = False


@contextmanager
def _quiet_without(weights: str | Path | None) -> Iterator[None]:
    # open_clip warns of random weights on the root logger; ours are loaded a moment later
    log = logging.getLogger()
    hide = (lambda record: 'No pretrained weights' not in record.getMessage()) \
        if weights is None else (lambda record: True)
    log.addFilter(hide)
    try:
        yield
    finally:
        log.removeFilter(hide)


def add_lora(clip: open_clip.CLIP, rank: int = 8) -> LoraModel:
    """Freeze `clip` and add LoRA adapters, which alone train, to its image tower (in place)."""
    clip.requires_grad_(False)
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=list(LORA_TARGETS))
    return LoraModel(clip.visual, config, 'default')


def adapters(lora: LoraModel) -> dict[str, torch.Tensor]:
    """Return the LoRA tensors alone, for saving beside published base weights."""
    return {k: v.contiguous() for k, v in lora.model.state_dict().items() if 'lora_' in k}


def merge_lora(clip: open_clip.CLIP, lora: LoraModel) -> None:
    """Fold the adapters into the base weights; state keys are the base model's again."""
    clip.visual = lora.merge_and_unload()
