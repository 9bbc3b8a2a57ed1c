# SPDX-License-Identifier: Apache-2.0
"""
CLIP's image tower alone, for judging: open_clip's ViT with its very weights and state keys.

Importing open_clip takes 0.3 GB and seconds (torchvision, torch's compiler, transformers), which a
robot has better use for. Training goes through open_clip itself (clip.py).
"""

import importlib.util
import json
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

SMALL = 'degfusion-small'     # the shipped CLIP, trained from scratch
PLAIN = {'image_size', 'layers', 'width', 'head_width', 'patch_size', 'mlp_ratio'}


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # B x L x 3D to B x heads x L x 3 D/heads
        joint = functional.linear(x, self.in_proj_weight, self.in_proj_bias)
        q, k, v = (part.unflatten(2, (self.heads, -1)).transpose(1, 2)
                   for part in joint.chunk(3, dim=2))
        seen = functional.scaled_dot_product_attention(q, k, v)
        return self.out_proj(seen.transpose(1, 2).flatten(2))


class _QuickGelu(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(1.702 * x)


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, hidden: int, quick: bool):
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(width), _Attention(width, heads)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential()
        for name, layer in (('c_fc', nn.Linear(width, hidden)),
                            ('gelu', _QuickGelu() if quick else nn.GELU()),
                            ('c_proj', nn.Linear(hidden, width))):
            self.mlp.add_module(name, layer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class _Visual(nn.Module):
    def __init__(self, output_dim: int, quick: bool, image_size: int, layers: int, width: int,
                 patch_size: int, head_width: int = 64, mlp_ratio: float = 4.0):
        super().__init__()
        self.output_dim = output_dim
        self.conv1 = nn.Conv2d(3, width, patch_size, stride=patch_size, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(width))
        tokens = (image_size // patch_size) ** 2 + 1
        self.positional_embedding = nn.Parameter(torch.empty(tokens, width))
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.transformer = nn.Module()
        self.transformer.resblocks = nn.Sequential(*(
            _Block(width, width // head_width, int(width * mlp_ratio), quick)
            for _ in range(layers)))
        self.proj = nn.Parameter(torch.empty(width, output_dim))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        patches = self.conv1(images).flatten(2).transpose(1, 2)             # B x L x D
        first = self.class_embedding.to(patches.dtype).expand(len(patches), 1, -1)
        x = torch.cat([first, patches], dim=1) + self.positional_embedding.to(patches.dtype)
        x = self.transformer.resblocks(self.ln_pre(x))
        return self.ln_post(x[:, 0]) @ self.proj


class ImageTower(nn.Module):
    """Stands where open_clip's CLIP does, with its image tower alone: `visual`, encode_image."""

    def __init__(self, config: dict):
        super().__init__()
        self.visual = _Visual(config['embed_dim'], config.get('quick_gelu', False),
                              **config['vision_cfg'])

    def encode_image(self, images: torch.Tensor) -> torch.Tensor:
        """Return the features of normalised images, B x 3 x H x W to B x output_dim."""
        return self.visual(images)


def image_tower(name: str) -> ImageTower | None:
    """
    Build the image tower of a CLIP by its open_clip name; its weights are not set.

    None where it is not a plain ViT, or no such name: open_clip itself must then answer.
    """
    if Path(name).name != name:
        return None
    folders = [Path(__file__).parent]
    spec = importlib.util.find_spec('open_clip')    # its files, without importing it
    if spec is not None:
        folders += [Path(p) / 'model_configs' for p in spec.submodule_search_locations]
    for folder in folders:
        file = folder / f'{name}.json'
        if file.is_file():
            config = json.loads(file.read_text())
            vision = config.get('vision_cfg', {})
            plain = isinstance(vision.get('layers'), int) and set(vision) <= PLAIN
            return ImageTower(config) if plain else None
    return None
