# SPDX-License-Identifier: Apache-2.0
"""Running out of memory costs one frame: the later ones are fused smaller and enlarged again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import dataclasses
import sys
import threading
import traceback

import cv2
import numpy as np

from degfusion_ros.imaging.registration import SMALLEST_SIDE

LARGEST_DIVISOR = 8


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether Python, NumPy, OpenCV, torch, CUDA or an engine found no memory."""
    torch = sys.modules.get('torch')  # not imported for the sake of a question
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return True
    if isinstance(error, MemoryError):
        return True
    # torch's allocator for the processor, OpenCV's, what OpenVINO passes on, CUDA, ONNX Runtime
    words = str(error)
    return any(told in words for told in (
        "can't allocate memory", 'Insufficient memory', 'bad_alloc', 'Cannot allocate memory',
        'CUDA error: out of memory', 'CUBLAS_STATUS_ALLOC_FAILED', 'CUDNN_STATUS_ALLOC_FAILED',
        'Failed to allocate memory'))


def let_go(fuser: object, error: Exception) -> None:
    """Free what there still was room for when memory ran out: pictures, programs, blocks."""
    traceback.clear_frames(error.__traceback__)
    fuser.forget()
    give_gpu_back()


def give_gpu_back() -> None:
    """Hand the GPU memory that torch keeps for later back to the others, where it has any."""
    torch = sys.modules.get('torch')
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


class Frugal:
    """
    Stands before a fuser for the node's threads: the same fuse, refresh and warm_up.

    An error for want of memory passes on, so that the frame is counted; from the next frame on
    the pair is fused at a half, a quarter, an eighth of its size (`divisor` 2, 4, 8), or of as
    much of it as the network needs.
    """

    def __init__(self, fuser: object, warn: Callable[[str], None]):
        self._fuser, self._warn = fuser, warn
        self.divisor = 1
        self._stepping = threading.Lock()

    def warm_up(self, height: int, width: int) -> None:
        """Warm up for the size at which pictures of this one are fused now."""
        with self._watched(height, width):
            divisor = self._divisor_for(height, width)
            self._fuser.warm_up(height // divisor, width // divisor)

    def fuse(self, visible: np.ndarray, thermal: np.ndarray,
             outputs: tuple[str, ...] = ('fused',)) -> object:
        """Fuse as the fuser does; what comes back has the size of what came in."""
        height, width = thermal.shape
        with self._watched(height, width):
            divisor = self._divisor_for(height, width)
            if divisor == 1:
                return self._fuser.fuse(visible, thermal, outputs=outputs)
            fusion = self._fuser.fuse(*_shrunk(divisor, visible, thermal), outputs=outputs)
            return dataclasses.replace(fusion, **{
                name: cv2.resize(getattr(fusion, name), (width, height)) for name in outputs})

    def refresh(self, visible: np.ndarray, thermal: np.ndarray, *rest: object) -> object:
        """Judge as the fuser does, by what is fused: it may derain a whole picture for that."""
        with self._watched(*thermal.shape):
            divisor = self._divisor_for(*thermal.shape)
            if divisor > 1:
                visible, thermal = _shrunk(divisor, visible, thermal)
            return self._fuser.refresh(visible, thermal, *rest)

    def _divisor_for(self, height: int, width: int) -> int:
        divisor = self.divisor  # another thread may step down meanwhile
        while divisor > 1 and min(height, width) // divisor < SMALLEST_SIDE:
            divisor //= 2
        return divisor

    def troubles(self) -> list[str]:
        """Return what /diagnostics shall say, nothing while there is memory enough."""
        if self.divisor == 1:
            return []
        return [f'fuses at 1/{self.divisor} of the size, as memory ran out; free memory and '
                'activate the node again, or set output.size lower']

    @contextmanager
    def _watched(self, height: int, width: int) -> Iterator[None]:
        divisor = self.divisor
        try:
            yield
        except Exception as error:
            if is_out_of_memory(error):
                with self._stepping:
                    # what ran out beside another thread that has stepped down already may fit now
                    if divisor == self.divisor:
                        let_go(self._fuser, error)
                        self._step_down(height, width)
            raise

    def _step_down(self, height: int, width: int) -> None:
        divisor = 2 * self.divisor
        if divisor > LARGEST_DIVISOR or min(height, width) // divisor < SMALLEST_SIDE:
            self._warn('out of memory, and the pictures cannot be made smaller: '
                       'free memory, or set output.size lower')
            return
        self.divisor = divisor
        self._warn(f'out of memory: fuses at 1/{divisor} of the size from now on, until the node '
                   'is activated again; free memory, or set output.size lower')


def _shrunk(divisor: int, *pair: np.ndarray) -> list[np.ndarray]:
    height, width = pair[1].shape
    return [cv2.resize(image, (width // divisor, height // divisor), interpolation=cv2.INTER_AREA)
            for image in pair]
