# SPDX-License-Identifier: Apache-2.0
"""`degrade` through the real command line."""

import json
import shutil
import signal
import subprocess
import sys
import time

import cv2
from odd_pictures import huge
import pytest

from degfusion_ros.__main__ import main
from degfusion_ros.learning.effects import COMPOSITES, EFFECTS


def _degrade(root, output, *more):
    return main(['degrade', '--visible', str(root / 'street/visible'), '--thermal',
                 str(root / 'street/thermal'), '--output', str(output), '--jobs', '1', *more])


def rows(output):
    return [json.loads(line) for line in (output / 'manifest.jsonl').read_text().splitlines()]


def test_the_whole_recipe_on_a_sequence(pair_root, tmp_path, capsys):
    for path in [*(pair_root / 'street').rglob('01*'), *(pair_root / 'street').rglob('00[3-9]*')]:
        path.unlink()
    out = tmp_path / 'out'
    assert _degrade(pair_root, out, '--sequence') == 0
    told = rows(out)
    assert {r['condition'] for r in told if r['split'] == 'test'} == {*EFFECTS, 'mixed', 'clean'}
    assert {r['condition'] for r in told if r['split'] == 'composite'} == {*COMPOSITES, 'clean'}
    for condition in ('haze', 'mixed'):
        mine = [r for r in told if r['condition'] == condition]
        assert len(mine) == 3 and len({str((r['visible'], r['thermal'])) for r in mine}) == 1
    for row in told:
        folder = out / row['split'] / row['condition']
        assert (folder / 'visible' / f'{row["name"]}.png').is_file()
        assert (folder / 'thermal' / f'{row["name"]}.png').is_file()
    assert f'{len(told)} pairs' in capsys.readouterr().out


def test_levels_of_a_published_layout(pair_root, tmp_path):
    out = tmp_path / 'out'
    assert main(['degrade', '--data', str(pair_root), '--layout', 'folders', '--output', str(out),
                 '--conditions', 'haze', 'noise15', '--composites', 'none', '--levels', '0.3',
                 '0.9', '--split', 'test', '--jobs', '1']) == 0
    told = rows(out)
    assert {r['condition'] for r in told} == {'clean', 'haze@0.3', 'haze@0.9', 'noise15'}
    assert {r['visible']['fog'] for r in told if r['condition'] == 'haze@0.9'} == {0.9}
    assert {r['name'] for r in told} == {f'street_{i:03}' for i in range(12)}


def test_images_alone_are_named_and_the_status_says_so(pair_root, tmp_path, capsys):
    (pair_root / 'street/thermal/004.jpg').unlink()
    (pair_root / 'street/visible/006.png').write_bytes(b'no image')
    (pair_root / 'street/visible/007.png').write_bytes(huge())
    assert _degrade(pair_root, tmp_path / 'out', '--conditions', 'stripe') == 1
    told = capsys.readouterr().err
    assert '004.png: no partner' in told and '006.png: not a readable image' in told
    assert '007.png: not a readable image' in told
    assert {r['name'] for r in rows(tmp_path / 'out')} == {
        f'{i:03}' for i in range(12)} - {'004', '006', '007'}


@pytest.mark.parametrize('more, told', [
    (['--conditions', 'snow'], 'snow'), (['--levels', '2'], '2'), (['--jobs', '0'], '--jobs 0'),
    (['--test-share', '3'], '--test-share 3'), (['--composites', 'haze+fog'], 'keep one'),
    (['--data', 'somewhere'], '--data')])
def test_wrong_use_is_status_2_and_one_line(more, told, pair_root, tmp_path, capsys):
    assert _degrade(pair_root, tmp_path / 'out', *more) == 2
    line = capsys.readouterr().err.strip()
    assert told in line and '\n' not in line
    assert not (tmp_path / 'out').exists()


def test_an_unknown_layout_and_another_recipe_fail_in_a_line(pair_root, tmp_path, capsys):
    out = ['--output', str(tmp_path / 'out')]
    assert main(['degrade', '--data', str(pair_root / 'street/visible'), *out]) == 1
    assert 'RoadScene' in capsys.readouterr().err
    assert _degrade(pair_root, tmp_path / 'out', '--conditions', 'haze') == 0
    assert _degrade(pair_root, tmp_path / 'out', '--conditions', 'haze', '--seed', '1') == 1
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert 'another seed' in line


@pytest.mark.parametrize('how', [signal.SIGINT, signal.SIGKILL])
def test_an_ended_run_leaves_no_process_and_no_half_image(how, pair_root, tmp_path):
    out = tmp_path / 'out'
    street = pair_root / 'street'
    run = subprocess.Popen(
        [sys.executable, '-m', 'degfusion_ros', 'degrade', '--visible', street / 'visible',
         '--thermal', street / 'thermal', '--output', out, '--jobs', '2'],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not list(out.glob('*/*/thermal/*.png')) and run.poll() is None:
        time.sleep(0.05)
    run.send_signal(how)
    _, told = run.communicate(timeout=60)       # ends when no process holds the pipe any more
    if how is signal.SIGINT:
        assert run.returncode == 1 and told.strip().splitlines()[-1] == 'degfusion: interrupted'
        assert {p.name for p in out.rglob('*.part')} <= {'manifest.jsonl.part'}
    assert not (out / 'manifest.jsonl').exists()
    assert all(cv2.imread(str(p)) is not None for p in out.rglob('*.png'))


def test_a_set_never_replaces_the_pictures_it_is_made_from(pair_root, tmp_path, capsys):
    shutil.copytree(pair_root / 'street', tmp_path / 'set/test/clean')
    clean = tmp_path / 'set/test/clean'
    before = {p: p.read_bytes() for p in clean.rglob('*.*')}
    assert main(['degrade', '--visible', str(clean / 'visible'), '--thermal',
                 str(clean / 'thermal'), '--output', str(tmp_path / 'set'), '--split', 'test',
                 '--jobs', '1']) == 2
    told = capsys.readouterr().err
    assert told.count('\n') == 1 and 'holds pictures to degrade' in told
    assert {p: p.read_bytes() for p in (tmp_path / 'set').rglob('*.*')} == before
