# SPDX-License-Identifier: Apache-2.0
"""Which pictures belong together, in every layout, and what is told where one is missing."""

import shutil

import pytest
from results_tree import build, NAMES

from degfusion_ros.learning.result_folders import EvaluationError, find, named, Sources


def sources(root, clean=True):
    where = (root / 'clean/visible', root / 'clean/thermal') if clean else (None, None)
    return Sources(root / 'in', root / 'in', *where)


def test_an_output_folder_of_fuse(tmp_path):
    root = build(tmp_path)
    cases, problems = find({'ours': root / 'out'}, sources(root))
    assert [case.name for case in cases] == list(NAMES) and not problems
    one = cases[0]
    assert one.condition == '' and one.fused == root / 'out/fused/000.png'
    assert one.visible == root / 'in/visible/000.png'
    assert one.clean_thermal == root / 'clean/thermal/000.png'
    assert one.restored_visible == root / 'out/visible/000.png'
    assert one.where == 'ours/000'


def test_conditions_share_the_clean_sources(tmp_path):
    root = build(tmp_path, ('fog', 'rain'))
    cases, problems = find({'ours': root / 'out'}, sources(root))
    assert len(cases) == 6 and not problems
    assert {case.condition for case in cases} == {'fog', 'rain'}
    rain = cases[-1]
    assert rain.visible == root / 'in/rain/visible/002.png'
    assert rain.clean_visible == root / 'clean/visible/002.png'
    assert rain.where == 'ours/rain/002'


def test_folders_of_fused_pictures_alone(tmp_path):
    root = build(tmp_path, ('fog',))
    plain = tmp_path / 'plain'
    shutil.copytree(root / 'out/fog/fused', plain / 'fog')
    cases, problems = find({'plain': plain}, sources(root, clean=False))
    assert len(cases) == 3 and not problems
    assert cases[0].clean_visible is None and cases[0].restored_visible is None


def test_inputs_may_be_plain_folders(tmp_path):
    root = build(tmp_path)
    told = Sources(root / 'in/visible', root / 'in/thermal')
    assert len(find({'ours': root / 'out'}, told)[0]) == 3


def test_what_has_no_partner_is_named_and_costs_no_other(tmp_path):
    root = build(tmp_path, ('fog', 'rain'))
    (root / 'out/fog/fused/001.png').unlink()
    shutil.copy(root / 'out/fog/fused/000.png', root / 'out/fog/fused/stray.png')
    shutil.rmtree(root / 'in/rain')
    cases, problems = find({'ours': root / 'out'}, sources(root))
    assert [case.name for case in cases] == ['000', '002']
    assert any('ours/fog/001: no fused picture' in line for line in problems)
    assert any('stray.png: not among' in line for line in problems)
    assert any('in' in line and 'rain' in line for line in problems)
    assert len(problems) == 3


def test_a_condition_that_one_result_lacks_is_named(tmp_path):
    root = build(tmp_path, ('fog', 'rain'))
    shutil.copytree(root / 'out/fog', tmp_path / 'other/fog')
    _, problems = find({'ours': root / 'out', 'other': tmp_path / 'other'}, sources(root))
    assert problems == ['other: no condition rain']


def test_names_of_results(tmp_path):
    (tmp_path / 'a/out').mkdir(parents=True)
    (tmp_path / 'b/out').mkdir(parents=True)
    one, two = str(tmp_path / 'a/out'), str(tmp_path / 'b/out')
    assert list(named([one])) == ['out']
    assert list(named([f'first={one}', two])) == ['first', 'out']
    with pytest.raises(EvaluationError, match='NAME=FOLDER'):
        named([one, two])
    with pytest.raises(EvaluationError, match='gone: no such folder'):
        named([str(tmp_path / 'gone')])


def test_nothing_to_score_is_one_line(tmp_path):
    root = build(tmp_path)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(EvaluationError, match='empty: no fused pictures'):
        find({'empty': tmp_path / 'empty'}, sources(root))
    with pytest.raises(EvaluationError, match='no visible pictures'):
        find({'ours': root / 'out'}, Sources(tmp_path / 'empty', root / 'in'))
