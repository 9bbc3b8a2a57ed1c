# SPDX-License-Identifier: Apache-2.0
"""The demo's sums: every pair sent is fused or dropped with a cause."""

from flown import flight, MS
from hypothesis import given, strategies as st
import pytest

from degfusion_ros.commands.demo_pairs import Sync
from degfusion_ros.commands.demo_summary import agreement, summarise
from degfusion_ros.drive.recording import START_NS
from degfusion_ros.drive.schedule import SCHEDULE
from degfusion_ros.node.demo import Flight
from degfusion_ros.node.recorder import Verdict


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
    slower = summarise(flight(fused=4, node={'dropped.pairs.busy': 6}), 0.95, None, rate=0.5)
    assert '--rate 0.16' in slower['verdict']


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


def made(visible, thermal, fused, node=None):
    """Make a flight of stamps in ms; each frame comes at its stamp, a fused one 30 ms later."""
    sent = {name: {s * MS: s * MS for s in stamps}
            for name, stamps in (('visible', visible), ('thermal', thermal))}
    counts = {'received.visible': len(visible), 'received.thermal': len(thermal),
              'fused': len(fused), **(node or {})}
    return Flight(sent, {s * MS: (s + 30) * MS for s in fused}, [], [],
                  {k: str(v) for k, v in counts.items()})


def test_frames_with_a_held_partner_are_no_pairs_of_the_bag():
    visible, thermal = range(0, 3000, 33), range(0, 3000, 111)
    summary = summarise(made(visible, thermal, visible), 0.95, None)
    assert summary['verdict'].startswith('passed: 28 of 28 pairs fused (100.0 %)')
    assert (summary['further_fused'], summary['dropped']) == (len(visible) - 28, {})
    half = visible[::2]     # the others were dropped, of pairs and of held ones
    lost = summarise(made(visible, thermal, half, {'dropped.pairs.busy': len(visible) - len(half)}),
                     0.95, None)
    assert not lost['passed'] and lost['fused'] < 28
    assert lost['dropped'] == {'busy': 28 - lost['fused']}
    assert lost['further_fused'] == len(half) - lost['fused']


@pytest.mark.parametrize('told', [
    {'pairs': 0, 'single.visible': 96, 'dropped.thermal.frozen': 100, 'dropped.visible.stale': 4},
    {'pairs': 96, 'held': 96}, {'pairs': 96, 'unusable.thermal.short_data': 96}])
def test_a_restored_camera_is_no_fused_pair(told):
    stamps = range(0, 10000, 100)
    summary = summarise(made(stamps, stamps, stamps[:96], told), 0.95, None)
    assert not summary['passed'] and (summary['fused'], summary['further_fused']) == (0, 96)
    assert summary['dropped']['fused_without'] == 96 and sum(summary['dropped'].values()) == 100


def test_stale_frames_without_a_partner_in_the_bag_are_no_lost_pairs():
    visible, thermal = range(0, 10000, 100), range(0, 5000, 100)
    summary = summarise(made(visible, thermal, [*visible[:40], *visible[55:]], {
        'pairs': 40, 'single.visible': 45, 'dropped.visible.stale': 3,
        'dropped.visible.no_partner': 2, 'dropped.pairs.busy': 10}), 0.95, None)
    assert summary['pairs_sent'] == 50 and summary['dropped'] == {'busy': 10}


def test_frames_that_went_alone_are_no_pairs_of_the_bag():
    visible = range(0, 3000, 100)
    summary = summarise(made(visible, range(0, 1500, 100), visible), 0.95, None)
    assert (summary['fused'], summary['further_fused'], summary['dropped']) == (15, 15, {})
    assert summary['passed'] and summary['pairs_sent'] == 15


@pytest.mark.parametrize('sync, period, later, delta_ms', [
    (Sync('thermal'), 100, 4, 4.0), (Sync(max_dt_ns=100 * MS), 400, 80, 80.0),
    (Sync(offsets_ns={'visible': 0, 'thermal': 1030 * MS}), 100, -1026, 4.0),
    (Sync('thermal', offsets_ns={'visible': -1030 * MS, 'thermal': 0}), 100, -1026, 4.0)])
def test_pairs_are_what_the_nodes_parameters_make_one(sync, period, later, delta_ms):
    visible = range(2000, 6000, period)
    thermal = [s + later for s in visible]
    followed = visible if sync.reference == 'visible' else thermal
    flight = made(visible, thermal, followed)
    summary = summarise(flight, 0.95, None, sync)
    assert summary['passed'] and summary['pairs_sent'] == summary['fused'] == len(visible)
    assert summary['dropped'] == {} and summary['further_fused'] == 0
    assert summary['delta_t_ms']['mean'] == delta_ms


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
