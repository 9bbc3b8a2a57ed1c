# SPDX-License-Identifier: Apache-2.0
"""Build a benchmark set on disk: several processes, resumable, the same bytes every time."""

from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
import hashlib
import json
import multiprocessing
import os
from pathlib import Path
import signal
import threading

import cv2
import numpy as np

from degfusion_ros.files import write_whole
from degfusion_ros.learning import effects
from degfusion_ros.learning.folders import DataError, Pair, read
from degfusion_ros.learning.set_plan import CLEAN, Task

_ending = threading.Event()     # the parent's own, in a process of the pool
MODALITIES = ('visible', 'thermal')
Key = tuple[str, str, str]      # split, condition, name: no two rows share one


class SetError(RuntimeError):
    """A set that cannot be built or gone on with; the message says why in one line."""


class Manifest:
    """
    The rows of a set: `manifest.jsonl` when whole, `manifest.jsonl.part` while it grows.

    Every finished pair is appended, so that an interrupted run is taken up where it was; a line
    torn by the interruption counts as missing.
    """

    def __init__(self, folder: Path, settings: dict):
        self.path, self._part = folder / 'manifest.jsonl', folder / 'manifest.jsonl.part'
        told = folder / 'settings.json'
        if told.exists():
            _same(folder, told, settings)
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(told, json.dumps(settings, indent=1).encode())
        self.known = {key: line for path in (self.path, self._part) for key, line in _lines(path)}
        self.lines: dict[Key, str] = {}

    def add(self, lines: dict[Key, str]) -> None:
        """Keep the lines of a finished pair."""
        self.lines.update(lines)
        fresh = [line for key, line in lines.items() if self.known.get(key) != line]
        if fresh:
            try:
                with open(self._part, 'a') as part:
                    part.writelines(f'{line}\n' for line in fresh)
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(self._part)) from error

    def close(self) -> None:
        """Write the whole manifest, in an order that no number of processes changes."""
        text = ''.join(f'{self.lines[key]}\n' for key in sorted(self.lines))
        write_whole(self.path, text.encode())
        self._part.unlink(missing_ok=True)


def build(tasks: Sequence[Task], output: Path, seed: int, manifest: Manifest,
          jobs: int = 1) -> Iterator[str]:
    """
    Make every image of `tasks`, yielding for each pair '' or a line that says why it has none.

    Files that the manifest knows and that still are what it says are kept. Raises SetError when
    a process dies, and lets OSError (a full disk) through; both leave only whole files behind.
    """
    context = multiprocessing.get_context('spawn')      # OpenCV's threads do not survive a fork
    ending = context.Event()
    with ProcessPoolExecutor(jobs, context, initializer=_start, initargs=(ending,)) as pool:
        try:
            # no list of the futures is kept: a finished one is to be forgotten with its lines
            for future in as_completed([pool.submit(produce, task, output, seed,
                                                    _known(task, manifest)) for task in tasks]):
                made = future.result()
                if isinstance(made, dict):
                    manifest.add(made)
                yield made if isinstance(made, str) else ''
        except BrokenProcessPool as error:
            raise SetError('a process was killed, perhaps for memory: run the command again '
                           'with fewer --jobs; it goes on from here') from error
        finally:
            ending.set()
            pool.shutdown(wait=True, cancel_futures=True)


def _start(ending) -> None:
    global _ending
    _ending = ending
    signal.signal(signal.SIGINT, signal.SIG_IGN)    # the parent is told, and ends the pool
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    cv2.setNumThreads(1)


def _leave_with_parent() -> None:
    multiprocessing.parent_process().join()     # else a killed parent leaves its pool waiting
    os._exit(1)


def _known(task: Task, manifest: Manifest) -> dict[Key, str]:
    keys = [(split, condition, task.pair.name) for split, condition in task.wanted]
    return {key: manifest.known[key] for key in keys if key in manifest.known}


def produce(task: Task, output: Path, seed: int, known: dict[Key, str]) -> dict[Key, str] | str:
    """Make the images of one clean pair; return its lines, or why the pair cannot be used."""
    try:
        source = _source_digests(task.pair)
        lines, clean = {}, None
        for split, condition in task.wanted:
            if _ending.is_set():
                break       # interrupted: nobody reads this result any more
            key = split, condition, task.pair.name
            line = known.get(key)
            if line is None or not _still_there(json.loads(line), source, output):
                clean = clean or read(task.pair)
                line = json.dumps(_make(task, split, condition, clean, output, seed, source))
            lines[key] = line
        return lines
    except DataError as error:
        return str(error)


def _source_digests(pair: Pair) -> dict[str, str]:
    try:
        return {'visible': _digest(pair.visible), 'thermal': _digest(pair.thermal)}
    except OSError as error:    # one unreadable image; a full disk, below, ends the run
        raise DataError(f'{error.filename}: {error.strerror}') from error


def _make(task: Task, split: str, condition: str, clean: tuple[np.ndarray, np.ndarray],
          output: Path, seed: int, source: dict) -> dict:
    name = task.pair.name
    if condition == CLEAN:
        images, told, parameters = clean, {m: {} for m in MODALITIES}, {}
    else:
        made = effects.degrade(condition, *clean, seed, name, task.scene)
        images = made.visible, made.thermal
        told, parameters = made.severities, made.parameters
    images = images[0][..., ::-1], images[1]
    digests = {m: _save(output / split / condition / m / f'{name}.png', image)
               for m, image in zip(MODALITIES, images)}
    return {'name': name, 'split': split, 'condition': condition, 'scene': task.scene, **told,
            'parameters': parameters, 'seed': seed, 'sha256': digests,
            'source': _source(task.pair), 'source_sha256': source}


def _source(pair: Pair) -> dict[str, str]:
    return {'visible': f'{pair.visible.parent.name}/{pair.visible.name}',
            'thermal': f'{pair.thermal.parent.name}/{pair.thermal.name}'}


def _still_there(row: dict, source: dict, output: Path) -> bool:
    folder = output / row['split'] / row['condition']
    files = {m: folder / m / f'{row["name"]}.png' for m in MODALITIES}
    return row['source_sha256'] == source and all(
        path.is_file() and _digest(path) == row['sha256'][m] for m, path in files.items())


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _save(path: Path, image: np.ndarray) -> str:
    done, data = cv2.imencode('.png', np.ascontiguousarray(image))
    if not done:
        raise DataError(f'{path}: cannot be encoded as PNG')
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, data.tobytes())
    return hashlib.sha256(data.tobytes()).hexdigest()


def _lines(path: Path) -> Iterator[tuple[Key, str]]:
    if not path.exists():
        return
    for line in path.read_text().splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:    # torn by an interruption
            continue
        yield (row['split'], row['condition'], row['name']), line


def _same(folder: Path, told: Path, now: dict) -> None:
    try:
        before = json.loads(told.read_text())
    except ValueError as error:
        raise SetError(f'{told}: not what this command wrote; delete it to start again') from error
    for name in now:
        if before.get(name) != now[name]:
            raise SetError(f'{folder}: holds a set made with another {name} '
                           f'({before.get(name)}, now {now[name]}); take another folder or '
                           'delete it')
