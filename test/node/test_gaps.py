# SPDX-License-Identifier: Apache-2.0
"""A step waits for the end of a frame, and for nothing longer than it should."""

import threading

from rig import wait_for

from degfusion_ros.node import gaps
from degfusion_ros.node.gaps import Gaps


def _waiting(between: Gaps) -> tuple[threading.Thread, threading.Event]:
    begun = threading.Event()

    def step():
        begun.set()
        between.wait()
    thread = threading.Thread(target=step)
    thread.start()
    begun.wait(5)
    return thread, begun


def test_a_step_begins_when_a_frame_ends_even_one_that_failed(monkeypatch):
    monkeypatch.setattr(gaps, 'LONGEST_S', 60.0)
    between = Gaps()
    thread, _ = _waiting(between)
    wait_for(lambda: between._changed._waiters, 'the step to wait')
    try:
        with between:
            assert thread.is_alive()
            raise KeyError('a bad frame')
    except KeyError:
        pass
    thread.join(5)
    assert not thread.is_alive()


def test_a_step_goes_on_where_no_frame_comes():
    thread, _ = _waiting(Gaps())
    thread.join(5)
    assert not thread.is_alive()
