# SPDX-License-Identifier: Apache-2.0
"""Which steps from line to line the package's code has taken: what guides the fuzzer."""

from pathlib import Path
import sys
import threading
from types import CodeType, FrameType, TracebackType

import degfusion_ros

ROOT = str(Path(degfusion_ros.__file__).parent)
UNSEEN = ('fuzz', 'soak')  # the fuzzer itself


class Coverage:
    """
    A context in which this thread and those it starts are traced (sys.settrace).

    `arcs` holds every (code, line before, line) taken; only files of the package are looked at.
    """

    def __init__(self) -> None:
        self.arcs: set[tuple[CodeType, int, int]] = set()
        self._known = 0
        self._wanted: dict[CodeType, bool] = {}

    def __enter__(self) -> 'Coverage':
        threading.settrace(self._called)
        sys.settrace(self._called)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        sys.settrace(None)
        threading.settrace(None)

    def grown(self) -> bool:
        """Tell whether a new step was taken since the last time."""
        known, self._known = self._known, len(self.arcs)
        return self._known > known

    def _called(self, frame: FrameType, event: str, argument: object) -> object:
        code = frame.f_code
        if code not in self._wanted:
            path = Path(code.co_filename)
            self._wanted[code] = str(path).startswith(ROOT) and not path.stem.startswith(UNSEEN)
        if not self._wanted[code]:
            return None
        before = 0

        def step(frame: FrameType, event: str, argument: object) -> object:
            nonlocal before
            if event == 'line':
                self.arcs.add((code, before, frame.f_lineno))
                before = frame.f_lineno
            return step

        return step
