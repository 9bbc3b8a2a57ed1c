# SPDX-License-Identifier: Apache-2.0
"""A latest-only slot with one worker: a slow consumer gets the newest item, never a queue."""

from collections.abc import Callable
import logging
import threading
from typing import Generic, TypeVar

T = TypeVar('T')
_EMPTY = object()


class Mailbox(Generic[T]):
    """
    Hand the newest item to `work` on one worker thread; a newer one displaces a waiting one.

    `on_drop(item)` is told every item that will not be worked on, in the thread that displaced
    it; `on_error(exception)` every exception of `work`, in the worker, which lives on (without
    `on_error` it is logged).
    """

    def __init__(self, work: Callable[[T], None], on_drop: Callable[[T], None] | None = None,
                 on_error: Callable[[Exception], None] | None = None, name: str = 'mailbox'):
        self._work = work
        self._on_drop = on_drop
        self._on_error = on_error
        self._log = logging.getLogger(f'{__name__}.{name}')
        self._slot = _EMPTY
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: T) -> bool:
        """
        Leave an item for the worker; return True if it displaced one that still waited.

        Never blocks on the work. After close() the item is refused: it goes to on_drop and the
        answer is False.
        """
        with self._changed:
            if self._closed:
                displaced, refused = item, True
            else:
                displaced, refused = self._slot, False
                self._slot = item
                self._changed.notify()
        if displaced is not _EMPTY:
            self._drop(displaced)
        return displaced is not _EMPTY and not refused

    def close(self, timeout_s: float = 5.0) -> bool:
        """
        Refuse further items, drop a waiting one, let the work in hand end; return True if it did.

        Waits at most `timeout_s`; the thread is a daemon, so one that hangs does not keep the
        process. May be called again, and from the worker itself (then it does not wait).
        """
        with self._changed:
            self._closed = True
            waiting, self._slot = self._slot, _EMPTY
            self._changed.notify()
        if waiting is not _EMPTY:
            self._drop(waiting)
        if threading.current_thread() is self._thread:
            return False
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self):
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._slot is not _EMPTY)
                if self._closed:
                    return
                item, self._slot = self._slot, _EMPTY
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
