# SPDX-License-Identifier: Apache-2.0
import threading
import time

import numpy as np
import pytest
from rig import header, wait_for

from degfusion_ros.node.judge import Judge
from degfusion_ros.stream.timing import Rate

DARK = np.zeros((64, 80, 3), np.uint8), np.zeros((64, 80), np.float32)
BRIGHT = np.full((64, 80, 3), 200, np.uint8), np.zeros((64, 80), np.float32)


@pytest.fixture
def make():
    made = []

    def make(judge, rate_hz=0.0, scene_change=0.0, on_error=None):
        made.append(Judge(judge, lambda: rate_hz, lambda: scene_change, on_error or pytest.fail))
        return made[-1]

    yield make
    for judge in made:
        judge.close()


def test_the_first_pair_is_judged_at_once_and_then_on_request_alone(make):
    seen = []
    judge = make(lambda sight: seen.append(sight.header.stamp.sec))
    for second in (1, 2, 3):
        judge.offer(*DARK, header(second * 10**9))
        wait_for(lambda: seen, 'the first judgement')
    time.sleep(0.05)
    assert seen == [1]
    judge.request()
    judge.offer(*DARK, header(4 * 10**9))
    wait_for(lambda: seen == [1, 4], 'the judgement asked for')


def test_a_request_means_the_next_pair_not_the_last(make):
    seen, free = [], threading.Event()

    def slow(sight):
        seen.append(sight.header.stamp.sec)
        free.wait(5)

    judge = make(slow)
    judge.offer(*DARK, header(1 * 10**9))
    wait_for(lambda: seen, 'the first judgement')
    judge.offer(*DARK, header(2 * 10**9))
    judge.request()
    free.set()
    judge.offer(*DARK, header(3 * 10**9))
    wait_for(lambda: len(seen) == 2, 'the second judgement')
    assert seen == [1, 3]


def test_the_rate_is_kept_and_the_newest_pair_is_taken(make):
    seen = []
    judge = make(lambda sight: seen.append((time.monotonic(), sight.header.stamp.sec)), rate_hz=10)
    offered = 0
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        offered += 1
        judge.offer(*DARK, header(offered * 10**9))
        time.sleep(0.005)
    gaps = np.diff([at for at, _ in seen])
    assert 4 <= len(seen) <= 11 and gaps.min() > 0.09
    assert [s for _, s in seen] == sorted(s for _, s in seen) and seen[-1][1] > offered - 60


def test_offering_never_waits_for_a_judgement(make):
    free = threading.Event()
    judge = make(lambda sight: free.wait(5), rate_hz=30)
    judge.offer(*DARK, header(1))
    start = time.monotonic()
    for _ in range(20):
        judge.offer(*DARK, header(2))
    assert time.monotonic() - start < 1
    free.set()


def test_a_change_of_scene_is_judged_before_its_time(make):
    seen = []
    judge = make(
        lambda sight: seen.append(int(sight.visible.max())), rate_hz=0.1, scene_change=0.1)
    judge.offer(*DARK, header(1))
    wait_for(lambda: seen == [0], 'the first judgement')
    judge.offer(*DARK, header(2))
    time.sleep(0.15)
    assert seen == [0]
    judge.offer(*BRIGHT, header(3))
    wait_for(lambda: seen == [0, 200], 'the changed scene')


def test_an_error_is_reported_and_the_next_pair_judged(make):
    errors, seen = [], []

    def judge(sight):
        seen.append(sight)
        if len(seen) == 1:
            raise RuntimeError('once')

    made = make(judge, rate_hz=30, on_error=errors.append)
    made.offer(*DARK, header(1))
    wait_for(lambda: errors, 'the error')
    assert made.age_s() is None
    assert made.trouble().endswith('labels and restoration stay as they were: RuntimeError: once')
    made.offer(*DARK, header(2))
    wait_for(lambda: made.age_s() is not None, 'the second judgement')
    assert [str(e) for e in errors] == ['once'] and made.trouble() == ''


def test_close_ends_the_thread():
    before = threading.active_count()
    judge = Judge(lambda sight: None, lambda: 1.0, lambda: 0.0, pytest.fail)
    assert threading.active_count() == before + 1
    judge.close()
    assert threading.active_count() == before


def test_close_gives_up_on_a_judgement_that_hangs():
    free, began = threading.Event(), threading.Event()
    judge = Judge(lambda sight: began.set() or free.wait(60), lambda: 1.0, lambda: 0.0, pytest.fail)
    judge.offer(*DARK, header(1))
    assert began.wait(60) and not judge.close(timeout_s=0.05)
    free.set()
    assert judge.close(timeout_s=60)


@pytest.mark.parametrize('rate_hz, told', [(2.0, True), (0.5, False), (0.0, False)])
def test_pairs_that_come_for_long_without_a_judgement_are_told(make, rate_hz, told):
    now, free = [0.0], threading.Event()
    judge = make(lambda sight: free.wait(60), rate_hz=rate_hz)
    judge._offers = Rate(clock=lambda: now[0])
    for number in range(80):
        now[0] = number / 10
        judge.offer(*DARK, header(1))
    words = 'nothing has been judged for 8 s: the machine is too slow for degradation.rate_hz: 2,'
    assert judge.trouble().startswith(words) == told == bool(judge.trouble())
    now[0] += 100  # a pause of both cameras is nobody's fault
    judge.offer(*DARK, header(1))
    assert judge.trouble() == ''
    free.set()


def test_a_slow_judge_rests_as_long_as_it_worked(make):
    seen = []

    def slow(sight):
        seen.append(time.monotonic())
        busy = time.thread_time() + 0.15
        while time.thread_time() < busy:
            pass

    def begun():
        judge.offer(*DARK, header(1))
        return len(seen) >= 3

    judge = make(slow, rate_hz=30)
    wait_for(begun, 'three judgements')
    assert np.diff(seen).min() > 0.28


def test_waiting_for_gaps_between_frames_is_no_work(make):
    seen = []

    def patient(sight):
        seen.append(time.monotonic())
        time.sleep(0.3)

    def begun():
        judge.offer(*DARK, header(1))
        return len(seen) >= 3

    judge = make(patient, rate_hz=10)
    wait_for(begun, 'three judgements')
    assert np.diff(seen).min() < 0.58  # not twice the time it took
