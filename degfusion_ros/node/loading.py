# SPDX-License-Identifier: Apache-2.0
"""Loading the model, which takes seconds, while the node goes on saying so."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
import os

import cv2

from degfusion_ros.node.memory import is_out_of_memory, let_go
from degfusion_ros.node.settings import Settings

Load = Callable[[str, str, str, str, str], object]


def load_fuser(model: str, device: str, precision: str, engine: str, providers: str) -> object:
    """Return Fuser.load's fuser; torch takes seconds to import, so not before it is needed."""
    # Read once, when torch loads its OpenMP: threads that spin without end at every step rob the
    # rest of a busy robot, threads that sleep at once take half as long again.
    if not {'OMP_WAIT_POLICY', 'GOMP_SPINCOUNT'} & set(os.environ):
        os.environ['GOMP_SPINCOUNT'] = '20000'
    # OpenCV works beside torch's threads, most of the time for the judge: half the cores will do
    cv2.setNumThreads(max(1, (os.cpu_count() or 2) // 2))
    from degfusion_ros.models.allocation import keep_freed_memory
    keep_freed_memory()
    from degfusion_ros.fuser import Fuser
    return Fuser.load(model, device, precision, engine, providers)


def load_and_warm_up(
        load: Load, settings: Settings, beat: Callable[[], None],
        warn: Callable[[str], None]) -> tuple[object, set[tuple[int, int]]]:
    """
    Return the fuser of the model parameters and the (height, width) it is warm for.

    Loads in a thread of its own and calls `beat` once a second meanwhile; raises what
    loading raises. Too little memory to warm up is told to `warn`: smaller pictures may fit.
    """
    size = settings['model.warm_up_size']

    def work() -> tuple[object, set[tuple[int, int]]]:
        fuser = load(*(settings[f'model.{name}'] for name in
                       ('name', 'device', 'precision', 'engine', 'providers')))
        if size == 'first':
            return fuser, set()
        width, height = map(int, size.split('x'))
        try:
            fuser.warm_up(height, width)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            let_go(fuser, error)
            warn(f'out of memory for model.warm_up_size: {size}; the first pair will show at what '
                 'size it fits: free memory, or set output.size lower')
            return fuser, set()
        return fuser, {(height, width)}

    with ThreadPoolExecutor(1, 'loader') as pool:
        loading = pool.submit(work)
        beat()
        while not wait([loading], timeout=1.0).done:
            beat()
    return loading.result()
