# SPDX-License-Identifier: Apache-2.0
"""Bring thermal images into the frame of the visible camera."""

from pathlib import Path

import cv2
import numpy as np

from degfusion_ros.imaging import registration_file
from degfusion_ros.imaging.errors import FrameError
from degfusion_ros.imaging.geometry import Plane, Rig
from degfusion_ros.imaging.registration_file import RegistrationError

__all__ = ['on_one_grid', 'Registration', 'RegistrationError', 'resized', 'SMALLEST_SIDE']

SMALLEST_SIDE = 32  # pixels: what the network needs
LEAST_COVERED = 0.01  # of the visible picture: less is a wrong file
FADE = 1 / 40  # of the width: how far what lies beyond the thermal edge repeats it


class Registration:
    """
    Resample thermal images to the visible image.

    geometry: where visible pixels lie in the thermal picture; None where the cameras see the same
    (then the image is only resized). It is scaled to images of other sizes of the same shape, and
    images of another shape are refused. What depends on sizes alone is kept from image to image.
    Not thread-safe.
    """

    def __init__(self, geometry: Plane | Rig | None = None):
        self.geometry = geometry
        self.covered = 1.0  # share of the output that the thermal camera sees
        self.seen: np.ndarray | None = None  # that part of the last output as 1, uint8 HxW
        self._made_for: tuple | None = None
        self._missed: tuple[tuple, str] | None = None  # the sizes for which it does, why
        if geometry is not None and geometry.thermal_size and geometry.visible_size:
            self._prepare(geometry.thermal_size, geometry.visible_size, geometry.visible_size)

    @classmethod
    def identity(cls) -> 'Registration':
        """Return the registration of cameras that see the same: it only resizes."""
        return cls()

    @classmethod
    def load(cls, path: str | Path) -> 'Registration':
        """
        Read a YAML file as docs/calibration.md describes it.

        Raise RegistrationError, which names the file, what is wrong and what to do.
        """
        try:
            return cls(registration_file.load(path))
        except FrameError as error:
            raise RegistrationError(f'registration file {path}: {error}') from None

    def __call__(self, thermal: np.ndarray, visible_size: tuple[int, int],
                 output_size: tuple[int, int] | None = None) -> np.ndarray:
        """
        Return a thermal HxW uint8, uint16 or float32 image as the visible camera would see it.

        Both sizes are (height, width): of the visible image, and of the result where the visible
        image will be resized. What the thermal camera does not see repeats its edge and fades to
        the mean, so that no border shows. The image itself comes back where nothing is to be
        done. Raise FrameError where the shape of an image does not fit the registration.
        """
        output_size = output_size or visible_size
        if self.geometry is None:
            return resized(thermal, output_size)
        self._prepare(thermal.shape[::-1], visible_size[::-1], output_size[::-1])
        result = cv2.remap(thermal, *self._maps, cv2.INTER_LINEAR)
        if self._unseen.size:
            mean = cv2.mean(result, self.seen)[0]
            pixels = result.reshape(-1)
            repeated = pixels[self._unseen].astype(np.float32)
            pixels[self._unseen] = mean + self._repeated_share * (repeated - mean)
        return result

    def _prepare(self, thermal, visible, output) -> None:
        """Make the maps for these sizes (width, height) unless they are there."""
        sizes = thermal, visible, output
        if self._made_for == sizes:
            return
        if self._missed is not None and self._missed[0] == sizes:  # as long to find out as a map
            raise FrameError('registration_misses', self._missed[1])
        _check_shape('thermal', self.geometry.thermal_size, thermal)
        _check_shape('visible', self.geometry.visible_size, visible)
        grid = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float64) for n in output)), axis=-1)
        points = _rescaled(grid.reshape(-1, 2), output, self.geometry.visible_size or visible)
        found = _rescaled(self.geometry.to_thermal(points),
                          self.geometry.thermal_size or thermal, thermal)
        edge = np.array(thermal) - 1.0
        seen = ((found >= -0.5) & (found <= edge + 0.5)).all(axis=1)  # False for NaN
        self.covered = float(seen.mean())
        if self.covered < LEAST_COVERED:
            self._missed = sizes, (
                f'registration puts {self.covered:.1%} of a {visible[0]}x{visible[1]} image into '
                'the thermal one: calibrate again')
            raise FrameError('registration_misses', self._missed[1])
        found = np.clip(np.nan_to_num(found), 0, edge).astype(np.float32)
        # Fixed-point maps: a third of the time, steps of 1/32 pixel.
        self._maps = cv2.convertMaps(found.reshape(output[1], output[0], 2), None, cv2.CV_16SC2)
        self.seen = seen.reshape(output[::-1]).astype(np.uint8)
        away = cv2.distanceTransform(1 - self.seen, cv2.DIST_L2, 3).ravel()
        self._unseen = np.flatnonzero(~seen)
        self._repeated_share = np.exp(-away[self._unseen] / (FADE * output[0]))
        self._made_for = sizes


def on_one_grid(registration: Registration, visible: np.ndarray, thermal: np.ndarray,
                size: str = 'visible') -> tuple[np.ndarray, np.ndarray]:
    """
    Return both pictures on the visible camera's pixel grid.

    size: of the result, that of the `visible` or the `thermal` picture, or WIDTHxHEIGHT. Raise
    FrameError where a side is below SMALLEST_SIDE, or the registration is of other pictures.
    """
    if size == 'visible':
        height, width = visible.shape[:2]
    elif size == 'thermal':
        height, width = thermal.shape[:2]
    else:
        width, height = map(int, size.split('x'))
    if min(height, width, *visible.shape[:2], *thermal.shape) < SMALLEST_SIDE:
        raise FrameError(
            'too_small', f'image of {width}x{height} pixels is too small: '
            f'{SMALLEST_SIDE} a side are needed')
    return (resized(visible, (height, width)),
            registration(thermal, visible.shape[:2], (height, width)))


def resized(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the picture at (height, width); the same memory when it has that size."""
    if array.shape[:2] == size:
        return array
    shrinks = size[0] < array.shape[0] and size[1] < array.shape[1]
    return cv2.resize(
        array, (size[1], size[0]),
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _rescaled(points, before, after):
    """Return pixels of a (width, height) picture as those of it resized."""
    # Pixel centres are at whole numbers, so a scale moves them by half the difference.
    return (points + 0.5) * (np.array(after) / before) - 0.5


def _check_shape(role, measured, actual) -> None:
    if measured and abs(actual[0] * measured[1] / (actual[1] * measured[0]) - 1) > 0.02:
        raise FrameError('registration_size', f'{role} image is {actual[0]}x{actual[1]} but the '
                                              f'registration was measured at {measured[0]}x'
                                              f'{measured[1]}: calibrate again or correct it')
