# SPDX-License-Identifier: Apache-2.0
"""Frozen cameras: new stamps on the same pixels, which no real sensor sends for long."""

FRAMES = 5  # as many the same in a row at the least: a slow camera may send few in the time


class Stillness:
    """
    Tells a stream that repeats its last picture from one that shows a still scene.

    A sensor has noise, so a picture is told by a fingerprint of some of its bytes; one without
    any (saturated, night) has no fingerprint, None, and is never frozen. A shutter that closes for
    a moment repeats a picture as well: `frozen_after_ns` is longer than that. 0 switches it off (a
    simulated camera may have no noise).
    """

    def __init__(self, frozen_after_ns: int):
        if frozen_after_ns < 0:
            raise ValueError(f'frozen_after_ns is {frozen_after_ns}: it must be 0 or more')
        self._frozen_after_ns = frozen_after_ns
        self._newest: int | None = None
        self._since_ns = 0
        self._count = 0
        self._blank = False  # the newest picture tells nothing

    def frozen(self, fingerprint: int | None, now_ns: int) -> bool:
        """Take a frame's fingerprint, if any; return whether it has been the same for too long."""
        self._blank = fingerprint is None
        if not self._count or fingerprint != self._newest:
            self._newest, self._since_ns, self._count = fingerprint, now_ns, 0
        self._count += 1
        return not self._blank and 0 < self._frozen_after_ns < self.stands_ns(now_ns)

    def stands_ns(self, now_ns: int) -> int:
        """Return for how long the newest picture has been the same, 0 for one of a few frames."""
        return now_ns - self._since_ns if self._count >= FRAMES else 0

    def blank_ns(self, now_ns: int) -> int:
        """Return for how long pictures have told nothing, 0 where the newest does."""
        return self.stands_ns(now_ns) if self._blank else 0

    def reset(self) -> None:
        """Forget the last picture."""
        self._newest, self._count = None, 0
