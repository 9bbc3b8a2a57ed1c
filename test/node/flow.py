# SPDX-License-Identifier: Apache-2.0
"""Pairs through a running node, one after the other, and what its counts must add up to."""

import time

import numpy as np
from rig import frame, S, wait_for

FUSED = 'fusion_node/fused/image'
STEP = S // 50


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


class Cameras:
    """Two cameras that send 50 times a second, by the clock, while a test waits for something."""

    def __init__(self, peer):
        self.number = 500  # of the next frames; their stamps are 20 ms apart
        self._senders = {name: peer.camera(f'{name}/image_raw')
                         for name in ('visible', 'thermal')}

    def run(self, until, what, visible=True, thermal=True):
        """Send until something comes true; a stream is on, off, or what makes its frames."""
        end = time.monotonic() + 30
        while not (result := until()):
            assert time.monotonic() < end, f'sent for 30 s, waiting for {what}'
            stamp = self.number * STEP
            for name, send in (('visible', visible), ('thermal', thermal)):
                encoding = 'rgb8' if name == 'visible' else 'mono16'
                if send:
                    self._senders[name].publish(send(stamp) if callable(send) else frame(
                        stamp=stamp, encoding=encoding, frame_id=name))
            self.number += 1
            time.sleep(STEP / S)
        return result

    def number_of(self, message):
        return round((message.header.stamp.sec * S + message.header.stamp.nanosec) / STEP)


def accounted(values):
    """Check that every frame and every pair is accounted for; returns the numbers."""
    n = {k: int(v) for k, v in values.items() if str(v).lstrip('-').isdigit()}

    def lost(what):
        return sum(v for k, v in n.items() if k.startswith(f'dropped.{what}.'))

    assert n['received.visible'] == (
        n['pairs'] + n['single.visible'] + n['waiting.visible'] + lost('visible')), values
    assert n['received.thermal'] == (
        n['pairs'] - n['reused'] + n['single.thermal'] + n['waiting.thermal']
        + lost('thermal')), values
    assert n['pairs'] + n['single.visible'] + n['single.thermal'] == (
        n['fused'] + n['in_progress'] + lost('pairs')), values
    return n
