# SPDX-License-Identifier: Apache-2.0
"""The node's part of `benchmark`: rates, latencies, memory, with the vector refreshed and not."""

import argparse
from collections.abc import Iterator
from pathlib import Path
import tempfile
import time

import numpy as np
from rich.console import Console

from degfusion_ros.node import throughput

REFRESH_HZ = (2.0, 0.0)
FRAMES = 12     # different pairs, each two pixels on: a camera that moves, no change of scene
STATUS_S = 1.3  # until the node's next status says what the last frames took


def measure(args: argparse.Namespace, console: Console) -> Iterator[dict]:
    """
    Give a dict for each rate of refreshing: rates measured, highest rate, memory, stage times.

    Each comes once it is measured. Frames of args.size go through the real node in a process of
    its own, over DDS.
    """
    from degfusion_ros.learning.benchmark_stream import MARK, next_rate
    for refresh_hz in REFRESH_HZ:
        parameters = {'degradation.rate_hz': refresh_hz, 'model.name': args.models[0],
                      'model.device': args.device, 'model.warm_up_size': args.size,
                      'degradation.scene_change': 0.0}
        with tempfile.TemporaryDirectory() as folder, throughput.running(
                _moving(args.size), parameters, Path(folder) / 'node.log') as rig:
            rig.send(5, 2)  # the first frames find cold caches
            told = {'refresh_hz': refresh_hz, 'size': args.size, 'rates': {}, 'stages_ms': {}}
            for rate in args.rates:
                _measure_rate(rig, rate, args.seconds, told, console)
            tried = {rate: values[MARK] for rate, values in told['rates'].items()}
            while args.highest and (rate := next_rate(tried, args.highest)) is not None:
                tried[rate] = _measure_rate(rig, rate, args.seconds, told, console)[MARK]
            told['highest_rate_hz'] = max((r for r, held in tried.items() if held), default=0)
            told['memory_mb'] = {k: round(v, 1) for k, v in rig.memory_mb().items()}
            told |= {name: rig.status.get(name) for name in ('model', 'device', 'precision')}
        yield told


def _measure_rate(rig: object, rate: float, seconds: float, told: dict,
                  console: Console) -> dict[str, float]:
    from degfusion_ros.learning.benchmark_stream import performance
    values = performance(rig.send(rate, seconds), rig.came)
    time.sleep(STATUS_S)
    told['rates'][rate] = values
    told['stages_ms'][rate] = {key.replace('_ms', ''): float(value)
                               for key, value in rig.status.items() if '_ms.p' in key}
    console.print(f'node, refreshed at {told["refresh_hz"]:g} Hz: {rate:g} Hz sent, '
                  f'{values.get("Mean Frame Rate (fps)", 0):.1f} fused, '
                  f'{100 * values["drop_rate"]:.1f} % dropped, latency '
                  f'{values.get("latency_p50_ms", float("nan")):.1f} ms, p99 '
                  f'{values.get("latency_p99_ms", float("nan")):.1f} ms')
    return values


def _moving(size: str) -> list[tuple[np.ndarray, np.ndarray]]:
    from degfusion_ros.learning.benchmark_peers import pair
    width, height = map(int, size.split('x'))
    visible, thermal = pair((height, width))
    counts = thermal.astype(np.uint16) * 20 + 7000  # as a microbolometer's 14 bits
    return [(np.roll(visible, 2 * i, axis=1), np.roll(counts, 2 * i, axis=1))
            for i in range(FRAMES)]
