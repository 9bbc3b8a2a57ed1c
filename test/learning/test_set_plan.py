# SPDX-License-Identifier: Apache-2.0
"""How pairs are divided, and which conditions each is wanted in."""

from pathlib import Path

from hypothesis import given, settings as times, strategies as st
import pytest

from degfusion_ros.learning.effects import COMPOSITES, ConditionError
from degfusion_ros.learning.folders import DataError, Pair
from degfusion_ros.learning.set_plan import CLEAN, plan, Recipe, settings

RECIPE = Recipe(('haze', 'stripe', 'noise15'))


def pairs(count, split='', folder='street', form='{:03}'):
    names = [form.format(i) for i in range(count)]
    return [Pair(n, Path(f'v/{n}.png'), Path(f't/{n}.png'), split, folder) for n in names]


def wanted(tasks, split):
    return [(t.pair.name, c) for t in tasks for s, c in t.wanted if s == split]


def test_every_pair_is_in_one_split_under_every_condition():
    tasks = plan(pairs(40), RECIPE)
    for task in tasks:
        splits = {s for s, _ in task.wanted} - {'composite'}
        assert len(splits) == 1
        assert [c for s, c in task.wanted if s in splits] == [CLEAN, *RECIPE.conditions]
    test = {name for name, _ in wanted(tasks, 'test')}
    assert 3 <= len(test) <= 20


def test_composites_are_of_test_pairs_with_their_clean_ones():
    tasks = plan(pairs(40), Recipe(('haze',), composite_pairs=2))
    test = {name for name, _ in wanted(tasks, 'test')}
    joint = wanted(tasks, 'composite')
    assert {name for name, _ in joint} <= test
    for condition in COMPOSITES:
        assert len([1 for _, c in joint if c == condition]) == 2
    assert {n for n, c in joint if c == CLEAN} == {n for n, _ in joint}


@given(st.sets(st.integers(0, 60), min_size=2, max_size=20), st.integers(61, 99))
@times(max_examples=30, deadline=None)
def test_another_pair_moves_none_to_another_split(numbers, other):
    few = [p for p in pairs(100) if int(p.name) in numbers]
    more = [p for p in pairs(100) if int(p.name) in numbers | {other}]
    before = {t.pair.name: t.wanted[0] for t in plan(few, RECIPE)}
    after = {t.pair.name: t.wanted[0] for t in plan(more, RECIPE)}
    assert before.items() <= after.items()


def test_published_splits_hold():
    tasks = plan(pairs(5, 'train', form='a{}') + pairs(4, 'test', form='b{}')
                 + pairs(3, 'val', form='c{}'), RECIPE)
    assert [t.wanted[0][0] for t in tasks] == ['train'] * 5 + ['test'] * 4 + ['val'] * 3
    assert {t.wanted[0][0] for t in plan(pairs(5, 'train'), Recipe(('haze',), split='test'))
            } == {'test'}


def test_a_sequence_stays_together():
    clips = [*pairs(6, folder='a', form='a_{:04}'), *pairs(6, folder='b', form='b_{:04}')]
    for way in ('folder', 'prefix'):
        tasks = plan(clips, Recipe(('haze', 'stripe'), sequence=way, per_pair=1,
                                   composite_pairs=1))
        assert {t.scene for t in tasks} == {'a', 'b'}
        for scene in 'ab':
            assert len({t.wanted for t in tasks if t.scene == scene}) == 1
    alone = plan(pairs(6, folder='only'), Recipe(('haze',), sequence='folder'))
    assert {t.wanted[0][0] for t in alone} == {'test'}


def test_each_pair_may_get_a_few_conditions_of_many():
    tasks = plan(pairs(60), Recipe(('haze', 'stripe', 'noise15', 'defocus'), per_pair=1))
    own = [[c for s, c in t.wanted if s != 'composite'] for t in tasks]
    assert all(len(c) == 2 for c in own)
    assert {c[1] for c in own} == {'haze', 'stripe', 'noise15', 'defocus'}


def test_settings_tell_recipes_and_images_apart():
    base = settings(RECIPE, plan(pairs(5), RECIPE))
    assert settings(RECIPE, plan(pairs(5), RECIPE)) == base
    other = Recipe(RECIPE.conditions, seed=1)
    assert settings(other, plan(pairs(5), other)) != base
    assert settings(RECIPE, plan(pairs(6), RECIPE)) != base


def test_names_and_conditions_are_checked():
    with pytest.raises(DataError, match='003'):
        plan([*pairs(5), pairs(4)[3]], RECIPE)
    with pytest.raises(ConditionError, match='snow'):
        Recipe(('haze', 'snow'))
