# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, strategies as st
import pytest

from degfusion_ros.stream.labels import LabelFilter

LABELS = ('fog', 'rain', 'noise')


def severities(**known):
    return {label: known.get(label, 0.0) for label in LABELS}


def test_first_judgement_counts_at_once():
    assert LabelFilter().update(severities(rain=0.3, fog=0.9)) == ('fog', 'rain')
    assert LabelFilter().update(severities()) == ('clean',)
    assert LabelFilter().update(severities(fog=0.9), unsure=True) == ('unsure',)


def test_a_label_comes_and_goes_after_two_in_a_row():
    labels = LabelFilter()
    shown = [labels.update(severities(fog=fog))[0] for fog in
             (0, .5, 0, .5, .5, .2, .2, .1, .2, .1, .1)]
    assert shown == ['clean', 'clean', 'clean', 'clean', 'fog', 'fog', 'fog', 'fog', 'fog',
                     'fog', 'clean']


def test_unsure_keeps_the_labels_until_it_lasts():
    labels = LabelFilter()
    labels.update(severities(fog=.8))
    assert labels.update(severities(rain=.9), unsure=True) == ('fog',)
    assert labels.update(severities(rain=.9), unsure=True) == ('unsure',)
    assert labels.update(severities(fog=.8)) == ('unsure',)
    assert labels.update(severities(fog=.8)) == ('fog',)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.booleans()),
                max_size=40), st.integers(1, 4))
def test_labels_change_only_with_reason(judgements, count):
    labels = LabelFilter(on=0.25, off=0.15, count=count)
    believed = {label: [] for label in LABELS}
    for *values, unsure in judgements:
        shown = labels.update(dict(zip(LABELS, values)), unsure)
        assert shown and len(set(shown)) == len(shown)
        if unsure:
            continue
        for label, value in zip(LABELS, values):
            believed[label].append(value)
            last = believed[label][-count:]
            if shown == ('unsure',):
                continue
            if len(last) == count and min(last) >= 0.25:
                assert label in shown
            if len(last) == count and max(last) < 0.15:
                assert label not in shown
        now = dict(zip(LABELS, values))
        if shown not in (('clean',), ('unsure',)):
            assert [now[label] for label in shown] == sorted(
                (now[label] for label in shown), reverse=True)


@given(st.lists(st.floats(0.15, 0.2499), min_size=1, max_size=30), st.booleans())
def test_between_the_thresholds_nothing_changes(values, foggy):
    labels = LabelFilter()
    first = labels.update(severities(fog=0.9 if foggy else 0.0))
    assert {labels.update(severities(fog=value)) for value in values} == {first}


def test_reset_forgets():
    labels = LabelFilter(count=5)
    labels.update(severities(fog=1))
    labels.reset()
    assert labels.update(severities()) == ('clean',)


@pytest.mark.parametrize('options', [{'on': 0.1, 'off': 0.2}, {'on': 1.5}, {'count': 0}])
def test_wrong_arguments_are_refused(options):
    with pytest.raises(ValueError, match='must|is'):
        LabelFilter(**options)
