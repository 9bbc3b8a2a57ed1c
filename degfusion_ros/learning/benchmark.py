# SPDX-License-Identifier: Apache-2.0
"""Measure candidates side by side in one process: in turns, so that all meet the same machine."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
import time

import cv2
import numpy as np
import torch

from degfusion_ros.fuser import find_model, Fuser
from degfusion_ros.learning.benchmark_forms import forms_of, in_form
from degfusion_ros.learning.benchmark_machine import gflop, Peak
from degfusion_ros.learning.benchmark_peers import laplacian_pyramid, load_peer, pair, REFERENCE
from degfusion_ros.models import checkpoint

BLOCK = 4   # frames of one candidate in a row; one more before them fills the caches


@dataclass(frozen=True)
class Spec:
    """What is to be measured; `name` tells all of it."""

    model: str                      # a shipped name or file; REFERENCE; a peer's module:callable
    size: str = '640x512'           # WIDTHxHEIGHT
    form: str | None = None         # None for what is not a network of this package
    engine: str = 'python'
    precision: str = 'float32'
    outputs: tuple[str, ...] = ('fused',)
    threads: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, 'outputs', tuple(self.outputs))    # JSON has lists only

    @property
    def name(self) -> str:
        """Return the spec in words, different for every spec."""
        words = (self.model, self.form, self.engine, self.precision, self.size,
                 '+'.join(self.outputs), f'{self.threads} thread{"s" * (self.threads > 1)}')
        return ' '.join(word for word in words if word)


class Candidate:
    """A spec made real: `run` fuses one frame, bytes in and bytes out."""

    def __init__(self, spec: Spec, device: str = 'cpu'):
        self.spec, self.times, self._device = spec, [], device
        width, height = map(int, spec.size.split('x'))
        self._pair = pair((height, width))
        self._fuse, self._way = _fuse(spec, device, self._pair)

    def run(self, count: int) -> None:
        """Fuse count + 1 frames and keep the times of the last `count`, ms."""
        self._set_threads()
        self._fuse(*self._pair)
        for _ in range(count):
            began = time.perf_counter()
            self._fuse(*self._pair)
            self.times.append((time.perf_counter() - began) * 1e3)

    def row(self, peaks: dict[tuple[str, int], Peak], memory: dict[str, float | None]) -> dict:
        """Return what benchmark --output writes of it; memory: what peak_memory told."""
        p50, p99 = np.percentile(self.times, (50, 99))
        peak = peaks.get((self.spec.precision, self.spec.threads))
        share = self.gflop / p50 * 1e3 / peak.gflops if self.gflop and peak else None
        spec = self.spec
        return {'name': spec.name, 'model': spec.model, 'form': spec.form, 'engine': spec.engine,
                'program': self._way(), 'precision': spec.precision, 'size': spec.size,
                'outputs': list(spec.outputs),
                'threads': spec.threads, 'ms': {'p50': round(p50, 3), 'p99': round(p99, 3)},
                'fps': round(1e3 / p50, 2), 'gflop': self.gflop and round(self.gflop, 3),
                'peak_share': share and round(share, 4), **memory}

    def _set_threads(self) -> None:
        torch.set_num_threads(self.spec.threads)
        cv2.setNumThreads(self.spec.threads)

    @cached_property
    def gflop(self) -> float | None:
        """
        Count the arithmetic of a frame; None without any in torch's sight.

        A program of a frame may be out of its sight, so a second network is counted, never warmed
        up. Only when asked: peak memory is to be read without that one.
        """
        self._set_threads()
        fuse = _counted(self.spec, self._device, self._pair) if self.spec.form else self._fuse
        return gflop(lambda: fuse(*self._pair))


def measure(candidates: list[Candidate], peaks: dict[tuple[str, int], Peak], frames: int,
            on_round: Callable[[float], None] = lambda share: None) -> None:
    """
    Run all candidates in turns until each has `frames` times.

    peaks: (precision, threads) -> Peak, measured between the turns. on_round: told the share done.
    """
    done = 0
    while done < frames:
        count = min(BLOCK, frames - done)
        for candidate in candidates:
            candidate.run(count)
        for (_, threads), peak in peaks.items():
            torch.set_num_threads(threads)
            peak.measure()
        done += count
        on_round(done / frames)


def forms(model: str, device: str,
          precisions: list[str]) -> tuple[tuple[str, ...], list[str], str]:
    """
    Return a model's forms, its usual one first, the precisions and the engine.

    auto is resolved, and each precision there once.
    """
    found = [Fuser.load(model, device, precision) for precision in precisions]
    return (forms_of(checkpoint.load(find_model(model))[0]),
            list(dict.fromkeys(fuser.precision for fuser in found)), found[0].engine)


def ratio(row: dict, rows: list[dict]) -> float | None:
    """Return how many times the reference's time a row takes, at its own size and threads."""
    for other in rows:
        if other['model'] == REFERENCE and \
                (other['size'], other['threads']) == (row['size'], row['threads']):
            return round(row['ms']['p50'] / other['ms']['p50'], 3)
    return None


def _fuse(spec: Spec, device: str,
          frames: tuple[np.ndarray, np.ndarray]) -> tuple[Callable, Callable[[], str | None]]:
    """Return what fuses a pair, and what tells by which program it did (Fuser.way)."""
    if spec.form is None:
        return laplacian_pyramid if spec.model == REFERENCE else load_peer(spec.model), lambda: None
    torch.set_num_threads(spec.threads)     # what a Fuser finds is what it keeps
    network, guidance = checkpoint.load(find_model(spec.model))
    if spec.form == forms_of(network)[0]:
        del network, guidance       # one copy at a time: peak memory is measured
        fuser = Fuser.load(spec.model, device, spec.precision, spec.engine)
    else:
        network = in_form(network, spec.form, getattr(torch, spec.precision))
        fuser = Fuser(network, guidance, spec.model, device, spec.precision)
    fuser.refresh(*frames)
    fuser.warm_up(*frames[1].shape)
    return (lambda visible, thermal: fuser.fuse(visible, thermal, spec.outputs)), \
        lambda: fuser.way


def _counted(spec: Spec, device: str, frames: tuple[np.ndarray, np.ndarray]) -> Callable:
    """Return the spec's frame as torch computes it, operator by operator."""
    network, guidance = checkpoint.load(find_model(spec.model))
    precision = spec.precision if spec.engine == 'torch' else 'float32'
    network = in_form(network, spec.form, getattr(torch, precision))
    if spec.engine == 'onnxruntime':    # its graph derains, should it come to rain
        decide = network.decide
        network.decide = lambda *given: network.complete(decide(*given))
    fuser = Fuser(network, guidance, spec.model, device, precision)
    fuser.refresh(*frames)
    return lambda visible, thermal: fuser.fuse(visible, thermal, spec.outputs)
