# SPDX-License-Identifier: Apache-2.0
"""The machine a benchmark ran on: its processor, its measured matmul peak, a process's memory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import math
import os
from pathlib import Path
import platform
import re
import time

import torch
from torch.utils.flop_counter import FlopCounterMode

MATRIX = {'cpu': 2048, 'cuda': 8192}     # side of the matrices that show the peak
FLAGS = ('amx_bf16', 'avx512_bf16', 'avx512f', 'avx2', 'asimd')


def describe(device: str) -> dict[str, object]:
    """Return processor, cores, what speeds arithmetic up, versions and the load at the start."""
    text = Path('/proc/cpuinfo').read_text() if Path('/proc/cpuinfo').exists() else ''
    model = re.search(r'model name\s*:\s*(.+)', text)
    flags = set(text.split())
    told = {'processor': model[1] if model else platform.processor() or platform.machine(),
            'cores': len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity')
            else os.cpu_count(), 'flags': [flag for flag in FLAGS if flag in flags],
            'threads': torch.get_num_threads(), 'torch': torch.__version__,
            'load_average': round(os.getloadavg()[0], 2)}
    if device != 'cpu':
        told['gpu'] = torch.cuda.get_device_name(device)
    return told


class Peak:
    """The most arithmetic a large torch.matmul has reached, over all the times it was asked."""

    def __init__(self, precision: str, device: str, side: int | None = None):
        kind = torch.device(device).type
        n = side or MATRIX[kind]
        self._a, self._b = (torch.rand(n, n, device=device).to(getattr(torch, precision))
                            for _ in range(2))
        self._work, self._device = 2 * n ** 3 / 1e9, self._a.device
        self.gflops = 0.0

    def measure(self, repeats: int = 2) -> None:
        """Multiply a few times; keeps the best, GFLOP/s."""
        with torch.inference_mode(), _rounded_as_convolutions(self._device):
            for _ in range(repeats):
                _wait_for(self._device)
                began = time.perf_counter()
                torch.matmul(self._a, self._b)
                _wait_for(self._device)
                self.gflops = max(self.gflops, self._work / (time.perf_counter() - began))


def _wait_for(device: torch.device) -> None:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)      # without it, the current GPU


@contextmanager
def _rounded_as_convolutions(device: torch.device) -> Iterator[None]:
    """Let a GPU's float32 matmul take TF32 where cuDNN's convolutions do: by default."""
    before = torch.get_float32_matmul_precision()
    if device.type == 'cuda':
        torch.set_float32_matmul_precision(
            'high' if torch.backends.cudnn.allow_tf32 else 'highest')
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def gflop(call: Callable[[], object]) -> float | None:
    """Count torch's arithmetic inside call(), GFLOP (an addition counts); None without any."""
    fused = (torch.ops.mkldnn._convolution_pointwise, torch.ops.mkldnn._convolution_pointwise_) \
        if torch.backends.mkldnn.is_available() else ()
    with FlopCounterMode(display=False, custom_mapping=dict.fromkeys(fused, _pointwise)) as counter:
        call()
    return counter.get_total_flops() / 1e9 or None


def _pointwise(*shapes: object, out_shape: torch.Size, **_: object) -> int:
    """Count oneDNN's fused convolutions of (x, weight, ...), (x, summand, weight, ...)."""
    weight = [s for s in shapes if isinstance(s, torch.Size) and len(s) == 4][-1]
    return 2 * math.prod(out_shape) * math.prod(weight[1:])


def peak_memory_mb() -> float | None:
    """Return the most memory that this process has had resident, MB; None where /proc is not."""
    status = Path('/proc/self/status')
    found = status.exists() and re.search(r'VmHWM:\s+(\d+) kB', status.read_text())
    return round(int(found[1]) * 1024 / 1e6, 1) if found else None


def peak_memory(device: str) -> dict[str, float | None]:
    """Return a row's memory_mb, and gpu_memory_mb where the device is one: what torch reserved."""
    told = {'memory_mb': peak_memory_mb()}
    if torch.device(device).type == 'cuda':
        told['gpu_memory_mb'] = round(torch.cuda.max_memory_reserved(device) / 1e6, 1)
    return told
