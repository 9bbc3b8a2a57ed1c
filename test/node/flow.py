# SPDX-License-Identifier: Apache-2.0
"""Pairs through a running node, one after the other, and what its counts must add up to."""

import numpy as np
from rig import S, wait_for

FUSED = 'fusion_node/fused/image'


def pixels(message):
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, -1)


def stamps(messages):
    return [m.header.stamp.sec * S + m.header.stamp.nanosec for m in messages]


def send(peer, fused, first, last, **frames):
    """Send pairs one after the other, each when the one before has come out fused."""
    for number in range(first, last + 1):
        already = len(fused)
        peer.send_pair(number, **frames)
        wait_for(lambda n=already: len(fused) > n, f'pair {number} fused')


def accounted(values):
    """Check that every frame and every pair is accounted for; returns the numbers."""
    n = {k: int(v) for k, v in values.items() if str(v).lstrip('-').isdigit()}

    def lost(what):
        return sum(v for k, v in n.items() if k.startswith(f'dropped.{what}.'))

    assert n['received.visible'] == n['pairs'] + n['waiting.visible'] + lost('visible'), values
    assert n['received.thermal'] == (
        n['pairs'] - n['reused'] + n['waiting.thermal'] + lost('thermal')), values
    assert n['pairs'] == n['fused'] + n['in_progress'] + lost('pairs'), values
    return n
