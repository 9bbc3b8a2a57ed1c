# SPDX-License-Identifier: Apache-2.0
"""`fuse-bag`: what an interrupted run leaves behind, and the whole bag made of it."""

from collections.abc import Callable
import fcntl
import io
import json
import os
from pathlib import Path
import pickle
import shutil

from degfusion_ros import bags
from degfusion_ros.files import write_whole

# All that a saved state is made of. A file that names anything else is not loaded: unpickling
# calls what it names.
KINDS = {
    'collections': {'Counter', 'deque'},
    'numpy': {'dtype', 'ndarray'},
    'numpy._core.multiarray': {'_reconstruct'}, 'numpy.core.multiarray': {'_reconstruct'},
    'numpy._core.numeric': {'_frombuffer'}, 'numpy.core.numeric': {'_frombuffer'},
    'degfusion_ros.commands.fuse_bag_state': {'Frame', 'State'},
    'degfusion_ros.imaging.thermal': {'ThermalScaler'},
    'degfusion_ros.node.lonely': {'StandIn'},
    'degfusion_ros.stream.arrivals': {'Arrivals', 'Frame'},
    'degfusion_ros.stream.labels': {'LabelFilter'},
    'degfusion_ros.stream.pairing': {'Pairer'},
    'degfusion_ros.stream.presence': {'Presence'}}


class Parts:
    """
    The folder OUT.part: finished segments of the bag, and the state that the next one begins with.

    A segment is a bag, complete or not there. Saving the state, which names how many segments it
    comes after, is what finishes a segment; one without is written again. So a run may be killed
    at any moment. To be used as a context manager; raises BagError.
    """

    def __init__(self, out: Path, storage: str, asked: dict[str, object], resume: bool):
        self.out, self._storage, self._asked = out, storage, asked
        self.folder = out.with_name(f'{out.name}.part')
        self._segments, self._state = self.folder / 'segments', self.folder / 'state'
        self._asked_file = self.folder / 'asked.json'
        self.finished = 0  # segments
        if self.folder.exists() and not resume:
            raise bags.BagError(f'{self.folder}: left by a run that was interrupted; go on with '
                                '--resume, or remove it')

    def __enter__(self) -> 'Parts':
        try:
            self._segments.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise bags.BagError(f'{self.out}: cannot be written: {error.strerror}') from error
        self._lock = (self.folder / 'lock').open('w')
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._check()
        except BlockingIOError:
            self._lock.close()
            raise bags.BagError(f'{self.folder}: another run is at work on it') from None
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def load(self) -> object | None:
        """Return the state saved last, None where there is none; remove what is unfinished."""
        saved = None
        if self._state.exists():
            try:
                self.finished, saved = _Unpickler(io.BytesIO(self._state.read_bytes())).load()
            except Exception as error:  # a damaged pickle raises whatever it likes
                raise bags.BagError(f'{self._state}: cannot be read; remove {self.folder} and '
                                    'start anew') from error
        whole = [self._segment(number) for number in range(self.finished)]
        for path in whole:
            if not path.exists():
                raise bags.BagError(f'{path}: is gone; remove {self.folder} and start anew')
        kept = {*whole, self._segments, self._state, self.folder / 'lock', self._asked_file}
        for path in (*self._segments.iterdir(), *self.folder.iterdir()):
            if path not in kept:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        return saved

    def segment(self) -> bags.Writer:
        """Return a writer for the next segment."""
        return bags.Writer(self._segment(self.finished))

    def save(self, state: object) -> None:
        """Finish the segment just written; `state` is what the next one begins with."""
        with self._segment(self.finished).open('rb') as file:
            os.fsync(file.fileno())  # not to be lost with the power while the state stays
        write_whole(self._state, pickle.dumps((self.finished + 1, state), 5))
        self.finished += 1

    def merge(self, declare: Callable[[bags.Writer], None]) -> None:
        """Make one bag of all segments, with the topics that `declare` adds, and clean up."""
        merged = self.folder / 'merged' / self.out.name    # apart: OUT may be named as ours are
        with bags.Writer(merged, self._storage) as writer:
            declare(writer)
            for number in range(self.finished):
                for message in bags.read(self._segment(number)):
                    writer.write(*message)
        merged.rename(self.out)
        shutil.rmtree(self.folder)

    def _segment(self, number: int) -> Path:
        return self._segments / f'{number:06d}{bags.SUFFIXES[self._storage]}'

    def _check(self) -> None:
        """Refuse to go on with what was asked for otherwise."""
        if not self._asked_file.exists():
            write_whole(self._asked_file, json.dumps(self._asked, indent=1) + '\n')
            return
        before = json.loads(self._asked_file.read_text())
        now = json.loads(json.dumps(self._asked))
        other = [key for key in now if before.get(key) != now[key]]
        if other:
            raise bags.BagError(f'{self.folder}: begun with another {", ".join(other)}: ask for '
                                'the same to go on, or remove it')


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        if name not in KINDS.get(module, ()):
            raise pickle.UnpicklingError(f'{module}.{name} has no place in a state')
        return super().find_class(module, name)
