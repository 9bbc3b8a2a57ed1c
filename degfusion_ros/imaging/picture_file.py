# SPDX-License-Identifier: Apache-2.0
"""Pictures from files, as the same camera's topic would give them."""

from pathlib import Path

import cv2
import numpy as np


class PictureError(ValueError):
    """A file that is no usable picture; one line names it and says why."""


def read_picture(path: Path | str, flags: int) -> np.ndarray:
    """
    Return what cv2.imread makes of a file with `flags`; raises PictureError.

    A tag that turns the picture is ignored, as on a topic: the other camera's would not turn.
    """
    if flags != cv2.IMREAD_UNCHANGED:   # which ignores the tag by itself
        flags |= cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imread(str(path), flags)
    except cv2.error as error:      # a header of 60000x60000, or no memory for what it declares
        raise PictureError(f'{path}: not a readable image ({" ".join(error.err.split())})') \
            from error
    if image is None:
        raise PictureError(f'{path}: not a readable image')
    return image


def read_rgb(path: Path | str) -> np.ndarray:
    """Return a visible picture as uint8 HxWx3 RGB; raises PictureError."""
    return cv2.cvtColor(read_picture(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def read_thermal(path: Path | str) -> np.ndarray:
    """Return a thermal picture HxW in its own depth, colour by luminance; raises PictureError."""
    image = read_picture(path, cv2.IMREAD_UNCHANGED)
    if image.ndim == 2:
        return image
    if image.shape[2] < 3 or image.dtype not in (np.uint8, np.uint16, np.float32):
        raise PictureError(f'{path}: {image.shape[2]} channels of {image.dtype}: give 8 or 16 bit '
                           'gray or colour')
    return cv2.cvtColor(image[..., :3], cv2.COLOR_BGR2GRAY)
