# SPDX-License-Identifier: Apache-2.0
"""Weighted means of trained weights (model soups, Wortsman et al., ICML 2022), and transplants."""

from collections.abc import Sequence
import os
from pathlib import Path

from safetensors import safe_open, SafetensorError
from safetensors.torch import save_file
import torch

from degfusion_ros.learning.loop import TrainingError
from degfusion_ros.models.checkpoint import read

GUIDANCE = 'guidance.'


def average(files: Sequence[Path], shares: Sequence[float], out: Path,
            only: Sequence[str] = ()) -> int:
    """
    Write the mean of `files` to `out` and return how many tensors were averaged.

    `shares` are the files' weights and are divided by their sum. With `only`, beginnings of
    tensors' names such as 'network.deraining.', all else is the first file's; a file of
    `train guidance` stands for the 'guidance.' of a network's. Settings and data types are the
    first file's. Raises TrainingError where the files do not fit together or `out` cannot be
    written; what stood there before stays.
    """
    if len(files) != len(shares) or not sum(shares) > 0 or min(shares) < 0:
        raise TrainingError(f'weights {" ".join(map(str, shares))}: give one of 0 or more for '
                            f'each of the {len(files)} files, not all of them 0')
    tensors = [_tensors(Path(file)) for file in files]
    first = tensors[0]
    chosen = [key for key in first if not only or key.startswith(tuple(only))]
    unmet = [start for start in only if not any(key.startswith(start) for key in chosen)]
    if unmet or not chosen:
        raise TrainingError(f'{files[0]}: has no tensor named {", ".join(unmet) or "at all"}…; '
                            f'its names begin with {", ".join(_beginnings(first))}')
    for file, other in zip(files[1:], tensors[1:]):
        # nor may a part of it be left behind; a guidance may bring the text tower of its training
        more = [key for key in other if key.startswith(tuple(only) or '') and key not in first
                and not key.startswith(GUIDANCE)]
        for key in chosen + more:
            if key not in other or key not in first or other[key].shape != first[key].shape:
                raise TrainingError(f'{file}: does not have the same {key} as {files[0]}; only '
                                    'files of one network in one size can be averaged')
    total = sum(shares)
    with safe_open(files[0], framework='pt') as file:
        about, whole = file.metadata() or {}, {key: file.get_tensor(key) for key in file.keys()}
    alone = about.get('kind') == 'guidance'
    for key in chosen:
        if first[key].is_floating_point():
            name = key.removeprefix(GUIDANCE) if alone else key
            mean = sum(share / total * other[key] for share, other in zip(shares, tensors)
                       if share)
            whole[name] = mean.to(whole[name].dtype).contiguous()
    part = Path(out).with_suffix('.part')
    try:
        save_file(whole, part, about)
        os.replace(part, out)
    except (SafetensorError, OSError) as error:     # no such folder, a full disk
        raise TrainingError(f'{out}: cannot be written: {error}') from error
    finally:
        part.unlink(missing_ok=True)
    return len(chosen)


def _tensors(file: Path) -> dict[str, torch.Tensor]:
    tensors, about = read(file)
    if about.get('kind') == 'guidance':
        return {GUIDANCE + key: value for key, value in tensors.items()}
    return tensors


def _beginnings(tensors: dict[str, torch.Tensor]) -> list[str]:
    return sorted({'.'.join(key.split('.')[:2]) + '.' for key in tensors})
