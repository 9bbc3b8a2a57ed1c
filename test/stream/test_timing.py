# SPDX-License-Identifier: Apache-2.0
import threading

from hypothesis import given, strategies as st
import pytest

from degfusion_ros.stream.timing import Rate, Share, Stages


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize('hz', [1, 9, 30])
def test_rate_is_right_from_the_second_event_on(hz):
    clock = Clock()
    rate = Rate(window_s=4, clock=clock)
    assert rate.hz() == 0
    for index in range(20 * hz):
        clock.now = 100 + index / hz
        rate.tick()
        if index:
            assert rate.hz() == pytest.approx(hz, rel=0.02)


def test_rate_falls_to_zero_in_silence():
    clock = Clock()
    rate = Rate(window_s=2, clock=clock)
    for index in range(100):
        clock.now = 100 + index / 10
        rate.tick()
    rates = []
    for _ in range(5):
        clock.now += 0.5
        rates.append(rate.hz())
    assert rates == sorted(rates, reverse=True) and rates[-1] == 0 and rates[0] > 5


@pytest.mark.parametrize('silence', [2.0, 30.0])
def test_after_a_pause_the_rate_is_measured_anew(silence):
    clock = Clock()
    rate = Rate(window_s=4, clock=clock)
    for pause in (0.0, silence):
        clock.now += pause
        for _ in range(10):
            clock.now += 0.05
            rate.tick()
        assert rate.hz() == pytest.approx(20, rel=0.01)
        assert rate.span_s() == pytest.approx(0.45)


def test_a_slow_stream_and_one_that_loses_many_do_not_pause():
    for gaps in ([2.5] * 8, [0.05, 0.9] * 8):
        clock = Clock()
        rate = Rate(window_s=5, clock=clock)
        for gap in gaps:
            clock.now += gap
            rate.tick()
        assert rate.span_s() == pytest.approx(sum(gaps[1:])) and rate.hz() > 0


@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=80))
def test_stages_give_percentiles_that_are_real_times(times):
    stages = Stages(size=50)
    for ms in times:
        stages.record('fuse', ms)
    last = times[-50:]
    p50, p99 = stages.summary()['fuse']['p50'], stages.summary()['fuse']['p99']
    assert p50 in last and p99 in last and p50 <= p99
    assert sum(ms <= p50 for ms in last) * 2 >= len(last)
    assert sum(ms < p50 for ms in last) * 2 < len(last)
    assert sum(ms <= p99 for ms in last) >= 0.99 * len(last)


def test_measure_records_also_what_raises():
    stages = Stages()
    with pytest.raises(KeyError), stages.measure('decode'):
        raise KeyError
    assert 0 <= stages.summary()['decode']['p50'] < 1000


def test_threads_may_share_both():
    rate, stages = Rate(window_s=100), Stages(size=10 ** 6)

    def work():
        for index in range(2000):
            rate.tick()
            stages.record(f'stage {index % 7}', index)
            if index % 50 == 0:
                rate.hz(), stages.summary()
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rate._times) == 8000
    assert len(stages.summary()) == 7


@pytest.mark.parametrize('make', [lambda: Rate(window_s=0), lambda: Stages(size=0)])
def test_wrong_arguments_are_refused(make):
    with pytest.raises(ValueError, match='must be'):
        make()


def test_a_share_is_of_recent_events_and_of_enough_of_them():
    clock = Clock()
    share = Share(window_s=10, few=20, clock=clock)
    for _ in range(19):
        share.note(True)
    assert share.value() == 0
    share.note(False)
    assert share.value() == 0.95
    clock.now += 6
    for _ in range(20):
        share.note(False)
    assert share.value() == 19 / 40
    clock.now += 5
    assert share.value() == 0
