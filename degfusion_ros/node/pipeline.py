# SPDX-License-Identifier: Apache-2.0
"""A frame's way through the worker: a pair of messages in, pictures out."""

import time

import cv2
import numpy as np
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from degfusion_ros.imaging import mosaic
from degfusion_ros.imaging.encodings import FrameError
from degfusion_ros.node.frames import Decoder
from degfusion_ros.node.health import Health
from degfusion_ros.node.judge import Judge
from degfusion_ros.node.outputs import Outputs
from degfusion_ros.node.settings import Settings
from degfusion_ros.node.verdicts import Verdicts
from degfusion_ros.stream.pairing import Pair

FROM_RGB = {'bgr8': cv2.COLOR_RGB2BGR, 'mono8': cv2.COLOR_RGB2GRAY}


class Pipeline:
    """Fuses a pair when called; runs in the mailbox's worker thread."""

    def __init__(
            self, settings: Settings, fuser: object, decoder: Decoder, judge: Judge,
            verdicts: Verdicts, outputs: Outputs, infos: dict[str, CameraInfo], health: Health,
            warm_sizes: set[tuple[int, int]]):
        self._settings, self._fuser, self._decoder = settings, fuser, decoder
        self._judge, self._verdicts = judge, verdicts
        self._outputs, self._infos, self._health = outputs, infos, health
        self._warm_sizes = warm_sizes  # (height, width) the fuser has been warmed up for
        self.warming = False
        self._last_mosaic_ns = 0

    def __call__(self, pair: Pair) -> None:
        """Decode, align, fuse and publish; a frame that cannot be used is counted."""
        stages, began = self._health.stages, time.monotonic_ns()
        last_came = max(pair.reference.arrived_ns, pair.other.arrived_ns)
        stages.record('wait', (began - last_came) / 1e6)
        stages.record('delta_t', abs(pair.delta_ns) / 1e6)
        frames = (pair.reference, pair.other)
        if self._settings['sync.reference'] == 'thermal':
            frames = frames[::-1]
        with stages.measure('decode'):
            images = self._decoded(*frames)
        if images is None:
            return
        # The stamp is the reference's; the pixels lie on the visible camera's grid.
        header = Header(
            stamp=pair.reference.header.stamp, frame_id=frames[0].header.frame_id)
        self._judge.offer(*images, header)
        self._warm_up(images[0].shape[:2])
        mosaic_due = self._mosaic_due(began)
        with stages.measure('fuse'):
            fusion = self._fuser.fuse(*images, outputs=self._wanted(mosaic_due))
        with stages.measure('publish'):
            self._publish(fusion, header)
        stages.record('total', (time.monotonic_ns() - last_came) / 1e6)
        self._health.fused()
        if mosaic_due:
            self._last_mosaic_ns = began
            self._publish_mosaic(images, fusion, header, pair, last_came)

    def _decoded(self, visible, thermal) -> tuple[np.ndarray, np.ndarray] | None:
        stream = 'visible'
        try:
            rgb = self._decoder.visible(visible.message)
            stream = 'thermal'
            heat = self._decoder.thermal(thermal.message)
            return self._decoder.align(rgb, heat)
        except FrameError as error:
            self._health.refuse('pairs', stream, error)
            return None

    def _warm_up(self, size: tuple[int, int]) -> None:
        if size in self._warm_sizes:
            return
        self.warming = True
        try:
            with self._health.stages.measure('warm_up'):
                self._fuser.warm_up(*size)
        finally:
            self.warming = False
        self._warm_sizes.add(size)

    def _mosaic_due(self, now_ns: int) -> bool:
        # a tenth early: frames that come at just this rate shall each have theirs
        gap_ns = 0.9e9 / self._settings['output.mosaic_rate_hz']
        return self._outputs.listened('mosaic') and now_ns - self._last_mosaic_ns >= gap_ns

    def _wanted(self, mosaic_too: bool) -> tuple[str, ...]:
        return ('fused',) + tuple(
            name for name in ('visible', 'thermal')
            if mosaic_too or self._outputs.listened(f'{name}_restored'))

    def _publish(self, fusion, header: Header) -> None:
        colour, info = self._settings['output.colour'], self._infos.get('visible')
        fused = fusion.fused
        if colour in FROM_RGB:
            fused = cv2.cvtColor(fused, FROM_RGB[colour])
        self._outputs.picture('fused', fused, colour, header, info)
        for name, encoding in (('visible', 'rgb8'), ('thermal', 'mono8')):
            restored = getattr(fusion, name)
            if restored is not None and self._outputs.listened(f'{name}_restored'):
                self._outputs.picture(f'{name}_restored', restored, encoding, header, info)

    def _publish_mosaic(self, images, fusion, header: Header, pair: Pair, came_ns: int) -> None:
        labels = self._verdicts.labels
        lines = [f'{name}: {", ".join(labels.get(name, ("not judged yet",)))}'
                 for name in ('visible', 'thermal')]
        lines.append(f'dt {pair.delta_ns / 1e6:+.1f} ms'
                     f'   {(time.monotonic_ns() - came_ns) / 1e6:.0f} ms')
        with self._health.stages.measure('mosaic'):
            picture = mosaic.compose(
                *images, fusion.fused, fusion.visible, fusion.thermal, lines=lines)
            self._outputs.picture('mosaic', picture, 'rgb8', header)
