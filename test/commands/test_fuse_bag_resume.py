# SPDX-License-Identifier: Apache-2.0
"""`fuse-bag` interrupted: nothing finished is lost, nothing there is overwritten."""

import os
import pickle
import signal
import subprocess
import sys

import numpy as np
import pytest
from recorded_drive import BASE, fuse_bag, on, pictures, THERMAL, VISIBLE, write

from degfusion_ros import bags
from degfusion_ros.commands.fuse_bag_parts import Parts
from degfusion_ros.fuser import Fuser


def interrupt_after(monkeypatch, count):
    """Make the fuser's frame number `count` the last; return the list of frames to come."""
    made, fuse = [], Fuser.fuse

    def counted(self, *args, **named):
        made.append(1)
        if len(made) > count:
            raise KeyboardInterrupt
        return fuse(self, *args, **named)
    monkeypatch.setattr(Fuser, 'fuse', counted)
    return made


@pytest.mark.parametrize('model, storage', [
    ('tiny_model', 'mcap'), ('tiny_model', 'sqlite3'), ('tiny_tg_ecnet', 'mcap')])
def test_a_resumed_run_gives_the_same_bag(
        tmp_path, request, monkeypatch, capsys, model, storage):
    any_model = request.getfixturevalue(model)
    # a slower thermal camera: frames are held over the ends of segments; a bad one each side, and
    # visible frames that go on alone
    spoil = {(VISIBLE, 3): ('rgb8', np.zeros((8, 8, 3), np.uint8)), (THERMAL, 12): b'\0\1\0\0',
             **{(THERMAL, i): None for i in range(14, 30)}}
    source = write(tmp_path / 'in', storage, pictures(26), spoil, 40, 2)
    options = ('--segment', 0.1, '--refresh', 0.15, '--outputs', 'fused')
    assert fuse_bag(source, tmp_path / 'whole', any_model, *options) == 1
    bad = capsys.readouterr().err.splitlines()
    assert len(bad) == 2
    out, part = tmp_path / 'out', tmp_path / 'out.part'
    with monkeypatch.context() as patch:
        interrupt_after(patch, 6)
        assert fuse_bag(source, out, any_model, *options) == 1
    assert not out.exists() and 'interrupted' in capsys.readouterr().err
    before = {p.name: p.read_bytes() for p in (part / 'segments').iterdir()}
    assert before
    assert fuse_bag(source, out, any_model, *options) == 1
    assert capsys.readouterr().err == (
        f'degfusion: {part}: left by a run that was interrupted; go on with --resume, or remove '
        'it\n')
    assert fuse_bag(source, out, any_model, *options, '--resume', '--max-dt', 0.01) == 1
    assert 'begun with another sync.max_dt_s' in capsys.readouterr().err
    (part / 'segments' / f'000099{bags.SUFFIXES[storage]}').write_bytes(b'half of a bag')
    with monkeypatch.context() as patch:
        interrupt_after(patch, 16)
        assert fuse_bag(source, out, any_model, *options, '--resume') == 1
    after = {p.name: p.read_bytes() for p in (part / 'segments').iterdir()}
    assert len(after) > len(before) and before.items() <= after.items()
    with monkeypatch.context() as patch:
        made = interrupt_after(patch, 1000)
        assert fuse_bag(source, out, any_model, *options, '--resume') == 1  # of the bad frames
    assert 0 < len(made) < 10
    assert list(bags.read(out)) == list(bags.read(tmp_path / 'whole'))
    assert not part.exists()
    part.mkdir()  # as if killed while cleaning up
    assert fuse_bag(source, out, any_model, *options, '--resume') == 0
    assert not part.exists() and 'finished already' in capsys.readouterr().out


def test_a_killed_run_loses_no_finished_segment(tmp_path, tiny_model):
    source = write(tmp_path / 'in')
    words = ['--segment', '0.15', '--outputs', 'fused', '--model', str(tiny_model), '--device',
             'cpu', '--precision', 'float32']
    code = ('import os, sys\nfrom degfusion_ros.__main__ import main\n'
            'from degfusion_ros.fuser import Fuser\nfuse, made = Fuser.fuse, []\n'
            'def last(self, *args):\n'
            '    made.append(1)\n'
            '    os.kill(os.getpid(), 9) if len(made) > 4 else None\n'
            '    return fuse(self, *args)\n'
            'Fuser.fuse = last\nmain(sys.argv[1:])\n')
    killed = subprocess.run(
        [sys.executable, '-c', code, 'fuse-bag', str(source), str(tmp_path / 'out'), *words],
        capture_output=True, text=True, timeout=120, env={**os.environ, 'OMP_NUM_THREADS': '1'})
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / 'out').exists()
    segments = list((tmp_path / 'out.part/segments').glob('0*.mcap'))
    assert len(segments) >= 2 and all(list(bags.read(path)) for path in segments)
    assert fuse_bag(source, tmp_path / 'out', tiny_model, '--resume', *words[:4]) == 0
    assert fuse_bag(source, tmp_path / 'whole', tiny_model, *words[:4]) == 0
    assert list(bags.read(tmp_path / 'out')) == list(bags.read(tmp_path / 'whole'))
    assert sorted(p.name for p in tmp_path.iterdir()) == ['in', 'out', 'whole']


def test_a_run_killed_while_merging_only_merges_again(tmp_path, tiny_model, monkeypatch):
    source, out, read = write(tmp_path / 'in'), tmp_path / 'out', bags.read

    def broken(path, topics=None):
        if 'segments' in path.parts:
            raise KeyboardInterrupt
        return read(path, topics)
    with monkeypatch.context() as patch:
        patch.setattr(bags, 'read', broken)
        assert fuse_bag(source, out, tiny_model) == 1
    assert not out.exists()
    # what a killed writer leaves: it had no time to clean up
    (tmp_path / 'out.part/merged/.out.1.part/out').mkdir(parents=True)
    (tmp_path / 'out.part/merged/out').mkdir()
    monkeypatch.setattr(Fuser, 'fuse', lambda *args: pytest.fail('fused again'))
    assert fuse_bag(source, out, tiny_model, '--resume') == 0
    assert len(on(out, f'{BASE}/fused/image')) == 6
    assert sorted(p.name for p in tmp_path.iterdir()) == ['in', 'out']


@pytest.mark.parametrize('name', ['state', 'segments', 'lock'])
def test_a_bag_may_be_named_as_a_runs_own_files_are(tmp_path, tiny_model, name):
    source = write(tmp_path / 'in', pairs=pictures(1))
    assert fuse_bag(source, tmp_path / name, tiny_model, '--outputs', 'fused') == 0
    assert len(on(tmp_path / name, f'{BASE}/fused/image')) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(['in', name])


def test_what_is_there_is_never_overwritten(tmp_path, tiny_model, capsys):
    source = write(tmp_path / 'in', pairs=pictures(2))
    assert fuse_bag(source, tmp_path / 'out', tiny_model) == 0
    before = {p: p.read_bytes() for p in (tmp_path / 'out').iterdir()}
    assert fuse_bag(source, tmp_path / 'out', tiny_model) == 1
    assert f'{tmp_path / "out"}: exists already' in capsys.readouterr().err
    assert {p: p.read_bytes() for p in (tmp_path / 'out').iterdir()} == before
    assert fuse_bag(tmp_path / 'out', tmp_path / 'twice', tiny_model, '--visible-topic', VISIBLE,
                    '--thermal-topic', THERMAL) == 1
    assert 'choose another --name' in capsys.readouterr().err
    assert fuse_bag(tmp_path / 'out', tmp_path / 'twice', tiny_model, '--visible-topic', VISIBLE,
                    '--thermal-topic', THERMAL, '--name', '/robot/again/') == 0
    assert len(on(tmp_path / 'twice', '/robot/again/fused/image')) == 2
    assert len(on(tmp_path / 'twice', f'{BASE}/fused/image')) == 2


def test_a_state_that_would_run_code_is_not_loaded(tmp_path, tiny_model, monkeypatch, capsys):
    source, out = write(tmp_path / 'in'), tmp_path / 'out'
    with monkeypatch.context() as patch:
        interrupt_after(patch, 4)
        assert fuse_bag(source, out, tiny_model, '--segment', 0.15) == 1

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / 'harm'),)
    (tmp_path / 'out.part/state').write_bytes(pickle.dumps((1, Evil())))
    capsys.readouterr()
    assert fuse_bag(source, out, tiny_model, '--segment', 0.15, '--resume') == 1
    assert 'cannot be read' in capsys.readouterr().err and not (tmp_path / 'harm').exists()


def test_two_runs_do_not_work_on_the_same_bag(tmp_path, tiny_model, capsys):
    source = write(tmp_path / 'in', pairs=pictures(1))
    with Parts(tmp_path / 'out', 'mcap', {}, False):
        assert fuse_bag(source, tmp_path / 'out', tiny_model, '--resume') == 1
    assert 'another run is at work' in capsys.readouterr().err
