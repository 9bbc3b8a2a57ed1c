# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, strategies as st
import pytest

from degfusion_ros.stream.changes import Changes

S = 1_000_000_000
KIND = '80x64 rgb8'


def play(changes, start, stamp, count=10, kind=KIND, step=S // 20, rate=1):
    """Send frames from `start` on; return the time of the last."""
    for number in range(count):
        now = start + number * step
        changes.seen('visible', stamp + number * step * rate, now, kind)
    return now


@pytest.mark.parametrize('by, words', [
    (-34 * S, 'visible stamps jumped back by 33.5 s'),
    (34 * S, 'visible stamps jumped ahead by 34.5 s')])
def test_a_jump_is_told_for_three_seconds(by, words):
    changes = Changes()
    now = play(changes, 0, 100 * S)
    assert changes.told(now) == ''
    now = play(changes, now + S // 20, 101 * S + by)
    assert changes.told(now) == words
    assert changes.told(now + 4 * S) == ''


def test_another_size_is_told_with_the_one_before():
    changes = Changes()
    play(changes, 0, S)
    now = play(changes, S, 2 * S, kind='40x32 rgb8')
    assert changes.told(now) == 'visible sends 40x32 rgb8 now, 80x64 rgb8 before'


@pytest.mark.parametrize('rate', [0.1, 1, 20])
def test_a_pause_and_a_recording_at_any_rate_are_no_jump(rate):
    changes = Changes()
    now = play(changes, 0, 100 * S, step=S // 2, rate=rate)
    assert changes.told(now) == ''
    play(changes, now + 60 * S, 100 * S + int(5 * S * rate), step=S // 2, rate=rate)
    assert changes.told(now + 60 * S) == ''


@given(st.lists(st.tuples(*[st.integers(0, 490_000_000)] * 2), max_size=40))
def test_jitter_and_disorder_below_half_a_second_are_no_jump(steps):
    changes = Changes()
    for stamp, now in steps:
        changes.seen('thermal', 5 * S + stamp, 9 * S + now, KIND)
        assert changes.told(9 * S + now) == ''
