# SPDX-License-Identifier: Apache-2.0
"""Messages into the pictures the fuser takes: checked at the door, decoded by the worker."""

from collections.abc import Callable

import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from degfusion_ros.imaging import encodings
from degfusion_ros.imaging.encodings import FrameError
from degfusion_ros.imaging.registration import (
    on_one_grid,
    Registration,
    resized,
    SMALLEST_SIDE,
)
from degfusion_ros.imaging.thermal import scaler, ThermalScaler
from degfusion_ros.node import compatibility
from degfusion_ros.node.settings import Settings

USABLE = {
    'visible': encodings.VISIBLE_ENCODINGS, 'thermal': encodings.THERMAL_ENCODINGS}


def encoding_of(stream: str, message: Image, settings: Settings) -> str:
    """Return what a raw frame holds: its own word, unless a parameter overrules it."""
    override = settings[f'input.{stream}.encoding']
    return message.encoding if override == 'auto' else override


def check(stream: str, message: object, settings: Settings) -> None:
    """Raise FrameError for a message that can never be decoded; looks at no pixel."""
    if not isinstance(message, Image):
        encodings.check_compressed(message.data, message.format)
        return
    encoding = encoding_of(stream, message, settings)
    if encoding in encodings.ENCODINGS and encoding not in USABLE[stream]:
        raise FrameError(
            'unsuitable_encoding', f'encoding {encoding!r} does not hold a {stream} image: '
            f'use one of {", ".join(USABLE[stream])}')
    encodings.decode(
        message.data, message.height, message.width, message.step, encoding, False)
    if min(message.height, message.width) < SMALLEST_SIDE:
        raise FrameError(
            'too_small', f'image of {message.width}x{message.height} pixels is too small: '
            f'{SMALLEST_SIDE} a side are needed')


class Decoder:
    """Turns a pair of messages into what fuser.fuse takes; used by one thread, but for reset."""

    def __init__(self, settings: Settings, registration: Registration):
        self._settings, self._registration = settings, registration
        self._bridge, self.bridge_says = compatibility.load_bridge()
        self._scaler, self._scaled_by = None, None
        # Of each stream the last frame, what it was read by, and its picture: it may be held.
        self._last: dict[str, tuple[object, str, np.ndarray]] = {}
        self._aligned: tuple[np.ndarray, tuple, np.ndarray] | None = None
        self._forget = False  # at the next frame

    def visible(self, message: object) -> np.ndarray:
        """Return the frame as uint8 HxWx3 RGB, to be read only; raises FrameError."""
        return self._once('visible', message, self._visible)

    def thermal(self, message: object) -> np.ndarray:
        """Return the frame as float32 HxW, 0 black to 1 white, read only too; raises FrameError."""
        return self._once('thermal', message, self._thermal)

    def _once(self, stream: str, message: object, decode: Callable) -> np.ndarray:
        """Decode, but for the frame that was the last: once, for the window's smoothing too."""
        if self._forget:
            self._forget = False
            self._last.clear()
            self._scaled_by, self._aligned = None, None
        override = self._settings[f'input.{stream}.encoding']
        last, read_by, picture = self._last.get(stream, (None, '', None))
        if last is not message or read_by != override:
            picture = decode(message)
            self._last[stream] = message, override, picture
        return picture

    def _visible(self, message: object) -> np.ndarray:
        if not isinstance(message, Image):
            return encodings.to_visible(*self._decompressed('visible', message))
        encoding = encoding_of('visible', message, self._settings)
        return compatibility.to_visible(message, encoding, self._bridge)

    def _thermal(self, message: object) -> np.ndarray:
        if isinstance(message, Image):
            encoding = encoding_of('thermal', message, self._settings)
            array = encodings.decode(
                message.data, message.height, message.width, message.step, encoding,
                message.is_bigendian)
        else:
            array, encoding = self._decompressed('thermal', message)
        return self._thermal_scaler()(encodings.to_thermal(array, encoding))

    def align(self, visible: np.ndarray, thermal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return both pictures on the visible's pixel grid, at the output's size."""
        size = self._settings['output.size']
        asked = visible.shape[:2], size
        if self._aligned is not None and self._aligned[0] is thermal and self._aligned[1] == asked:
            aligned = self._aligned[2]  # a held one, before the next visible frame
            return resized(visible, aligned.shape), aligned
        visible, aligned = on_one_grid(self._registration, visible, thermal, size)
        self._aligned = thermal, asked, aligned
        return visible, aligned

    def reset(self) -> None:
        """Forget, before the next frame, what earlier ones looked like; from any thread."""
        self._forget = True

    def _decompressed(self, stream: str, message: CompressedImage) -> tuple[np.ndarray, str]:
        return encodings.decode_compressed_as(
            stream, message.data, message.format, self._settings[f'input.{stream}.encoding'])

    def _thermal_scaler(self) -> ThermalScaler:
        values = self._settings.group('thermal')
        if values != self._scaled_by:
            self._scaler, self._scaled_by = scaler(*values), values
        return self._scaler
