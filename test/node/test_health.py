# SPDX-License-Identifier: Apache-2.0
import threading

from degfusion_ros.imaging.encodings import FrameError
from degfusion_ros.node.health import Health


class Log(list):
    """Stands for the node's logger."""

    warning = list.append


def test_a_refused_frame_is_counted_every_time_and_reported_once():
    log = Log()
    health = Health(log)
    for _ in range(3):
        health.refuse('visible', 'visible', FrameError('wrong_step', 'step 3 is wrong'))
    health.refuse('pairs', 'thermal', FrameError('all_nan', 'no finite pixel'))
    health.refuse('pairs', 'pairs', FrameError('too_small', '8x8 is too small'))
    assert health.counts() == {'dropped.visible.wrong_step': 3, 'dropped.pairs.all_nan': 1,
                               'dropped.pairs.too_small': 1}
    assert log == ['visible frame dropped: step 3 is wrong',
                   'thermal frame dropped: no finite pixel', 'pair dropped: 8x8 is too small']


def test_an_unforeseen_error_is_one_line_with_its_place():
    log = Log()
    health = Health(log)
    try:
        {}['lost']
    except KeyError as error:
        health.failed('internal_error', error, 'pairs')
    assert health.counts() == {'dropped.pairs.internal_error': 1}
    assert len(log) == 1 and "KeyError: 'lost'" in log[0] and 'test_health.py' in log[0]
    assert health.last_refusal('pairs', 60) == ('internal_error', "KeyError: 'lost'")
    assert not health.given_up('pairs', 1e-9)  # it says nothing of whether pairs fit together
    health.failed('judge_error', ValueError('two\nlines'))
    assert health.counts()['judge_error'] == 1


def test_counting_is_exact_from_many_threads():
    health = Health(Log())
    threads = [threading.Thread(target=lambda: [health.arrived('visible') for _ in range(2000)])
               for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert health.counts() == {'received.visible': 8000}


def test_a_stream_is_given_up_after_nothing_but_unusable_frames(monkeypatch):
    health, now = Health(Log()), [100.0]
    monkeypatch.setattr('degfusion_ros.node.health.time.monotonic', lambda: now[0])
    assert not health.given_up('thermal', 0.5) and health.last_refusal('thermal', 1) == ('', '')
    health.unusable('thermal', FrameError('all_nan', 'no finite pixel'))
    now[0] += 0.6
    assert health.given_up('thermal', 0.5) and not health.given_up('thermal', 0)
    assert health.last_refusal('thermal', 1) == ('all_nan', 'no finite pixel')
    health.usable('thermal')
    assert not health.given_up('thermal', 0.5)
    now[0] += 0.6
    assert health.last_refusal('thermal', 1) == ('', '')
