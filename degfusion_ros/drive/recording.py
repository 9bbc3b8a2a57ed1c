# SPDX-License-Identifier: Apache-2.0
"""Write the built-in drive as a bag, once: the same files from every machine."""

from collections.abc import Callable, Iterator
import hashlib
import multiprocessing
import os
from pathlib import Path
import signal

import numpy as np

from degfusion_ros import bags, drive
from degfusion_ros.drive.camera import FOCAL, HEIGHT, WIDTH
from degfusion_ros.drive.scene import Frame, Scene
from degfusion_ros.drive.schedule import duration, SCHEDULE, Segment
from degfusion_ros.drive.weather import degrade
from degfusion_ros.learning import degradations, draws, rain, veiled_rain

RATE_HZ = 10.0
START_NS = 1_760_000_000_000_000_000
THERMAL_LATE_NS = 4_000_000  # the thermal camera's clock is 4 ms behind
JITTER_NS = 800_000
WEATHER = degradations, draws, rain, veiled_rain     # what is drawn over the scene
VISIBLE, THERMAL = 'visible/image_raw', 'thermal/image_raw'
TOPICS = {VISIBLE: 'rgb8', THERMAL: 'mono16'}


def write_bag(path: Path, schedule: tuple[Segment, ...] = SCHEDULE, workers: int | None = None,
              on_frame: Callable[[int, int], None] | None = None) -> None:
    """
    Render the drive at 10 Hz into a bag of two image and two camera_info topics.

    workers: processes that render, of 0.5 GB each; as many as there are cores, at most 4, when
    None; 0 renders right here. on_frame: called with (frames done, frames in all). Raises BagError.
    """
    total = round(duration(schedule) * RATE_HZ)
    jitter = np.random.default_rng(1).integers(-JITTER_NS, JITTER_NS, (total, 2))
    with bags.Writer(path) as writer:
        for i, frame in enumerate(_frames(total, schedule, workers)):
            tick = START_NS + round(i * 1e9 / RATE_HZ)
            visible = tick + int(jitter[i, 0])
            thermal = tick + THERMAL_LATE_NS + int(jitter[i, 1])
            for topic, image, stamp, delay in ((VISIBLE, frame.visible, visible, 12_000_000),
                                               (THERMAL, frame.thermal, thermal, 9_000_000)):
                camera = topic.partition('/')[0]
                name = f'{camera}_camera_optical_frame'
                writer.write(f'/{topic}', bags.IMAGE, stamp + delay,
                             bags.image_cdr(image, TOPICS[topic], stamp, name))
                writer.write(f'/{camera}/camera_info', bags.CAMERA_INFO, stamp + delay,
                             bags.camera_info_cdr(HEIGHT, WIDTH, FOCAL, stamp, name))
            if on_frame:
                on_frame(i + 1, total)


def stamp_to_time(stamp_ns: int) -> float:
    """Turn a stamp of the bag into the drive's time, seconds."""
    return (stamp_ns - START_NS) / 1e9


def cached(on_frame: Callable[[int, int], None] | None = None) -> Path:
    """
    Return the drive's bag from the user's cache, writing it there the first time.

    The name holds a digest of the code that draws it, so that a newer drive is drawn anew; bags
    of older ones are removed. The folder is $XDG_CACHE_HOME/degfusion_ros, by default in ~/.cache.
    """
    base = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache')
    folder = base / 'degfusion_ros'
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f'drive-{_digest()}.mcap'
    if not path.exists():
        for old in folder.glob('drive-*.mcap'):
            old.unlink()
        write_bag(path, on_frame=on_frame)
    return path


def _digest() -> str:
    sources = sorted(Path(drive.__file__).parent.glob('*.py'))
    sources += [Path(module.__file__) for module in WEATHER]
    return hashlib.sha256(b''.join(p.read_bytes() for p in sources)).hexdigest()[:12]


def _frames(total: int, schedule: tuple[Segment, ...], workers: int | None) -> Iterator[Frame]:
    workers = min(os.cpu_count() or 1, 4) if workers is None else workers
    jobs = ((i / RATE_HZ, schedule) for i in range(total))
    if workers < 2:
        _start()
        yield from map(_frame, jobs)
        return
    with multiprocessing.get_context('spawn').Pool(workers, _start) as pool:
        yield from pool.imap(_frame, jobs)


def _start() -> None:
    """Build the scene once in each process."""
    global _scene
    if multiprocessing.parent_process():
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to handle
    _scene = Scene()


def _frame(job: tuple[float, tuple[Segment, ...]]) -> Frame:
    t, schedule = job
    return degrade(_scene.render(t), t, schedule)
