# SPDX-License-Identifier: Apache-2.0
"""Model files: safetensors with the networks' settings in their metadata; nothing is unpickled."""

import json
import os
from pathlib import Path

from safetensors import safe_open, SafetensorError
from safetensors.torch import save_file
import torch

from degfusion_ros.models.guidance import Guidance
from degfusion_ros.models.image_tower import image_tower
from degfusion_ros.models.network import FusionNetwork
from degfusion_ros.models.table import NETWORKS

VERSION = 2
# what settings and tensors that don't fit make of themselves: widths [] or [0, 0], say
UNFIT = RuntimeError, ValueError, TypeError, LookupError, ArithmeticError


class CheckpointError(RuntimeError):
    """A model file that cannot be used; the message names it, says why and what to do."""


def save(path: Path, kind: str, network: dict[str, torch.Tensor],
         guidance: dict[str, torch.Tensor], config: dict, step: int, clip_name: str) -> None:
    """Write both networks in bfloat16 (half the bytes, no measurable loss), whole or not at all."""
    tensors = {f'network.{k}': v for k, v in network.items()}
    tensors |= {f'guidance.{k}': v for k, v in guidance.items()
                if not k.startswith(('clip.transformer', 'clip.token_embedding'))}
    tensors = {k: (v.bfloat16() if v.is_floating_point() else v).contiguous()
               for k, v in tensors.items()}
    about = {'kind': kind, 'version': str(VERSION), 'config': json.dumps(config),
             'clip': clip_name, 'step': str(step)}
    part = Path(path).with_suffix('.part')
    save_file(tensors, part, about)
    os.replace(part, path)


def read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Return float32 tensors and metadata of a safetensors file, or raise CheckpointError."""
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f'{path}: no such model file')
    try:
        with safe_open(path, framework='pt') as file:
            about = file.metadata() or {}
            tensors = {k: file.get_tensor(k) for k in file.keys()}
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f'{path}: not a readable safetensors file ({error}); '
                              'fetch or train it again') from error
    return {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}, about


def load(path: Path) -> tuple[FusionNetwork, Guidance]:
    """Build both networks of a fusion checkpoint, in float32, ready for inference."""
    tensors, about = read(path)
    kind = about.get('kind')
    if kind not in NETWORKS:
        raise CheckpointError(f'{path}: not a fusion model of this package (its metadata names no '
                              f'kind of {", ".join(NETWORKS)})')
    if about.get('version') != str(VERSION):
        raise CheckpointError(f"{path}: written for version {about.get('version')} of the format, "
                              f'this package reads {VERSION}; train or fetch a matching model')
    try:
        network = NETWORKS[kind](**json.loads(about['config']))
        network.load_state_dict(_part(tensors, 'network.'))
        guidance = _guidance(_part(tensors, 'guidance.'), about['clip'])
    except UNFIT as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f'{path}: does not hold what its metadata says ({reason})') \
            from error
    return network.eval(), guidance.eval()


def load_guidance(path: Path) -> tuple[Guidance, dict[str, torch.Tensor]]:
    """Build the guidance network that `guidance_tensors` finds; also return its tensors."""
    tensors, clip_name = guidance_tensors(path)
    try:
        return _guidance(tensors, clip_name), tensors
    except UNFIT as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f'{path}: does not hold what its metadata says ({reason})') \
            from error


def guidance_tensors(path: Path) -> tuple[dict[str, torch.Tensor], str]:
    """
    Return the guidance's tensors of a file, and its CLIP's name.

    It is a result of `train guidance`, or a fusion checkpoint, which has them less the text tower
    that serves their training alone.
    """
    tensors, about = read(path)
    if about.get('kind') in NETWORKS:
        tensors = _part(tensors, 'guidance.')
    elif about.get('kind') != 'guidance':
        raise CheckpointError(f"{path}: no guidance (its metadata names neither 'guidance' nor one "
                              f'of {", ".join(NETWORKS)} as its kind); train or name another')
    return tensors, about.get('clip', '')


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _guidance(tensors: dict[str, torch.Tensor], clip_name: str) -> Guidance:
    # without statistics, as in the paper, there is no centre of them
    measures = tensors['centre'].numel() if 'centre' in tensors else 0
    tower = image_tower(clip_name)
    if tower is not None:   # what serves training alone stays in the file
        tensors = {k: v for k, v in tensors.items()
                   if k.startswith('clip.visual') or not k.startswith('clip.')}
    guidance = Guidance(clip_name, tower, measures)
    missing, unexpected = guidance.load_state_dict(tensors, strict=False)
    # the text tower serves training alone and may be absent
    needed = [k for k in missing if k.startswith('clip.visual') or not k.startswith('clip.')]
    if needed or unexpected:
        raise KeyError(f'guidance lacks {needed[:2]} or has {unexpected[:2]}')
    # a text tower that was never loaded must not look usable
    for name in ('transformer', 'token_embedding'):
        if any(k.startswith(f'clip.{name}') for k in missing):
            delattr(guidance.clip, name)
    return guidance
