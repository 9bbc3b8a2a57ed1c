# SPDX-License-Identifier: Apache-2.0
import json
import random

from hypothesis import given, settings, strategies as st
import pytest
from rclpy.serialization import deserialize_message
from test_frames import decoder

from degfusion_ros.node import fuzz_messages
from degfusion_ros.node.frames import Decoder
from degfusion_ros.node.fuzz_messages import KINDS, SIDE


@pytest.mark.parametrize('kind', ['raw', 'compressed'])
@pytest.mark.parametrize('stream', ['visible', 'thermal'])
def test_good_recipes_are_pictures(kind, stream):
    message = fuzz_messages.message_of(
        fuzz_messages.good(kind, stream, random.Random(1)), (7, 8))
    taken: Decoder = decoder()
    assert getattr(taken, stream)(message).shape[:2] == (SIDE, SIDE)
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (7, 8)


@settings(max_examples=200, deadline=None)
@given(kind=st.sampled_from([*KINDS]), stream=st.sampled_from(['visible', 'thermal']),
       seed=st.integers(0, 10**9), times=st.integers(1, 30))
def test_every_mutation_can_be_sent_told_and_mutated_again(kind, stream, seed, times):
    rng = random.Random(seed)
    recipe = fuzz_messages.good(kind, stream, rng)
    for _ in range(times):
        recipe = fuzz_messages.mutate(recipe, rng)
    assert recipe.kind == kind and recipe.stream == stream
    raw = fuzz_messages.bytes_of(recipe, (1, 2))
    json.dumps(recipe.told())
    if not recipe.wire and recipe.cut is None:
        assert deserialize_message(raw, KINDS[kind]) == fuzz_messages.message_of(
            recipe, (1, 2)) or kind == 'info'  # NaN differs from itself


def test_the_same_seed_makes_the_same_messages():
    def made():
        rng = random.Random(5)
        return [fuzz_messages.mutate(fuzz_messages.good('raw', 'visible', rng), rng)
                for _ in range(50)]

    assert made() == made()
