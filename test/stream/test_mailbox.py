# SPDX-License-Identifier: Apache-2.0
import gc
import logging
import threading
import time
import weakref

import pytest

from degfusion_ros.stream.mailbox import Mailbox

LIMIT = 10  # seconds, far above what any step needs


class Worker:
    """Work that waits for leave, and a record of what it did."""

    def __init__(self):
        self.started = threading.Semaphore(0)
        self.leave = threading.Semaphore(0)
        self.done = []
        self.finished = threading.Semaphore(0)

    def __call__(self, item):
        self.started.release()
        assert self.leave.acquire(timeout=LIMIT)
        if isinstance(item, Exception):
            self.finished.release()
            raise item
        self.done.append(item)
        self.finished.release()


@pytest.fixture
def worker():
    return Worker()


def test_only_the_newest_waits_and_the_displaced_are_reported(worker):
    dropped = []
    mailbox = Mailbox(worker, on_drop=dropped.append)
    assert mailbox.put(1) is False
    assert worker.started.acquire(timeout=LIMIT)  # 1 is in hand, the slot is free
    assert [mailbox.put(item) for item in (2, 3, 4)] == [False, True, True]
    for _ in range(2):
        worker.leave.release()
        assert worker.finished.acquire(timeout=LIMIT)
    assert worker.done == [1, 4] and dropped == [2, 3]
    assert mailbox.close()


def test_a_burst_is_worked_off_whole_and_leave_for_it_comes_back_with_rest(worker):
    dropped = []
    mailbox = Mailbox(worker, on_drop=dropped.append, burst=2)

    def burst(items, left, leave_after):
        """Put items while the first is in hand; return which displaced, and what was done."""
        mailbox.put(items[0])
        assert worker.started.acquire(timeout=LIMIT)
        displaced, before = [mailbox.put(item) for item in items[1:]], len(worker.done)
        for _ in range(left):
            worker.leave.release()
            assert worker.finished.acquire(timeout=LIMIT)
        end = time.monotonic() + LIMIT
        while mailbox._leave != leave_after and time.monotonic() < end:  # it comes to rest
            time.sleep(0.001)
        while worker.started.acquire(blocking=False):
            pass
        return displaced, worker.done[before:]

    assert burst([1, 2, 3, 4], 4, 1) == ([False] * 3, [1, 2, 3, 4])
    assert not dropped
    # leave for one: more than that goes, save for the newest
    assert burst([11, 12, 13, 14], 2, 1) == ([False, False, True], [11, 14])
    assert dropped == [12, 13]
    assert burst([21], 1, 2) == ([], [21])
    assert burst([31, 32, 33, 34], 4, 1) == ([False] * 3, [31, 32, 33, 34])
    assert mailbox.close()


def test_a_worker_that_never_rests_gets_the_newest_alone(worker):
    dropped = []
    mailbox = Mailbox(worker, on_drop=dropped.append, burst=2)
    mailbox.put(0)
    assert worker.started.acquire(timeout=LIMIT)
    for number in range(1, 40, 2):  # two come while one is worked on
        mailbox.put(number)
        mailbox.put(number + 1)
        worker.leave.release()
        assert worker.started.acquire(timeout=LIMIT)
    worker.leave.release()
    assert mailbox.close()
    assert len(dropped) > 15 and worker.done[-5:] == [32, 34, 36, 38, 40]


@pytest.mark.parametrize('burst', [0, 3])
def test_every_item_is_worked_on_or_reported(burst):
    done, dropped = [], []
    mailbox = Mailbox(lambda item: (done.append(item), time.sleep(0.0005)), dropped.append,
                      burst=burst)
    putters = [threading.Thread(target=lambda k=k: [mailbox.put((k, i)) for i in range(300)])
               for k in range(3)]
    for putter in putters:
        putter.start()
    for putter in putters:
        putter.join()
    end = time.monotonic() + LIMIT
    while not done and time.monotonic() < end:  # the worker of a busy machine may start late
        time.sleep(0.001)
    assert mailbox.close()
    assert sorted(done + dropped) == [(k, i) for k in range(3) for i in range(300)]
    assert done


def test_an_exception_goes_to_on_error_and_the_worker_lives_on(worker):
    errors = []
    mailbox = Mailbox(worker, on_error=errors.append)
    trouble = ValueError('bad frame')
    for item in (trouble, 'next'):
        worker.leave.release()
        mailbox.put(item)
        assert worker.finished.acquire(timeout=LIMIT)
    assert mailbox.close()
    assert errors == [trouble] and worker.done == ['next']


def test_failing_callbacks_do_not_end_the_worker(worker, caplog):
    def fail(_):
        raise RuntimeError('callback')
    mailbox = Mailbox(worker, on_drop=fail, on_error=fail)
    mailbox.put(ValueError('bad frame'))
    assert worker.started.acquire(timeout=LIMIT)
    mailbox.put('displaced')
    with caplog.at_level(logging.ERROR):
        assert mailbox.put('next') is True
        for _ in range(2):
            worker.leave.release()
            assert worker.finished.acquire(timeout=LIMIT)
        assert mailbox.close()
    assert worker.done == ['next']
    assert {'on_drop failed', 'on_error failed'} <= {record.message for record in caplog.records}


def test_without_on_error_the_exception_is_logged(worker, caplog):
    mailbox = Mailbox(worker, name='fusing')
    with caplog.at_level(logging.ERROR):
        worker.leave.release()
        mailbox.put(ValueError('bad frame'))
        assert worker.finished.acquire(timeout=LIMIT)
        assert mailbox.close()
    assert 'bad frame' in caplog.text and 'fusing' in caplog.text


def test_close_drops_what_waits_and_refuses_more(worker):
    dropped = []
    mailbox = Mailbox(worker, on_drop=dropped.append)
    mailbox.put(1)
    assert worker.started.acquire(timeout=LIMIT)
    mailbox.put(2)
    worker.leave.release()
    assert mailbox.close() and mailbox.close()
    assert mailbox.put(3) is False
    assert worker.done == [1] and dropped == [2, 3]


def test_close_waits_a_bounded_time_for_work_that_hangs(worker):
    mailbox = Mailbox(worker)
    mailbox.put(1)
    assert worker.started.acquire(timeout=LIMIT)
    start = time.monotonic()
    assert mailbox.close(timeout_s=0.05) is False
    assert time.monotonic() - start < 5
    worker.leave.release()
    assert mailbox.close()


def test_the_worker_may_close_its_own_mailbox():
    answers, finished = [], threading.Event()

    def work(_):
        answers.append(mailbox.close())
        finished.set()
    mailbox = Mailbox(work)
    mailbox.put(1)
    assert finished.wait(LIMIT)
    assert answers == [False] and mailbox.close()


def test_an_idle_mailbox_holds_on_to_no_frame():
    class Picture:
        pass
    picture, finished = Picture(), threading.Event()
    mailbox = Mailbox(lambda item: finished.set())
    seen = weakref.ref(picture)
    mailbox.put(picture)
    assert finished.wait(LIMIT)
    del picture
    deadline = time.monotonic() + LIMIT
    while seen() is not None and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.01)
    assert seen() is None
    mailbox.close()
