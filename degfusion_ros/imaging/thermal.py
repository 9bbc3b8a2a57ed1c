# SPDX-License-Identifier: Apache-2.0
"""Scale raw thermal frames to [0, 1] without flicker."""

import math

import numpy as np

from degfusion_ros.imaging.errors import FrameError

SAMPLES = 20000  # pixels the percentiles are taken from: enough for 1 %, and fast
MIN_SPAN = 1e-3  # least span of counts as a share of their level: 8 at 8000
MIN_SPAN_KELVIN = 0.3  # least span of temperatures, in kelvin or Celsius alike
BODY = (10, 30, 50, 70, 90)  # percentiles that all move alike when the sensor's offset steps
STEPS = 0.04, 1e4  # of the window: smaller offsets are left to the smoothing, larger are none
ALIKE = 0.25  # of the offset: how far the percentiles' moves may differ from it
NARROWEST = 1e-6  # a fixed window must be wider
ABSURD = 1e30  # no temperature; also keeps float32 arithmetic finite


class ThermalScaler:
    """
    Map raw thermal frames to float32 [0, 1], the same way from frame to frame.

    window: fixed (low, high) in raw units, None for automatic. percentile: (low, high) of the
    automatic window, 0..100. smoothing: 0..1, how much of the last window stays; each end also
    moves by at most (1 - smoothing) of the window per frame, so a hot object that enters does
    not flash. crop_top, crop_bottom: telemetry rows, removed before anything else: the result
    has that many rows fewer, and registration refers to the cropped frame. invert: for cameras
    set to black-hot. sensor_bits: the sensor's range 0..2**bits - 1 as the window of 16 bit
    frames, 0 for automatic; a fixed window goes before it.

    A flat frame (closed shutter) teaches nothing. When all counts step by the same amount, as
    they do after a shutter correction, the window steps with them and the picture stays. A frame
    that the window misses altogether (new scene) starts a new window. Not thread-safe.
    """

    def __init__(self, window: tuple[float, float] | None = None,
                 percentile: tuple[float, float] = (1.0, 99.0), smoothing: float = 0.9,
                 crop_top: int = 0, crop_bottom: int = 0, invert: bool = False,
                 sensor_bits: int = 0):
        if window is not None and not (-ABSURD < window[0] < window[1] - NARROWEST < ABSURD):
            raise ValueError(f'window is {window}: it must be (low, high) with low < high')
        if not 0 <= percentile[0] < percentile[1] <= 100:
            raise ValueError(f'percentile is {percentile}: it must hold 0 <= low < high <= 100')
        if not 0 <= smoothing < 1:
            raise ValueError(f'smoothing is {smoothing}: it must be 0 or more and below 1')
        if crop_top < 0 or crop_bottom < 0:
            raise ValueError('crop_top and crop_bottom must be 0 or more rows')
        if not 0 <= sensor_bits <= 16:
            raise ValueError(f'sensor_bits is {sensor_bits}: it must be 0 to 16')
        self._fixed = window
        self._percentile = percentile
        self._share = 1 - smoothing
        self._crop_top, self._crop_bottom = crop_top, crop_bottom
        self._invert, self._bits = invert, sensor_bits
        self.reset()

    def reset(self) -> None:
        """Forget the automatic window."""
        self._window: tuple[float, float] | None = None
        self._body: np.ndarray | None = None  # the last frame's percentiles of BODY

    def __call__(self, raw: np.ndarray) -> np.ndarray:
        """
        Return a raw HxW uint8, uint16 or float32 frame as float32 in [0, 1], cropped.

        uint8 is divided by 255 unless a fixed window is set. Dead pixels (NaN, Inf) get the
        frame's median. Raise FrameError on another kind of array, on a frame with no rows left
        after the crop, and on one without a single finite pixel.
        """
        frame = self._cropped(raw)
        if frame.dtype == np.float32:
            frame = _filled(frame)
        if self._fixed is not None:
            low, high = self._fixed
        elif frame.dtype == np.uint8:
            low, high = 0.0, 255.0
        elif frame.dtype == np.uint16 and self._bits:
            low, high = 0.0, 2.0 ** self._bits - 1
        else:
            low, high = self._automatic(frame)
        scaled = frame.astype(np.float32)
        scaled -= np.float32(low)
        scaled *= np.float32(1 / (high - low))
        np.clip(scaled, 0, 1, out=scaled)
        return np.subtract(1, scaled, out=scaled) if self._invert else scaled

    def _cropped(self, raw):
        if raw.ndim != 2 or raw.dtype not in (np.uint8, np.uint16, np.float32):
            raise FrameError('wrong_array', f'thermal frame is {raw.dtype} of shape {raw.shape}: '
                                            'it must be HxW of uint8, uint16 or float32')
        frame = raw[self._crop_top:raw.shape[0] - self._crop_bottom]
        if self._crop_top + self._crop_bottom >= raw.shape[0] or frame.size == 0:
            raise FrameError('empty', f'thermal frame of {raw.shape[0]} rows has none left after '
                                      f'cropping {self._crop_top} + {self._crop_bottom}')
        return frame

    def _automatic(self, frame) -> tuple[float, float]:
        """Return this frame's window and remember it."""
        stride = max(1, math.isqrt(frame.size // SAMPLES))
        sample = frame[::stride, ::stride].ravel()
        low, high, *body = map(float, _percentiles(sample, (*self._percentile, *BODY)))
        middle = body[len(body) // 2]
        least = _least_span(frame.dtype, low, middle, high)
        if high - low < least:
            if self._window is None:
                return middle - least / 2, middle + least / 2
            return self._window
        before, self._body = self._body, np.array(body)
        if self._window is not None:
            self._ride(self._body, before)
        if self._window is None or high < self._window[0] or low > self._window[1]:
            self._window = low, high
        elif self._share < 1:
            reach = self._share * (self._window[1] - self._window[0])
            self._window = (_toward(self._window[0], low, self._share, reach),
                            _toward(self._window[1], high, self._share, reach))
        else:
            self._window = low, high
        return self._window

    def _ride(self, body, before) -> None:
        """Move the window with an offset that all of the frame has taken at once."""
        moves = body - before
        offset = float(np.median(moves))
        low, high = self._window
        least, most = (share * (high - low) for share in STEPS)
        if (least < abs(offset) < most
                and np.abs(moves - offset).max() <= ALIKE * abs(offset)):
            self._window = low + offset, high + offset


def scaler(window: tuple[float, float], percentile: tuple[float, float], smoothing: float,
           crop_top: int, crop_bottom: int, invert: bool, sensor_bits: int) -> ThermalScaler:
    """Return the scaler of the node's thermal.* parameters: a window of no width is none."""
    return ThermalScaler(window if window[0] < window[1] else None, percentile, smoothing,
                         crop_top, crop_bottom, invert, sensor_bits)


def _percentiles(sample, percents) -> np.ndarray:
    """Return what np.percentile does; of counts, if near together, in less time."""
    least = sample.min()
    if sample.dtype == np.float32 or sample.max() - least > SAMPLES:
        return np.percentile(sample, percents)
    below = np.bincount(sample - least).cumsum()
    rank = np.asarray(percents) / 100 * (sample.size - 1)
    before, share = np.floor(rank), rank % 1
    # the values at two neighbouring ranks: how many counts lie wholly below them
    low, high = (np.searchsorted(below, np.minimum(r, sample.size - 1), side='right')
                 for r in (before, before + 1))
    return int(least) + low + share * (high - low)


def _least_span(dtype, low, middle, high) -> float:
    """Return how far apart black and white are at least, so that flat noise stays weak."""
    if dtype != np.float32:
        return max(MIN_SPAN * middle, 1.0)
    if 0 <= low and high <= 1:  # no temperatures: already scaled by the driver
        return MIN_SPAN
    return max(MIN_SPAN_KELVIN, 1e-6 * abs(middle))  # float32 tells no finer


def _toward(value, target, share, reach) -> float:
    return value + min(max(share * (target - value), -reach), reach)


def _filled(frame):
    """Return the frame with its dead pixels at the median of the others."""
    alive = np.abs(frame) < ABSURD  # False for NaN and Inf too
    if alive.all():
        return frame
    if not alive.any():
        raise FrameError('all_nan', 'thermal frame has no finite pixel: check the camera')
    values = frame[alive]
    return np.where(alive, frame, np.median(values[::max(1, values.size // SAMPLES)]))
