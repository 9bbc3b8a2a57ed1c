# SPDX-License-Identifier: Apache-2.0
"""`fuse-bag`: messages in recorded order in, the same with the node's topics among them out."""

from collections.abc import Iterator
from dataclasses import dataclass, field
import heapq
import sys
from typing import NamedTuple

import numpy as np
import torch

from degfusion_ros import bags
from degfusion_ros.commands import fuse_bag_messages as messages
from degfusion_ros.fuser import Degradation, Fuser
from degfusion_ros.imaging import encodings
from degfusion_ros.imaging.encodings import FrameError
from degfusion_ros.imaging.registration import on_one_grid, Registration, SMALLEST_SIDE
from degfusion_ros.imaging.thermal import scaler, ThermalScaler
from degfusion_ros.stream.labels import LabelFilter
from degfusion_ros.stream.pairing import Pair, Pairer
from degfusion_ros.stream.presence import STREAMS

NS = 1_000_000_000
WAIT_NS = NS // 2  # of the bag's time: longer than in the node, for here it delays nobody
CAPACITY = 1000  # frames of a stream that may wait so long


class Frame(NamedTuple):
    """A frame that can be used: uint8 RGB, or thermal in the camera's own units."""

    time_ns: int  # recorded
    stamp_ns: int
    frame_id: str
    picture: np.ndarray


class Options(NamedTuple):
    """What was asked for; topics: of both images and of the visible camera_info ('': none)."""

    visible: str
    thermal: str
    info: str
    name: str
    outputs: tuple[str, ...]
    settings: dict[str, object]  # the node's parameters


def _pairer(options: Options) -> Pairer:
    told = options.settings
    return Pairer(told['sync.reference'], max_dt_ns=round(told['sync.max_dt_s'] * NS),
                  wait_ns=WAIT_NS, hold_ns=round(told['sync.hold_s'] * NS), capacity=CAPACITY,
                  offsets_ns={name: int(told[f'sync.offset_{name}_s'] * NS) for name in STREAMS})


def _scaler(options: Options) -> ThermalScaler:
    return scaler(*(value for name, value in options.settings.items()
                    if name.startswith('thermal.')))


def _seconds(time_ns: int) -> str:
    return f'{time_ns // NS}.{time_ns % NS:09d}'  # a float has too few digits


def _filters(options: Options) -> dict[str, LabelFilter]:
    off, on = options.settings['degradation.hysteresis']
    return {name: LabelFilter(on, off, options.settings['degradation.count']) for name in STREAMS}


@dataclass
class State:
    """Everything that what comes out next hangs on, but the bag."""

    pairer: Pairer
    scaler: ThermalScaler
    filters: dict[str, LabelFilter]
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)  # written last
    scaled: tuple[Frame, np.ndarray] | None = None  # a thermal frame may be held
    refused: Frame | None = None  # the last thermal frame that was of no use to a pair
    info: bytes = b''  # the newest camera_info
    read: int = 0  # messages
    clock_ns: int = 0  # the latest recorded time
    judged_ns: int | None = None
    waiting: list[tuple] = field(default_factory=list)  # heap of (time, count, topic, type, raw)
    put: int = 0
    fused: int = 0
    bad: int = 0
    ended: bool = False
    steering: tuple[np.ndarray, ...] | None = None  # the fuser's, when saved


class Stream:
    """
    Takes the messages of a bag one by one and yields those of the new one.

    What it does hangs on `state` and the messages alone, no clock is read: made with what `save`
    returned it goes on as if it had never stopped.
    """

    def __init__(self, fuser: Fuser, options: Options, registration: Registration,
                 state: State | None = None):
        self.state = state or State(_pairer(options), _scaler(options), _filters(options))
        self._fuser, self._options, self._registration = fuser, options, registration
        if self.state.steering is not None:
            fuser.steering = tuple(map(torch.from_numpy, self.state.steering))

    def take(self, message: bags.Message) -> Iterator[bags.Message]:
        """Take the next message and yield, in recorded order, what nothing can precede any more."""
        state, options = self.state, self._options
        state.read += 1
        state.clock_ns = max(state.clock_ns, message.time_ns)
        self._run_to(state.clock_ns)
        self._put(*message)
        if message.topic == options.info:
            state.info = message.raw
        elif message.topic in (options.visible, options.thermal):
            stream = 'visible' if message.topic == options.visible else 'thermal'
            frame = self._usable(stream, message)
            if frame is not None:
                self._fuse_all(state.pairer.add(stream, frame.stamp_ns, frame, state.clock_ns))
        deadline = state.pairer.next_deadline_ns()
        yield from self._ready(state.clock_ns if deadline is None else deadline - WAIT_NS)

    def finish(self) -> Iterator[bags.Message]:
        """Yield what is left: nothing more is to come."""
        self._run_to(None)
        yield from self._ready(None)
        self.state.ended = True

    def save(self) -> State:
        """Return what another Stream goes on from, ready to be pickled."""
        kept = self._fuser.steering
        self.state.steering = None if kept is None else tuple(x.numpy() for x in kept)
        return self.state

    def _run_to(self, now_ns: int | None) -> None:
        """Let every wait end that ends by then."""
        pairer = self.state.pairer
        while (deadline := pairer.next_deadline_ns()) is not None and (
                now_ns is None or deadline <= now_ns):
            self._fuse_all(pairer.poll(deadline))

    def _usable(self, stream: str, message: bags.Message) -> Frame | None:
        """Decode before pairing, so that a bad frame takes no good one's partner."""
        try:
            image = bags.deserialize(message.raw, message.msgtype)
            stamp = image.header.stamp.sec * NS + image.header.stamp.nanosec
            if stamp <= 0:
                raise FrameError('zero_stamp', 'its stamp is not above 0')
            if message.msgtype == bags.COMPRESSED:
                array, encoding = encodings.decode_compressed(image.data, image.format)
            else:
                told = self._options.settings[f'input.{stream}.encoding']
                encoding = image.encoding if told == 'auto' else told
                array = encodings.decode(image.data, image.height, image.width, image.step,
                                         encoding, image.is_bigendian)
            picture = getattr(encodings, f'to_{stream}')(array, encoding)
            height, width = picture.shape[:2]
            if min(height, width) < SMALLEST_SIDE:
                raise FrameError('too_small', f'image of {width}x{height} pixels is too small: '
                                              f'{SMALLEST_SIDE} a side are needed')
            if stream == 'thermal':
                _scaler(self._options)(picture)  # refuses one without a finite pixel, or a row
        except (FrameError, bags.BagError) as error:
            readable = len(message.raw) >= 12
            self._refuse(message.topic, _seconds(bags.stamp_ns(message.raw)) if readable else
                         f'recorded at {_seconds(message.time_ns)}', error)
            return None
        if not picture.flags.writeable:  # a view of the message, which torch warns of
            picture = picture.copy()
        return Frame(message.time_ns, stamp, image.header.frame_id, picture)

    def _refuse(self, topic: str, when: str, error: Exception) -> None:
        self.state.bad += 1
        print(f'fuse-bag: {topic}: {when}: {" ".join(str(error).split())}', file=sys.stderr)

    def _fuse_all(self, pairs: list[Pair]) -> None:
        for pair in pairs:
            frames = pair.reference, pair.other
            if self._options.settings['sync.reference'] == 'thermal':
                frames = frames[::-1]
            self._fuse(*frames, pair.reference.stamp_ns)

    def _fuse(self, visible: Frame, thermal: Frame, stamp_ns: int) -> None:
        state, options, told = self.state, self._options, self._options.settings
        time_ns = max(visible.time_ns, thermal.time_ns)
        try:
            colour, heat = on_one_grid(self._registration, visible.picture,
                                       self._scaled(thermal), told['output.size'])
        except FrameError as error:  # the pictures do not fit together
            if thermal is not state.refused:
                self._refuse(options.thermal, _seconds(thermal.stamp_ns), error)
            state.refused = thermal
            return
        header = bags.header(stamp_ns, visible.frame_id)
        rate_hz = told['degradation.rate_hz']
        if state.judged_ns is None or not (
                0 <= time_ns - state.judged_ns < (NS / rate_hz if rate_hz else np.inf)):
            state.judged_ns = time_ns
            found = self._fuser.refresh(colour, heat, keep=told['degradation.smoothing'])
            self._tell(time_ns, header, found)
        fusion = self._fuser.fuse(colour, heat, options.outputs)
        state.fused += 1
        for output in options.outputs:
            name, encoding = messages.PICTURES[output]
            array = getattr(fusion, output)
            if output == 'fused':
                encoding = told['output.colour']
                array = encodings.from_rgb(array, encoding)
            self._put(f'/{options.name}/{name}/image', bags.IMAGE, time_ns, bags.image_cdr(
                array, encoding, stamp_ns, visible.frame_id))
            if state.info:
                self._put(f'/{options.name}/{name}/camera_info', bags.CAMERA_INFO, time_ns,
                          messages.camera_info(state.info, array.shape, header))

    def _scaled(self, thermal: Frame) -> np.ndarray:
        state = self.state
        if state.scaled is None or state.scaled[0] is not thermal:  # once: the window moves
            state.scaled = thermal, state.scaler(thermal.picture)
        return state.scaled[1]

    def _tell(self, time_ns: int, header: object, found: Degradation) -> None:
        """Write what was judged; labels only where they changed, as they are latched."""
        state, base = self.state, f'/{self._options.name}/degradation'
        judged = {}
        for modality in STREAMS:
            severities = getattr(found, modality)
            labels = state.filters[modality].update(severities, found.unsure[modality])
            judged[modality] = severities, labels
            if labels != state.labels.get(modality):
                state.labels[modality] = labels
                self._put(f'{base}/{modality}', messages.STRING, time_ns, messages.text(labels))
        self._put(f'{base}/scores', messages.SCORES, time_ns, messages.scores(header, judged))

    def _put(self, topic: str, msgtype: str, time_ns: int, raw: bytes) -> None:
        self.state.put += 1
        heapq.heappush(self.state.waiting, (time_ns, self.state.put, topic, msgtype, raw))

    def _ready(self, until_ns: int | None) -> Iterator[bags.Message]:
        waiting = self.state.waiting
        while waiting and (until_ns is None or waiting[0][0] <= until_ns):
            time_ns, _, topic, msgtype, raw = heapq.heappop(waiting)
            yield bags.Message(topic, msgtype, time_ns, raw)
