# SPDX-License-Identifier: Apache-2.0
"""What a stream changes all of a sudden: its time, and the kind of its frames."""

JUMP_NS = 1_000_000_000  # a step of this size is another time, neither jitter nor a late frame
FAR = 3  # times the last step between two stamps: a recording may be played fast
TOLD_NS = 3_000_000_000  # a change is told for as long


class Changes:
    """Takes every usable frame's stamp, arrival and kind; not thread-safe."""

    def __init__(self):
        self._last: dict[str, tuple[int, int, str]] = {}  # stream -> stamp, arrival, kind
        self._step_ns: dict[str, int] = {}  # between the two newest stamps
        self._words: dict[tuple[str, str], tuple[int, str]] = {}  # when, what

    def seen(self, stream: str, stamp_ns: int, now_ns: int, kind: str) -> None:
        """Take a frame; `kind` is what its frames have in common, in words: size, encoding."""
        before, self._last[stream] = self._last.get(stream), (stamp_ns, now_ns, kind)
        if before is None:
            return
        stamp, arrival, was = before
        step = stamp_ns - stamp
        ahead = step - (now_ns - arrival)  # a pause of both is none
        if step < -JUMP_NS:
            self._words[stream, 'time'] = (
                now_ns, f'{stream} stamps jumped back by {-step / 1e9:.1f} s')
        elif ahead > max(JUMP_NS, FAR * self._step_ns.get(stream, ahead)):
            self._words[stream, 'time'] = (
                now_ns, f'{stream} stamps jumped ahead by {ahead / 1e9:.1f} s')
        else:
            self._step_ns[stream] = step
        if kind != was:
            self._words[stream, 'kind'] = now_ns, f'{stream} sends {kind} now, {was} before'

    def told(self, now_ns: int) -> str:
        """Return in words what changed a moment ago, '' for nothing."""
        self._words = {key: (when, what) for key, (when, what) in self._words.items()
                       if now_ns - when <= TOLD_NS}
        return ', '.join(what for _, what in self._words.values())
