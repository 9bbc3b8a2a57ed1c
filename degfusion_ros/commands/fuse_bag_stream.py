# SPDX-License-Identifier: Apache-2.0
"""`fuse-bag`: messages in recorded order in, the same with the node's topics among them out."""

from collections.abc import Iterator
import heapq
import sys

import numpy as np
import torch

from degfusion_ros import bags
from degfusion_ros.commands import fuse_bag_messages as messages
from degfusion_ros.commands.fuse_bag_state import Frame, new_scaler, NS, Options, State, WAIT_NS
from degfusion_ros.fuser import Degradation, Fuser, OUTPUTS
from degfusion_ros.imaging import encodings
from degfusion_ros.imaging.encodings import FrameError
from degfusion_ros.imaging.registration import (
    on_one_grid,
    Registration,
    resized,
    SMALLEST_SIDE,
)
from degfusion_ros.stream.labels import MISSING, UNSURE
from degfusion_ros.stream.offsets import to_reference_ns
from degfusion_ros.stream.pairing import Pair, Single
from degfusion_ros.stream.presence import other_of, STREAMS


def _seconds(time_ns: int) -> str:
    return f'{time_ns // NS}.{time_ns % NS:09d}'  # a float has too few digits


class Stream:
    """
    Takes the messages of a bag one by one and yields those of the new one.

    What it does hangs on `state` and the messages alone, no clock is read: made with what `save`
    returned it goes on as if it had never stopped.
    """

    def __init__(self, fuser: Fuser, options: Options, registration: Registration,
                 state: State | None = None):
        self.state = state or State.new(options)
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
        for stream, topic in options.infos.items():
            if message.topic == topic:
                self._inform(stream, message)
        if message.topic in (options.visible, options.thermal):
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
            told = self._options.settings[f'input.{stream}.encoding']
            if message.msgtype == bags.COMPRESSED:
                array, encoding = encodings.decode_compressed_as(
                    stream, image.data, image.format, told)
            else:
                encoding = image.encoding if told == 'auto' else told
                array = encodings.decode(image.data, image.height, image.width, image.step,
                                         encoding, image.is_bigendian)
            picture = getattr(encodings, f'to_{stream}')(array, encoding)
            height, width = picture.shape[:2]
            if min(height, width) < SMALLEST_SIDE:
                raise FrameError('too_small', f'image of {width}x{height} pixels is too small: '
                                              f'{SMALLEST_SIDE} a side are needed')
            if stream == 'thermal':
                new_scaler(self._options)(picture)  # refuses one without a finite pixel, or a row
        except (FrameError, bags.BagError) as error:
            readable = len(message.raw) >= 12
            self._refuse(message.topic, _seconds(bags.stamp_ns(message.raw)) if readable else
                         f'recorded at {_seconds(message.time_ns)}', error)
            return None
        if not picture.flags.writeable:  # a view of the message, which torch warns of
            picture = picture.copy()
        return Frame(message.time_ns, stamp, image.header.frame_id, picture)

    def _inform(self, stream: str, message: bags.Message) -> None:
        """Keep a camera_info for the pictures to come; one that is none leaves the last one."""
        try:
            bags.deserialize(message.raw, bags.CAMERA_INFO)
        except bags.BagError as error:
            self._refuse(message.topic, f'recorded at {_seconds(message.time_ns)}', error)
        else:
            self.state.infos[stream] = message.raw

    def _refuse(self, topic: str, when: str, error: Exception) -> None:
        self.state.bad += 1
        print(f'fuse-bag: {topic}: {when}: {" ".join(str(error).split())}', file=sys.stderr)

    def _fuse_all(self, pairs: list[Pair | Single]) -> None:
        for pair in pairs:
            if isinstance(pair, Single):
                self._alone(pair.stream, pair.item)
                continue
            frames = pair.reference, pair.other
            if self._options.settings['sync.reference'] == 'thermal':
                frames = frames[::-1]
            self._fuse(*frames, pair.reference.stamp_ns)

    def _fuse(self, visible: Frame, thermal: Frame, stamp_ns: int) -> None:
        state, options, told = self.state, self._options, self._options.settings
        time_ns = max(visible.time_ns, thermal.time_ns)
        try:
            pair = on_one_grid(self._registration, visible.picture, self._scaled(thermal),
                               told['output.size'])
        except FrameError as error:  # the pictures do not fit together
            if thermal is not state.refused:
                self._refuse(options.thermal, _seconds(thermal.stamp_ns), error)
            state.refused = thermal
            state.misfit_ns = state.misfit_ns or time_ns
            if 0 < told['sync.lost_after_s'] * NS < time_ns - state.misfit_ns:
                reference = told['sync.reference']
                self._alone(reference, visible if reference == 'visible' else thermal)
            return
        state.misfit_ns = 0
        header = bags.header(stamp_ns, visible.frame_id)
        self._lose('', time_ns)
        state.stand_in.remember(*pair)
        if self._due(time_ns):
            self._judge(time_ns, header, *pair)
        fusion = self._fuser.fuse(*pair, options.outputs)
        state.fused += 1
        for output in options.outputs:
            self._show(output, getattr(fusion, output), time_ns, header, 'visible')

    def _alone(self, stream: str, frame: Frame) -> None:
        """Restore a frame whose partner's camera is lost; it goes out as the fused one, too."""
        state, options = self.state, self._options
        picture, crop = frame.picture, (0, 0, 0)
        if stream == 'thermal':
            picture = self._scaled(frame)
            crop = (picture.shape[0], options.settings['thermal.crop_top_px'],
                    options.settings['thermal.crop_bottom_px'])
        picture = resized(picture, state.stand_in.size(
            stream, picture, options.settings['output.size']))
        stamp_ns = frame.stamp_ns + to_reference_ns(options.settings, stream)
        header = bags.header(stamp_ns, frame.frame_id)
        self._lose(other_of(stream), frame.time_ns)
        if self._due(frame.time_ns):
            self._judge(frame.time_ns, header, **state.stand_in.for_judge(stream, picture))
        made = getattr(self._fuser.fuse(**state.stand_in.for_network(stream, picture),
                                        outputs=(stream,)), stream)
        state.alone += 1
        for output in options.outputs:
            if output in ('fused', stream):
                self._show(output, made, frame.time_ns, header, stream, crop)

    def _show(self, output: str, array: np.ndarray, time_ns: int, header: object,
              camera: str, crop: tuple[int, int, int] = (0, 0, 0)) -> None:
        name, encoding = messages.PICTURES[output]
        if output == 'fused':
            encoding = self._options.settings['output.colour']
            array = encodings.from_rgb(array, encoding)
        base = f'/{self._options.name}/{name}'
        stamp_ns = header.stamp.sec * NS + header.stamp.nanosec
        self._put(f'{base}/image', bags.IMAGE, time_ns,
                  bags.image_cdr(array, encoding, stamp_ns, header.frame_id))
        if camera in self.state.infos:
            self._put(f'{base}/camera_info', bags.CAMERA_INFO, time_ns,
                      messages.camera_info(self.state.infos[camera], array.shape, header, crop))

    def _scaled(self, thermal: Frame) -> np.ndarray:
        state = self.state
        if state.scaled is None or state.scaled[0] is not thermal:  # once: the window moves
            state.scaled = thermal, state.scaler(thermal.picture)
        return state.scaled[1]

    def _due(self, time_ns: int) -> bool:
        """Tell whether it is time to judge."""
        judged_ns, rate_hz = self.state.judged_ns, self._options.settings['degradation.rate_hz']
        gap_ns = NS / rate_hz if rate_hz else np.inf
        return judged_ns is None or not 0 <= time_ns - judged_ns < gap_ns

    def _judge(self, time_ns: int, header: object, visible: np.ndarray,
               thermal: np.ndarray) -> None:
        self.state.judged_ns = time_ns
        # a camera that is left alone is restored, whatever else is asked for
        outputs = OUTPUTS if self.state.missing else self._options.outputs
        self._tell(time_ns, header, self._fuser.refresh(
            visible, thermal, keep=self._options.settings['degradation.smoothing'],
            outputs=outputs))

    def _lose(self, missing: str, time_ns: int) -> None:
        """Take note of whose camera is lost, '' for nobody's; the next frame is then judged."""
        state = self.state
        if missing == state.missing:
            return
        back, state.missing, state.judged_ns = state.missing, missing, None
        if back:
            state.filters[back].reset()
            self._say(back, UNSURE, time_ns)
        if missing:
            self._say(missing, MISSING, time_ns)

    def _tell(self, time_ns: int, header: object, found: Degradation) -> None:
        """Write what was judged."""
        judged = {}
        for modality in STREAMS:
            if modality == self.state.missing:
                judged[modality] = {}, MISSING
                continue
            severities = getattr(found, modality)
            labels = self.state.filters[modality].update(severities, found.unsure[modality])
            judged[modality] = severities, labels
            self._say(modality, labels, time_ns)
        self._put(f'/{self._options.name}/degradation/scores', messages.SCORES, time_ns,
                  messages.scores(header, judged))

    def _say(self, modality: str, labels: tuple[str, ...], time_ns: int) -> None:
        """Write labels where they changed, as they are latched."""
        if labels != self.state.labels.get(modality):
            self.state.labels[modality] = labels
            self._put(f'/{self._options.name}/degradation/{modality}', messages.STRING, time_ns,
                      messages.text(labels))

    def _put(self, topic: str, msgtype: str, time_ns: int, raw: bytes) -> None:
        self.state.put += 1
        heapq.heappush(self.state.waiting, (time_ns, self.state.put, topic, msgtype, raw))

    def _ready(self, until_ns: int | None) -> Iterator[bags.Message]:
        waiting = self.state.waiting
        while waiting and (until_ns is None or waiting[0][0] <= until_ns):
            time_ns, _, topic, msgtype, raw = heapq.heappop(waiting)
            yield bags.Message(topic, msgtype, time_ns, raw)
