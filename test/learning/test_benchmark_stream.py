# SPDX-License-Identifier: Apache-2.0
"""What is told of a stream is what happened to its frames."""

from hypothesis import given, settings, strategies as st
import pytest

from degfusion_ros.learning.benchmark_stream import MARK, next_rate, performance

MS = 1_000_000


def test_a_steady_stream_with_one_frame_lost():
    sent = {i: i * 100 * MS for i in range(10)}
    came = {i: t + 20 * MS for i, t in sent.items() if i != 4} | {99: 0}
    told = performance(sent, came)
    assert (told['# of Frames Sent'], told['# of Missed Frames']) == (10, 1)
    assert told['drop_rate'] == pytest.approx(0.1) and told[MARK] is False
    assert told['Mean Playback Frame Rate (fps)'] == pytest.approx(10)
    assert told['Mean Frame Rate (fps)'] == pytest.approx(8 / 0.9, abs=1e-3)
    assert told['Mean End-to-End Latency (ms)'] == told['latency_p99_ms'] == 20
    # the gap is 200 ms once: as much longer than the one before as the next one is shorter
    assert told['Max. Frame-to-Frame Jitter (ms)'] == 100
    assert told['Min. Frame-to-Frame Jitter (ms)'] == 0


def test_nothing_that_came_is_no_division():
    assert performance({1: 0, 2: 50 * MS}, {})[MARK] is False
    assert performance({}, {})['# of Frames Sent'] == 0


@settings(deadline=None)
@given(st.dictionaries(st.integers(0, 50), st.integers(0, 10**9), min_size=1), st.data())
def test_sent_is_missed_and_come(sent, data):
    kept = data.draw(st.sets(st.sampled_from(sorted(sent))))
    told = performance(sent, {k: sent[k] + MS for k in kept})
    assert told['# of Frames Sent'] == len(sent)
    assert told['# of Missed Frames'] == len(sent) - len(kept)
    assert told[MARK] == (20 * (len(sent) - len(kept)) < len(sent) and bool(kept))


@settings(deadline=None)
@given(st.floats(0.5, 200), st.lists(st.integers(1, 60), max_size=3))
def test_the_search_ends_at_the_highest_rate(limit, first):
    tried = {rate: rate <= limit for rate in first}
    for _ in range(30):
        rate = next_rate(tried, 120)
        if rate is None:
            break
        assert rate not in tried
        tried[rate] = rate <= limit
    else:
        raise AssertionError(tried)
    best = max((rate for rate, held in tried.items() if held), default=0)
    assert min(limit, 120) - 1 <= best <= limit or best == max(first, default=0)
