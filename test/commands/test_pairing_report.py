# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from degfusion_ros.__main__ import main
from degfusion_ros.commands import pairing_report
from degfusion_ros.stream.scenarios import SCENARIOS


@pytest.fixture
def only(monkeypatch):
    def only(*names):
        monkeypatch.setattr(pairing_report.scenarios, 'SCENARIOS',
                            [s for s in SCENARIOS if s.name in names])
    return only


def test_the_report_has_figures_of_every_scenario_and_policy(tmp_path, only, capsys):
    only('30 Hz and 30 Hz', '9 Hz thermal, hold', 'bag of 4 s in a loop')
    assert main(['pairing-report', '--output', str(tmp_path), '--seconds', '6']) == 0
    report = json.loads((tmp_path / 'pairing.json').read_text())
    ours = [row for row in report['results'] if row['policy'] == 'nearest']
    assert [row['scenario'] for row in ours] == [
        '30 Hz and 30 Hz', '9 Hz thermal, hold', 'bag of 4 s in a loop']
    assert all(row['fused_share'] == 1 and row['accounted'] for row in ours)
    policies = {row['policy'] for row in report['results']}
    assert policies == {'nearest', 'approximate', 'exact'} or report['policies_missing']
    page = (tmp_path / 'pairing.md').read_text()
    assert '| 30 Hz and 30 Hz | nearest | 100.0 % | 4.00 | 4.00 |' in page
    assert not list(tmp_path.glob('*.part'))
    assert '3 scenarios' in capsys.readouterr().out


def test_a_run_too_short_for_a_jump_says_nothing_of_recovery(tmp_path, only):
    only('bag of 4 s in a loop')
    assert main(['pairing-report', '--output', str(tmp_path), '--seconds', '3']) == 0
    assert '| bag of 4 s in a loop | nearest |' in (tmp_path / 'pairing.md').read_text()


def test_a_broken_promise_is_told_and_fails(tmp_path, only, monkeypatch, capsys):
    only('30 Hz and 30 Hz')
    monkeypatch.setattr(pairing_report, 'EXACT_MS', -1)
    assert main(['pairing-report', '--output', str(tmp_path), '--seconds', '2']) == 1
    assert '30 Hz and 30 Hz: pairs are 0.00 ms further apart' in capsys.readouterr().out


def test_a_length_out_of_range_is_wrong_use(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(['pairing-report', '--seconds', '1'])
    assert stopped.value.code == 2 and 'must be from 2 to 3600' in capsys.readouterr().err
