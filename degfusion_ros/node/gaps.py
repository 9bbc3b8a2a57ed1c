# SPDX-License-Identifier: Apache-2.0
"""The gaps between frames, in which the judge does its work step by step."""

import threading

LONGEST_S = 0.05  # that a step waits: where no frame comes, or none ends, it goes on all the same


class Gaps:
    """`with gaps:` around every frame; `gaps.wait()` returns when the next one has ended."""

    def __init__(self) -> None:
        self._ended = 0
        self._changed = threading.Condition()

    def __enter__(self) -> None:
        """A frame begins."""

    def __exit__(self, *_: object) -> None:
        """A frame ends, well or not."""
        with self._changed:
            self._ended += 1
            self._changed.notify_all()

    def wait(self) -> None:
        """Wait for the end of a frame, LONGEST_S at most."""
        with self._changed:
            now = self._ended
            self._changed.wait_for(lambda: self._ended != now, LONGEST_S)
