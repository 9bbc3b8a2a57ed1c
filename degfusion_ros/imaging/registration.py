# SPDX-License-Identifier: Apache-2.0
"""Bring thermal images into the frame of the visible camera."""

from pathlib import Path

import cv2
import numpy as np
import yaml

from degfusion_ros.imaging.errors import FrameError

KEYS = ('homography', 'thermal_size', 'visible_size')


class RegistrationError(ValueError):
    """A registration file that cannot be used, as one clear line."""


class Registration:
    """
    Resample thermal images to the visible image.

    homography: 3x3, thermal pixel -> visible pixel, None where the cameras see the same (then the
    image is only resized). thermal_size, visible_size: (width, height) the homography was
    measured at; it is scaled to images of other sizes of the same shape, and images of another
    shape are refused. Without them the homography is applied as it is.
    """

    def __init__(self, homography: np.ndarray | None = None,
                 thermal_size: tuple[int, int] | None = None,
                 visible_size: tuple[int, int] | None = None):
        self.homography = homography
        self.thermal_size = thermal_size
        self.visible_size = visible_size

    @classmethod
    def identity(cls) -> 'Registration':
        """Return the registration of cameras that see the same: it only resizes."""
        return cls()

    @classmethod
    def load(cls, path: str | Path) -> 'Registration':
        """
        Read a YAML file: homography (3x3, row by row), thermal_size and visible_size optional.

        Raise RegistrationError, which names the file, what is wrong and what to do.
        """
        try:
            content = yaml.safe_load(Path(path).read_text())
        except OSError as error:
            raise _error(path, f'cannot be read ({error.strerror}): check the path') from None
        except (yaml.YAMLError, UnicodeDecodeError):
            raise _error(path, 'is not YAML: write it as `homography: [[..], [..], [..]]`'
                         ) from None
        if not isinstance(content, dict) or 'homography' not in content:
            raise _error(path, 'has no `homography`: add the 3x3 matrix, thermal to visible pixel')
        unknown = [str(key) for key in content if key not in KEYS]
        if unknown:
            raise _error(path, f'has unknown keys {", ".join(unknown)}: use {", ".join(KEYS)}')
        sizes = [_size(path, content, key) for key in KEYS[1:]]
        return cls(_homography(path, content['homography']), *sizes)

    def __call__(self, thermal: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """
        Return a thermal HxW uint8, uint16 or float32 image as the visible camera would see it.

        `size` is the visible (height, width). Pixels outside the thermal view become 0. The
        image itself comes back where nothing is to be done. Raise FrameError where the shape of
        an image does not fit the registration.
        """
        height, width = size
        if self.homography is None:
            if thermal.shape == (height, width):
                return thermal
            shrinks = height < thermal.shape[0] and width < thermal.shape[1]
            return cv2.resize(thermal, (width, height),
                              interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        thermal_size = thermal.shape[1], thermal.shape[0]
        matrix = (_scale('visible', self.visible_size, (width, height)) @ self.homography
                  @ np.linalg.inv(_scale('thermal', self.thermal_size, thermal_size)))
        return cv2.warpPerspective(thermal, matrix, (width, height), flags=cv2.INTER_LINEAR)


def _error(path, what) -> RegistrationError:
    return RegistrationError(f'registration file {path} {what}')


def _homography(path, rows) -> np.ndarray:
    try:
        matrix = np.array(rows, dtype=np.float64)
    except (TypeError, ValueError):
        matrix = None
    if matrix is not None and matrix.size == 9 and matrix.ndim <= 2:
        matrix = matrix.reshape(3, 3)  # nine numbers in a row, as OpenCV writes them, will do
    if matrix is None or matrix.shape != (3, 3) or not np.isfinite(matrix).all():
        raise _error(path, 'has a `homography` that is not 3x3 finite numbers: give three rows')
    if np.linalg.cond(matrix) > 1e12:
        raise _error(path, 'has a `homography` that cannot be inverted: measure it again')
    return matrix


def _size(path, content, key) -> tuple[int, int] | None:
    value = content.get(key)
    if value is None:
        return None
    if not (isinstance(value, list) and len(value) == 2
            and all(type(side) is int and side > 0 for side in value)):
        raise _error(path, f'has `{key}: {value}`: give [width, height] in pixels')
    return value[0], value[1]


def _scale(role, measured, actual) -> np.ndarray:
    """Return the 3x3 that takes pixels of the measured size to those of the actual one."""
    if measured is None or measured == actual:
        return np.eye(3)
    x, y = actual[0] / measured[0], actual[1] / measured[1]
    if abs(x / y - 1) > 0.02:
        raise FrameError('registration_size', f'{role} image is {actual[0]}x{actual[1]} but the '
                                              f'registration was measured at {measured[0]}x'
                                              f'{measured[1]}: calibrate again or correct it')
    # Pixel centres are at whole numbers, so a scale moves them by half the difference.
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])
