# SPDX-License-Identifier: Apache-2.0
"""replay.launch.py: the bag when the node is active, an end when it never is, its pictures."""

import os
import subprocess
from types import SimpleNamespace

from launched import describe, of, Recorded, REPLAY, REPLAYED, ROOT
import pytest
import yaml


@pytest.mark.parametrize('described', [REPLAYED], indirect=True)
def test_replay_runs_on_the_clock_of_the_bag(described):
    include, = of(described, 'IncludeLaunchDescription')
    assert dict(include.kwargs['launch_arguments'])['use_sim_time'] == 'true'
    play, = (thing for thing in of(described, 'ExecuteProcess')
             if thing.kwargs['cmd'][:3] == ['ros2', 'bag', 'play'])
    assert '--clock' in play.kwargs['cmd']


def waiting(described):
    wait, = (thing for thing in of(described, 'ExecuteProcess')
             if thing.kwargs['cmd'][0] == 'bash')
    return wait


@pytest.mark.parametrize('described', [REPLAYED], indirect=True)
@pytest.mark.parametrize(('code', 'next_up'), [(0, 'ExecuteProcess'), (1, 'Shutdown')])
def test_the_bag_starts_when_the_node_is_active_and_the_launch_ends_when_it_is_not(
        described, code, next_up):
    found, = waiting(described).kwargs['on_exit'](SimpleNamespace(returncode=code), None)
    assert type(found).__name__ == next_up


@pytest.mark.parametrize('described', [REPLAYED], indirect=True)
@pytest.mark.parametrize(('state', 'code', 'words'), [
    ('active [3]', 0, ''), ('unconfigured [1]', 1, '/front/fusion_node is not active after 1 s')])
def test_the_wait_for_the_node_has_an_end_and_says_what_for(
        described, tmp_path, state, code, words):
    asked = tmp_path / 'ros2'
    asked.write_text(f'#!/bin/sh\necho "{state}"\n')
    asked.chmod(0o755)
    command = waiting(described).kwargs['cmd']
    assert int(command[-1]) == 120
    done = subprocess.run(
        [*command[:-2], '/front/', '1'], capture_output=True, text=True, timeout=60,
        env={**os.environ, 'PATH': f'{tmp_path}:{os.environ["PATH"]}'})
    assert done.returncode == code and words in done.stderr
    assert 'waits for /front/fusion_node to become active' in done.stdout


@pytest.mark.parametrize('space', ['', '/front'])
def test_rviz_shows_the_topics_of_the_nodes_namespace(monkeypatch, space):
    made = describe(monkeypatch, *REPLAYED[:1], {**REPLAYED[1], 'namespace': space})
    view, = (thing for thing in of(made, 'ExecuteProcess') if thing.kwargs['cmd'][0] == 'rviz2')
    layout = yaml.safe_load((ROOT / 'config/fusion.rviz').read_text())
    topics = [display['Topic']['Value']
              for display in layout['Visualization Manager']['Displays']]
    rules = [word for word in view.kwargs['cmd'] if ':=' in word]
    assert sorted(rules) == sorted(f'{topic}:={space}{topic}' for topic in topics if space)


def test_a_home_left_by_the_shell_is_found_in_the_bags_path(monkeypatch, tmp_path):
    monkeypatch.setenv('HOME', str(tmp_path))
    (tmp_path / 'drive').mkdir()
    made = describe(monkeypatch, 'replay.launch.py', {'bag': '~/drive'})
    resolved, = of(made, 'SetLaunchConfiguration')
    assert resolved.args == ('bag', str(tmp_path / 'drive'))


@pytest.mark.parametrize('bag', ['~/absent', ''])
def test_a_bag_that_is_not_there_ends_the_launch_before_anything_starts(monkeypatch, tmp_path, bag):
    monkeypatch.setenv('HOME', str(tmp_path))
    with pytest.raises(RuntimeError) as error:
        describe(monkeypatch, 'replay.launch.py', {'bag': bag})
    path = bag.replace('~', str(tmp_path))
    assert str(error.value) == f'bag:={path}: no such file or folder: check the path'
    description, = of(Recorded.made, 'LaunchDescription')
    kinds = [type(action).__name__ for action in description.args[0]]
    assert kinds[:kinds.index('OpaqueFunction')] == ['DeclareLaunchArgument'] * len(REPLAY)
