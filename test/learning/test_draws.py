# SPDX-License-Identifier: Apache-2.0
"""Draws that are written down, and what a sequence keeps of them."""

import json

import numpy as np

from degfusion_ros.learning.draws import Draws, of_moment, seed_of

SHAPE = (40, 30)


def test_a_seed_depends_on_the_words_alone():
    assert seed_of('FLIR_1', 'haze', 7) == 0x5c1187cdc91c61e0
    assert seed_of('a', 'bc') != seed_of('ab', 'c')


def test_parameters_come_from_the_scene_and_noise_from_the_frame():
    one, two = Draws(1, 10, SHAPE), Draws(1, 20, SHAPE)
    for method, args in (('uniform', (0, 1)), ('integers', (3, 9)), ('standard_normal', (30,)),
                         ('uniform', (-1, 1, (4, 4)))):
        assert np.array_equal(getattr(one, method)(*args), getattr(two, method)(*args))
    for method, args in (('standard_normal', (SHAPE,)), ('random', ((*SHAPE, 3),))):
        assert not np.array_equal(getattr(one, method)(*args), getattr(two, method)(*args))


def test_a_moment_of_any_shape_comes_from_the_frame():
    one, two = Draws(1, 10, SHAPE), Draws(1, 20, SHAPE)
    assert not np.array_equal(of_moment(one).random(9), of_moment(two).random(9))
    assert one.random() == two.random(), 'the scene goes on as if nothing had been drawn'
    assert len(one.log) == 1
    plain = np.random.default_rng(1)
    assert of_moment(plain) is plain


def test_values_are_those_of_the_generator():
    draws, plain = Draws(5, 6, SHAPE), np.random.default_rng(5)
    assert draws.uniform(2, 3) == plain.uniform(2, 3)
    assert np.array_equal(draws.random(7, dtype=np.float32), plain.random(7, dtype=np.float32))
    assert np.array_equal(draws.normal(0, 1, size=SHAPE),
                          np.random.default_rng(6).normal(0, 1, size=SHAPE))


def test_the_log_holds_the_parameters_and_is_json():
    draws = Draws(1, 2, SHAPE)
    value = draws.uniform(2, 3)
    draws.standard_normal(SHAPE)
    draws.standard_normal(30)
    draws.note('sigma', 15)
    assert json.loads(json.dumps(draws.log)) == [['uniform(2, 3)', value], ['sigma', 15]]
