# SPDX-License-Identifier: Apache-2.0
"""The error of a frame that cannot be used."""

MAX_SIDE = 16384  # pixels; a larger side is a broken header, not a camera


class FrameError(ValueError):
    """A frame that cannot be used: `cause` is a counter key, the text one clear line."""

    def __init__(self, cause: str, message: str):
        super().__init__(message)
        self.cause = cause
