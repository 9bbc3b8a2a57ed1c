# SPDX-License-Identifier: Apache-2.0
"""
A GPU's streams, and pictures on the way to it and back; on a CPU nothing of it.

Frames go before judgements: each has a stream of its own, the frames' of high priority, so that a
judgement takes what a frame leaves. Pictures pass through pinned memory, which the GPU reads and
writes by itself, while this thread prepares the next one.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

URGENT, PATIENT = -1, 0     # priorities; CUDA knows none below 0


def stream(device: str, priority: int) -> torch.cuda.Stream | None:
    """Return a stream of a CUDA device, None for a CPU."""
    return torch.cuda.Stream(device, priority) if _cuda(device) else None


@contextmanager
def on(own: torch.cuda.Stream | None) -> Iterator[None]:
    """Let what is within go to a stream of `stream`."""
    if own is None:
        yield
        return
    with torch.cuda.stream(own):
        yield


def settle(own: torch.cuda.Stream | None) -> None:
    """Wait for all that went to a stream: other streams and threads may then use it."""
    if own is not None:
        own.synchronize()


def upload(image: np.ndarray, device: str) -> torch.Tensor:
    """Return an image on a device, perhaps while it is still on the way there."""
    tensor = torch.from_numpy(image)
    return tensor.pin_memory().to(device, non_blocking=True) if _cuda(device) else tensor


def download(images: Sequence[torch.Tensor]) -> list[np.ndarray]:
    """Return images of one device, whole, as arrays here; all copies are on the way at once."""
    if not images or not images[0].is_cuda:
        return [image.numpy() for image in images]
    here = [torch.empty(image.shape, dtype=image.dtype, pin_memory=True).copy_(
        image, non_blocking=True) for image in images]
    torch.cuda.current_stream(images[0].device).synchronize()
    return [image.numpy() for image in here]


def _cuda(device: str) -> bool:
    return torch.device(device).type == 'cuda'
