# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, strategies as st
import pytest

from degfusion_ros.stream.stillness import Stillness


def test_the_same_picture_for_too_long_is_frozen_until_another_comes():
    still = Stillness(1000)
    assert [still.frozen(7, now) for now in (0, 400, 800, 1000, 1001)] == [False] * 4 + [True]
    assert still.frozen(7, 1100) and not still.frozen(8, 1200) and not still.frozen(7, 1300)


def test_a_few_frames_are_not_enough_however_long_they_take():
    still = Stillness(1000)
    assert [still.frozen(7, now) for now in (0, 900, 1800, 2700, 3600)] == [False] * 4 + [True]


def test_zero_switches_it_off():
    still = Stillness(0)
    assert not any(still.frozen(7, now * 1000) for now in range(100))
    with pytest.raises(ValueError, match='0 or more'):
        Stillness(-1)


def test_a_reset_forgets():
    still = Stillness(100)
    for now in range(0, 500, 50):
        still.frozen(7, now)
    still.reset()
    assert not still.frozen(7, 550)


def test_a_picture_that_tells_nothing_is_not_frozen_and_none_after_it_for_its_sake():
    still = Stillness(1000)
    assert not any(still.frozen(None, now) for now in range(0, 9000, 100))
    assert still.blank_ns(9000) == still.stands_ns(9000) == 9000
    assert [still.frozen(7, now) for now in (9000, 9400, 9800, 10000)] == [False] * 4
    still.frozen(None, 10100)
    assert still.stands_ns(99_000) == 0 and not still.frozen(7, 10200)
    assert still.blank_ns(99_000) == 0


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 50)), max_size=80))
def test_nothing_that_changed_within_the_time_is_frozen(frames):
    still, now, changed, before = Stillness(100), 0, 0, None
    for picture, gap in frames:
        now += gap
        if picture != before:
            before, changed = picture, now
        assert not still.frozen(picture, now) or now - changed > 100
