# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, strategies as st
import pytest

from degfusion_ros.stream.presence import other_of, Presence, STREAMS


def flow(presence, stream, since, until, step=10):
    for now in range(since, until, step):
        presence.seen(stream, now)


def test_a_stream_without_the_other_is_alone_after_the_time():
    presence = Presence(100)
    flow(presence, 'visible', 0, 101)
    assert not presence.alone('visible', 100) and presence.alone('visible', 101)
    assert presence.silent('thermal', 101) and not presence.alone('thermal', 101)


def test_pairs_end_it_and_it_begins_again_after_the_last():
    presence = Presence(100)
    flow(presence, 'visible', 0, 500)
    presence.paired(400)
    assert not presence.alone('visible', 490)
    flow(presence, 'visible', 500, 520)
    assert presence.alone('visible', 515)


def test_a_pause_of_both_is_no_loss():
    presence = Presence(100)
    for stream in STREAMS:
        flow(presence, stream, 0, 300)
    presence.paired(295)
    presence.seen('visible', 5000)
    assert not presence.alone('visible', 5000)
    assert presence.age_ns('thermal', 5000) == 4710


def test_nobody_is_alone_at_zero():
    presence = Presence(0)
    flow(presence, 'visible', 0, 1000)
    assert not presence.alone('visible', 10_000)
    with pytest.raises(ValueError, match='0 or more'):
        Presence(-1)


@given(st.lists(st.tuples(st.sampled_from([*STREAMS, 'pair']), st.integers(0, 60)), max_size=60))
def test_who_is_alone_comes_and_has_had_no_pair(events):
    presence, now, paired, last = Presence(100), 0, None, {}
    for what, gap in events:
        now += gap
        if what == 'pair':
            presence.paired(now)
            paired = now
        else:
            presence.seen(what, now)
            last[what] = now
        for stream in STREAMS:
            assert other_of(other_of(stream)) == stream
            if presence.alone(stream, now):
                assert now - last[stream] <= 100
                assert paired is None or now - paired > 100
