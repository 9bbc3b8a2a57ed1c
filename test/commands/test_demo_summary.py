# SPDX-License-Identifier: Apache-2.0
"""The demo's sums: every pair sent is fused or dropped with a cause."""

from hypothesis import given, strategies as st
import pytest

from degfusion_ros.commands.demo_summary import agreement, dropped, planned_pairs, summarise
from degfusion_ros.drive.recording import START_NS
from degfusion_ros.drive.schedule import SCHEDULE
from degfusion_ros.node.demo import Flight
from degfusion_ros.node.recorder import Verdict

MS = 1_000_000
STEP = 100 * MS


def flight(sent=10, fused=10, node=None, verdicts=(), thermal=None):
    """Make a flight of pairs 4 ms apart, each 30 ms late, of which the first ones are fused."""
    visible = {START_NS + i * STEP: i * STEP for i in range(sent)}
    heat = {s + 4 * MS: t + 2 * MS for s, t in list(visible.items())[:thermal]}
    back = {s: t + 32 * MS for s, t in list(visible.items())[:fused]}
    counts = {'received.visible': sent, 'received.thermal': len(heat), 'fused': fused,
              **(node or {})}
    return Flight({'visible': visible, 'thermal': heat}, back, list(verdicts), [],
                  {k: str(v) for k, v in counts.items()})


def test_a_flight_without_losses():
    summary = summarise(flight(), 0.95, None)
    assert summary['passed'] and summary['verdict'].startswith('passed: 10 of 10')
    assert (summary['pairs_sent'], summary['fused'], summary['dropped']) == (10, 10, {})
    assert summary['rate_hz'] == pytest.approx(10.0)
    assert summary['latency_ms'] == {'p50': 30.0, 'p99': 30.0}
    assert summary['delta_t_ms'] == {'mean': 4.0, 'max': 4.0}
    assert 'agreement' not in summary


def test_a_slow_node_fails_and_is_told_what_to_do():
    summary = summarise(flight(fused=4, node={'dropped.pairs.busy': 6}), 0.95, None)
    assert not summary['passed'] and summary['dropped'] == {'busy': 6}
    assert '--rate 0.32' in summary['verdict']


@pytest.mark.parametrize('fused, node, causes', [
    (7, {'dropped.visible.wrong_step': 3}, {'wrong_step': 3}),
    (7, {'received.visible': 8, 'dropped.pairs.all_nan': 1},
     {'lost_in_transport': 2, 'all_nan': 1}),
    # Two thermal frames lost on the way leave two visible frames alone.
    (8, {'received.thermal': 8, 'dropped.visible.no_partner': 2}, {'lost_in_transport': 2}),
    (8, {'dropped.thermal.wrong_step': 2, 'dropped.visible.no_partner': 2},
     {'thermal_wrong_step': 2}),
    (8, {'dropped.visible.no_partner': 2, 'dropped.thermal.unused': 2}, {'no_partner': 2}),
    (8, {'fused': 10}, {'lost_on_the_way_back': 2}),
    (8, {'in_progress': 1, 'waiting.visible': 1}, {'still_waiting': 2}),
    (6, {'dropped.pairs.busy': 1}, {'busy': 1, 'unaccounted': 3})])
def test_causes(fused, node, causes):
    assert dropped(flight(fused=fused, node=node), 10) == causes


def test_frames_that_never_had_a_partner_are_no_lost_pairs():
    made = flight(sent=10, fused=6, thermal=6, node={'dropped.visible.no_partner': 4})
    summary = summarise(made, 0.95, None)
    assert summary['passed'] and summary['pairs_sent'] == 6 and summary['dropped'] == {}


@given(st.integers(0, 20), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9),
       st.integers(0, 9))
def test_pairs_sent_are_fused_or_dropped_whatever_the_node_says(fused, busy, alone, lost, back):
    made = flight(sent=20, fused=fused, node={
        'dropped.pairs.busy': busy, 'dropped.visible.no_partner': alone,
        'received.thermal': 20 - lost, 'fused': fused + back})
    summary = summarise(made, 0.95, None)
    assert summary['pairs_sent'] == summary['fused'] + sum(summary['dropped'].values())


def test_planned_pairs_are_mutually_nearest():
    assert planned_pairs([0, STEP], [4 * MS, STEP - 3 * MS]) == {0: 4 * MS, STEP: STEP - 3 * MS}
    # A slow thermal stream: the visible frame nearest to each thermal one.
    visible = [i * 33 * MS for i in range(30)]
    assert planned_pairs(visible, [40 * MS, 160 * MS]) == {33 * MS: 40 * MS, 165 * MS: 160 * MS}
    assert planned_pairs([0], [51 * MS]) == {} and planned_pairs([], [1]) == {}


def test_an_empty_flight_fails_in_words():
    empty = Flight({'visible': {}, 'thermal': {}}, {}, [], [], {})
    summary = summarise(empty, 0.95, None)
    assert not summary['passed'] and 'no visible and thermal frames' in summary['verdict']


def test_agreement_counts_where_the_condition_holds():
    def said(t, visible, thermal=('clean',)):
        return Verdict(START_NS + round(t * 1e9), {}, {'visible': list(visible),
                                                       'thermal': list(thermal)})
    fog = next(s for s in SCHEDULE if 'fog' in s.visible)
    middle = (fog.t0 + fog.t1) / 2
    verdicts = [said(fog.t0 + 0.2, ['rain']), said(middle, ['fog']), said(middle + 0.5, ['rain']),
                said(middle + 1, ['fog', 'noise']), said(middle + 1.2, ['fog'], ['stripe'])]
    told = agreement(flight(verdicts=verdicts), SCHEDULE)
    assert told['labels_found'] == {'visible': 0.75, 'thermal': None}
    assert told['exact'] == {'visible': 0.5, 'thermal': 0.75}
    entry = next(s for s in told['segments'] if s['name'] == fog.name)
    assert entry['judged'] == 4, 'while it comes, nothing is held against the labels'
    assert entry['seen']['visible fog'] == 3
