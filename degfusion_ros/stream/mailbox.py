# SPDX-License-Identifier: Apache-2.0
"""A slot with one worker: a slow one gets the newest item, one held up for once all of them."""

from collections import deque
from collections.abc import Callable
import logging
import threading
from typing import Generic, TypeVar

T = TypeVar('T')


class Mailbox(Generic[T]):
    """
    Hand the newest item to `work` on one worker thread; a newer one displaces those that wait.

    `burst` items may wait besides the newest: a worker that was held up for a moment catches up
    and loses nothing. Each costs leave, and one leave comes back whenever the worker runs out of
    work, so one that is too slow all the time never builds up a queue.
    `on_drop(item)` is told every item that will not be worked on, in the thread that displaced
    it; `on_error(exception)` every exception of `work`, in the worker, which lives on (without
    `on_error` it is logged).
    """

    def __init__(self, work: Callable[[T], None], on_drop: Callable[[T], None] | None = None,
                 on_error: Callable[[Exception], None] | None = None, name: str = 'mailbox',
                 burst: int = 0):
        self._work = work
        self._on_drop = on_drop
        self._on_error = on_error
        self._log = logging.getLogger(f'{__name__}.{name}')
        self._waiting: deque[T] = deque()
        self._burst = self._leave = burst
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: T) -> bool:
        """
        Leave an item for the worker; return True if it displaced what still waited.

        Never blocks on the work. After close() the item is refused: it goes to on_drop and the
        answer is False.
        """
        displaced = []
        with self._changed:
            refused = self._closed
            if not refused:
                if self._waiting and self._leave:
                    self._leave -= 1
                else:
                    displaced = list(self._waiting)
                    self._waiting.clear()
                self._waiting.append(item)
                self._changed.notify()
        for one in [item] if refused else displaced:
            self._drop(one)
        return bool(displaced)

    def close(self, timeout_s: float = 5.0) -> bool:
        """
        Refuse further items, drop what waits, let the work in hand end; return True if it did.

        Waits at most `timeout_s`; the thread is a daemon, so one that hangs does not keep the
        process. May be called again, and from the worker itself (then it does not wait).
        """
        with self._changed:
            self._closed = True
            waiting = list(self._waiting)
            self._waiting.clear()
            self._changed.notify()
        for item in waiting:
            self._drop(item)
        if threading.current_thread() is self._thread:
            return False
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self):
        while True:
            with self._changed:
                if not self._waiting:
                    self._leave = min(self._burst, self._leave + 1)
                self._changed.wait_for(lambda: self._closed or self._waiting)
                if self._closed:
                    return
                item = self._waiting.popleft()
            try:
                self._work(item)
            except Exception as error:  # one bad item must not end the stream
                self._report(error)
            del item  # while waiting, hold on to no frame

    def _drop(self, item):
        if self._on_drop is None:
            return
        try:
            self._on_drop(item)
        except Exception:
            self._log.exception('on_drop failed')

    def _report(self, error):
        if self._on_error is None:
            self._log.error('work failed', exc_info=error)
            return
        try:
            self._on_error(error)
        except Exception:
            self._log.exception('on_error failed')
