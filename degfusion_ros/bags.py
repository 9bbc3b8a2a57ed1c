# SPDX-License-Identifier: Apache-2.0
"""Read and write rosbag2 (sqlite3 and mcap) without ROS."""

from collections.abc import Iterator, Sequence
import os
from pathlib import Path
import re
import shutil
import sqlite3
from typing import NamedTuple

import numpy as np
from rosbags.interfaces import Connection, Qos
from rosbags.rosbag2 import (
    CompressionFormat,
    CompressionMode,
    Reader,
    StoragePlugin,
    Writer as Rosbag2Writer,
)
from rosbags.typesys import get_typestore, Stores, TypesysError

TYPES = get_typestore(Stores.ROS2_JAZZY)  # image types are the same in every ROS 2 release
STORAGES = {'mcap': StoragePlugin.MCAP, 'sqlite3': StoragePlugin.SQLITE3}
SUFFIXES = {'mcap': '.mcap', 'sqlite3': '.db3'}
IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED = 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
UNHASHED = f'RIHS01_{0:064}'  # older bags do not tell the hash of a type
NAMES = {  # what drivers call their topics; ir also within left_ir or ir_image, not in 'first'
    'visible': re.compile(r'visible|rgb|colou?r|(?<![a-z])(vis|eo)(?![a-z])'),
    'thermal': re.compile(r'therm|lwir|infra|(?<![a-z])ir(?![a-z])|boson|lepton|optris|flir')}


class BagError(RuntimeError):
    """A bag that cannot be read or written; the text is one line naming the file and the cause."""


class Message(NamedTuple):
    """One recorded message: the raw bytes are CDR with its four-byte encapsulation header."""

    topic: str
    msgtype: str
    time_ns: int
    raw: bytes


def topics(path: Path | str) -> dict[str, str]:
    """List the topics of a bag as {topic: message type}; BagError when it cannot be read."""
    with _opened(path) as reader:
        return {c.topic: c.msgtype for c in reader.connections}


def connections(path: Path | str) -> list[Connection]:
    """Return a bag's topics with all that is recorded of them: definition, hash, offered QoS."""
    with _opened(path) as reader:
        return list(reader.connections)


def storage_of(path: Path | str) -> str:
    """Return 'mcap' or 'sqlite3', whichever the files of a bag are."""
    files = [Path(path)] if Path(path).is_file() else Path(path).iterdir()
    return 'sqlite3' if any('.db3' in file.suffixes for file in files) else 'mcap'


def span_ns(path: Path | str) -> tuple[int, int]:
    """Return when a bag's first and last messages were recorded, ns; BagError if it has none."""
    with _opened(path) as reader:
        if not reader.message_count:
            raise BagError(f'{path}: no messages in it')
        return reader.start_time, reader.end_time - 1


def read(path: Path | str, topics: list[str] | None = None) -> Iterator[Message]:
    """
    Yield the messages of a bag in recorded order.

    path: a rosbag2 folder, or a single .mcap or .db3 file. topics: only these; all when None.
    Raises BagError for a missing or damaged file and for a topic that is not in the bag.
    """
    with _opened(path) as reader:
        wanted = reader.connections
        if topics is not None:
            check_topics(path, {c.topic: c.msgtype for c in wanted}, topics)
            wanted = [c for c in wanted if c.topic in topics]
        messages = reader.messages(wanted) if wanted else iter(())
        while True:
            try:
                connection, time_ns, raw = next(messages)
            except StopIteration:
                return
            except Exception as error:  # a damaged file fails in many ways deep in the parser
                raise BagError(_line(path, 'damaged or cut off', error)) from error
            yield Message(connection.topic, connection.msgtype, time_ns, bytes(raw))


def check_topics(path: Path | str, present: dict[str, str], wanted: list[str]) -> None:
    """Raise BagError naming the topics there are if any of the wanted ones is missing."""
    for topic in wanted:
        if topic not in present:
            listing = ', '.join(f'{name} ({kind})' for name, kind in sorted(present.items()))
            raise BagError(f'{path}: no topic {topic}; it has {listing or "no topics"}')


def image_topics(path: Path | str, visible: str | None = None,
                 thermal: str | None = None) -> tuple[str, str]:
    """
    Return a bag's visible and thermal image topics; those not given are guessed by name.

    A name that tells of both, as /thermal/image_color, is taken for a thermal one. Raises BagError,
    listing the topics there are, where a name is wrong, the guess unclear or both are one topic.
    """
    present = topics(path)
    images = {t: kind for t, kind in present.items() if kind in (IMAGE, COMPRESSED)}
    asked = {m: t and f'/{t.removeprefix("/")}' for m, t in zip(NAMES, (visible, thermal))}
    found = []
    for modality, given in asked.items():
        if given is not None:
            check_topics(path, present, [given])
            if given not in images:
                raise BagError(f'{path}: {given} holds {present[given]}, not images')
            found.append(given)
            continue
        named = [t for t in images if NAMES[modality].search(t.lower()) and t not in asked.values()]
        if modality == 'visible':
            alone = [t for t in named if not NAMES['thermal'].search(t.lower())]
            named = alone or (named if asked['thermal'] else [])
        plain = [t for t in named if images[t] == IMAGE] or named
        if len(plain) != 1:
            listing = ', '.join(plain or sorted(images)) or 'none'
            raise BagError(f'{path}: {"several" if plain else "none of its"} image topics might be '
                           f'the {modality} one ({listing}); name it with --{modality}-topic')
        found.append(plain[0])
    if found[0] == found[1]:
        raise BagError(f'{path}: {found[0]} is given as visible and as thermal topic; name two')
    return found[0], found[1]


class _opened:
    """Open a reader, turning whatever a damaged file raises into one clear line."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    def __enter__(self) -> Reader:
        if not self.path.exists():
            raise BagError(f'{self.path}: no such bag')
        try:
            self.reader = Reader(self.path)
            self.reader.open()
        except FileNotFoundError as error:
            raise BagError(f'{self.path}: a folder without metadata.yaml is not a bag') from error
        except Exception as error:  # see read()
            raise BagError(_line(self.path, 'not a readable rosbag2', error)) from error
        return self.reader

    def __exit__(self, *_: object) -> None:
        self.reader.close()


class Writer:
    """
    Write a bag; to be used as a context manager.

    path: a new folder, or a name ending in .mcap or .db3 for a single file. storage: 'mcap' or
    'sqlite3', taken from the name where that tells. The bag appears under its name only when it
    is complete; an exception inside the block leaves nothing behind.
    """

    def __init__(self, path: Path | str, storage: str = 'mcap') -> None:
        self.path = Path(path)
        by_name = {suffix: name for name, suffix in SUFFIXES.items()}
        self.single_file = self.path.suffix in by_name
        self.storage = by_name.get(self.path.suffix, storage)
        if self.storage not in STORAGES:
            raise BagError(f'{self.path}: no storage {storage!r}; choose mcap or sqlite3')
        if self.path.exists():
            raise BagError(f'{self.path}: exists already; remove it or choose another name')
        # The folder carries the bag's own name, because the files inside are named after it.
        self.scratch = self.path.with_name(f'.{self.path.name}.{os.getpid()}.part')
        self.connections: dict[tuple[str, str], Connection] = {}

    def __enter__(self) -> 'Writer':
        try:
            shutil.rmtree(self.scratch, ignore_errors=True)
            self.scratch.mkdir(parents=True)
            folder = self.scratch / self.path.stem if self.single_file else self.path.name
            self.writer = Rosbag2Writer(
                self.scratch / folder, version=9, storage_plugin=STORAGES[self.storage])
            if self.storage == 'mcap':  # zstd per chunk: halves images, any mcap reader knows it
                self.writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
            self.writer.open()
        except OSError as error:
            raise BagError(f'{self.path}: cannot be written: {error.strerror}') from error
        return self

    def declare(self, topic: str, msgtype: str, qos: Sequence[Qos] = (),
                recorded: Connection | None = None) -> None:
        """
        Add a topic, which may stay without messages; of two alike the first counts.

        qos: what its publishers offer. recorded: another bag's topic, whose QoS and, for types
        that no ROS comes with, definition are taken over.
        """
        if (topic, msgtype) in self.connections:
            return      # two publishers may have a channel each
        told = {}
        if recorded is not None:
            qos, known = recorded.ext.offered_qos_profiles, msgtype in TYPES.fielddefs
            if recorded.msgdef.data or not known:
                told = {'msgdef': recorded.msgdef.data, 'rihs01': recorded.digest or (
                    TYPES.hash_rihs01(msgtype) if known else UNHASHED)}
        try:
            self.connections[topic, msgtype] = self.writer.add_connection(
                topic, msgtype, typestore=TYPES, offered_qos_profiles=qos, **told)
        except TypesysError as error:
            raise BagError(f'{self.path}: {topic}: unknown type {msgtype}') from error

    def write(self, topic: str, msgtype: str, time_ns: int, raw: bytes) -> None:
        """Append one message; raw: CDR bytes with encapsulation header, time_ns since the epoch."""
        self.declare(topic, msgtype)
        try:
            self.writer.write(self.connections[topic, msgtype], time_ns, raw)
        except (OSError, sqlite3.Error) as error:  # a full disk, mostly
            raise BagError(_line(self.path, 'cannot be written', error)) from error

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        try:
            self.writer.__exit__(kind, error, trace)
            if kind is None:
                bag = self.writer.path
                whole = bag / f'{bag.name}{SUFFIXES[self.storage]}' if self.single_file else bag
                whole.rename(self.path)
        except (OSError, sqlite3.Error) as failure:
            raise BagError(_line(self.path, 'cannot be written', failure)) from failure
        finally:
            shutil.rmtree(self.scratch, ignore_errors=True)


def stamp_ns(raw: bytes) -> int:
    """Read the stamp (ns) of a raw message that begins with a std_msgs/Header, or BagError."""
    if len(raw) < 12:
        raise BagError(f'a message of {len(raw)} bytes is too short for a header')
    order = 'little' if raw[1] & 1 else 'big'
    seconds = int.from_bytes(raw[4:8], order, signed=True)
    return seconds * 1_000_000_000 + int.from_bytes(raw[8:12], order)


def header(stamp: int, frame_id: str) -> object:
    """Make a std_msgs/Header from a stamp in nanoseconds."""
    time = TYPES.types['builtin_interfaces/msg/Time'](sec=stamp // 10**9, nanosec=stamp % 10**9)
    return TYPES.types['std_msgs/msg/Header'](stamp=time, frame_id=frame_id)


def image_cdr(array: np.ndarray, encoding: str, stamp: int, frame_id: str) -> bytes:
    """
    Serialise an image as sensor_msgs/Image in CDR.

    array: HxW or HxWxC, uint8, uint16 or float32, C-contiguous or not; encoding: its ROS name
    (rgb8, mono8, mono16, 32FC1 …), taken on trust; stamp in nanoseconds.
    """
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder('<'))
    height, width = array.shape[:2]
    message = TYPES.types[IMAGE](
        header=header(stamp, frame_id), height=height, width=width, encoding=encoding,
        is_bigendian=0, step=array.nbytes // height, data=array.reshape(-1).view(np.uint8))
    return bytes(TYPES.serialize_cdr(message, IMAGE))


def camera_info_cdr(height: int, width: int, focal: float, stamp: int, frame_id: str) -> bytes:
    """Serialise a pinhole sensor_msgs/CameraInfo without distortion; focal length in pixels."""
    k = np.array([focal, 0, width / 2, 0, focal, height / 2, 0, 0, 1], np.float64)
    p = np.array([focal, 0, width / 2, 0, 0, focal, height / 2, 0, 0, 0, 1, 0], np.float64)
    roi = TYPES.types['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False)
    message = TYPES.types[CAMERA_INFO](
        header=header(stamp, frame_id), height=height, width=width,
        distortion_model='plumb_bob', d=np.zeros(5), k=k, r=np.eye(3).reshape(-1), p=p,
        binning_x=0, binning_y=0, roi=roi)
    return bytes(TYPES.serialize_cdr(message, CAMERA_INFO))


def image_size(path: Path | str, topic: str) -> str:
    """Return WIDTHxHEIGHT of the first raw image on a topic; 'first' where that cannot be told."""
    first = next(read(path, [topic]), None)
    if first is None or first.msgtype != IMAGE:
        return 'first'
    image = deserialize(first.raw, IMAGE)
    return f'{image.width}x{image.height}' if image.width and image.height else 'first'


def deserialize(raw: bytes, msgtype: str) -> object:
    """Turn CDR bytes into a plain message object with ROS field names; BagError on rubbish."""
    try:
        return TYPES.deserialize_cdr(raw, msgtype)
    except Exception as error:  # the generated parsers raise whatever numpy and struct raise
        raise BagError(f'a {msgtype} cannot be decoded: {error!r}') from error


def _line(path: Path | str, what: str, error: Exception) -> str:
    return f'{path}: {what}: {" ".join(str(error).split()) or type(error).__name__}'
