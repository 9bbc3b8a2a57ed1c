# SPDX-License-Identifier: Apache-2.0
"""Sets on disk: the same bytes however they are made, interrupted, damaged or gone on with."""

import json

import cv2
import numpy as np
import pytest

from degfusion_ros.learning import layouts
from degfusion_ros.learning.degraded_sets import build, Manifest, produce, SetError
from degfusion_ros.learning.set_plan import plan, Recipe, settings

RECIPE = Recipe(('haze', 'rain', 'stripe'), ('haze+noise25',), composite_pairs=2, seed=4)


def tasks_of(root):
    return plan(layouts.two_folders(root / 'street/visible', root / 'street/thermal').pairs,
                RECIPE)


def make(root, output, jobs=1, stop_after=None):
    tasks = tasks_of(root)
    manifest = Manifest(output, settings(RECIPE, tasks))
    made, told = build(tasks, output, RECIPE.seed, manifest, jobs), []
    for line in made:
        told.append(line)
        if len(told) == stop_after:
            made.close()
            return told
    manifest.close()
    return told


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob('*') if p.is_file()}


def test_processes_and_interruptions_change_no_byte(pair_root, tmp_path):
    for i in range(6, 12):
        (pair_root / f'street/visible/{i:03}.png').unlink()
    whole = tmp_path / 'one'
    assert make(pair_root, whole) == [''] * 6
    wanted = contents(whole)
    assert not [name for name in wanted if name.endswith('.part')]

    broken = tmp_path / 'two'
    make(pair_root, broken, jobs=2, stop_after=2)
    journal = broken / 'manifest.jsonl.part'
    assert not (broken / 'manifest.jsonl').exists() and journal.exists()
    with open(journal, 'a') as lines:
        lines.write('{"name": "torn')
    kept = [json.loads(line) for line in journal.read_text().splitlines()[:-1]]
    paths = [broken / r['split'] / r['condition'] / 'visible' / f'{r["name"]}.png' for r in kept]
    paths[0].write_bytes(paths[0].read_bytes()[:99])
    paths[1].unlink()
    untouched = paths[-1].stat().st_mtime_ns
    make(pair_root, broken, jobs=2)
    assert contents(broken) == wanted
    assert paths[-1].stat().st_mtime_ns == untouched


def test_a_row_tells_labels_parameters_sources_and_hashes(pair_root, tmp_path):
    make(pair_root, tmp_path / 'set')
    rows = [json.loads(line) for line in (tmp_path / 'set/manifest.jsonl').read_text().split('\n')
            if line]
    files = set((tmp_path / 'set').rglob('*.png'))
    assert 2 * len(rows) == len(files)
    joint = next(r for r in rows if r['condition'] == 'haze+noise25')
    assert set(joint['visible']) == {'fog', 'noise'} and joint['thermal'] == {}
    assert joint['parameters']['visible']['noise'] == {'effect': 'noise25',
                                                       'draws': [['sigma', 25]]}
    assert joint['seed'] == 4 and joint['source']['thermal'] == f'thermal/{joint["name"]}.jpg'
    clean = next(r for r in rows if r['condition'] == 'clean')
    assert clean['visible'] == clean['thermal'] == {}
    written = cv2.imread(str(tmp_path / 'set' / clean['split'] / 'clean/visible'
                             / f'{clean["name"]}.png'))
    source = cv2.imread(str(pair_root / 'street/visible' / f'{clean["name"]}.png'))
    assert np.array_equal(written, source)


def test_a_changed_source_is_made_again(pair_root, tmp_path):
    task = tasks_of(pair_root)[0]
    before = produce(task, tmp_path / 'set', 4, {})
    assert produce(task, tmp_path / 'set', 4, before) == before
    cv2.imwrite(str(task.pair.visible), np.full((160, 200, 3), 80, np.uint8))
    after = produce(task, tmp_path / 'set', 4, before)
    assert set(after) == set(before) and all(after[k] != before[k] for k in after)


def test_bad_pairs_are_named_and_the_others_made(pair_root, tmp_path):
    street = pair_root / 'street'
    (street / 'visible/005.png').write_bytes(b'no image at all')
    cv2.imwrite(str(street / 'thermal/007.jpg'), np.zeros((8, 8), np.uint8))
    told = [line for line in make(pair_root, tmp_path / 'set') if line]
    assert len(told) == 2
    assert any('005.png' in line for line in told) and any('8x8' in line for line in told)
    assert '"005"' not in (tmp_path / 'set/manifest.jsonl').read_text()
    assert not list((tmp_path / 'set').rglob('005.png'))


def test_a_set_of_other_settings_is_not_mixed_in(tmp_path):
    Manifest(tmp_path / 'set', {'seed': 1, 'pairs': 3})
    Manifest(tmp_path / 'set', {'seed': 1, 'pairs': 3})
    with pytest.raises(SetError, match=r'another seed \(1, now 2\)'):
        Manifest(tmp_path / 'set', {'seed': 2, 'pairs': 3})
    (tmp_path / 'set/settings.json').write_text('{"seed"')
    with pytest.raises(SetError, match=r'settings\.json'):
        Manifest(tmp_path / 'set', {'seed': 1, 'pairs': 3})


def test_a_set_of_an_older_generator_is_not_gone_on_with(pair_root, tmp_path):
    told = settings(RECIPE, tasks_of(pair_root))
    older = {name: value for name, value in told.items() if name != 'generator'}
    Manifest(tmp_path / 'set', older)
    with pytest.raises(SetError, match=r'another generator \(None, now 2\)'):
        Manifest(tmp_path / 'set', told)


def test_a_full_disk_is_an_error_and_leaves_no_half_file(pair_root, tmp_path, monkeypatch):
    def full(source, target):
        raise OSError(28, 'No space left on device', str(target))
    monkeypatch.setattr('degfusion_ros.learning.degraded_sets.os.replace', full)
    with pytest.raises(OSError, match='No space left'):
        produce(tasks_of(pair_root)[0], tmp_path / 'set', 4, {})
    assert not [p for p in (tmp_path / 'set').rglob('*') if p.is_file()]
