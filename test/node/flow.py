# SPDX-License-Identifier: Apache-2.0
"""Pairs through a running node, one after the other, and what its counts must add up to."""

import time

from diagnostic_msgs.msg import DiagnosticArray
import numpy as np
from rig import diagnosed, EchoFuser, frame, LATCHED, S, wait_for
from sensor_msgs.msg import Image
from std_msgs.msg import String

FUSED = 'fusion_node/fused/image'
STEP = S // 50
QUICK = {'sync.lost_after_s': 0.15, 'sync.hold_s': 0.0, 'sync.wait_s': 0.05}


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
        """Send until something comes true; a stream is on, off, or makes its frames (or None)."""
        end = time.monotonic() + 30
        while not (result := until()):
            assert time.monotonic() < end, f'sent for 30 s, waiting for {what}'
            stamp = self.number * STEP
            for name, send in (('visible', visible), ('thermal', thermal)):
                encoding = 'rgb8' if name == 'visible' else 'mono16'
                message = send(stamp) if callable(send) else send and frame(
                    stamp=stamp, encoding=encoding, frame_id=name)
                if message:
                    self._senders[name].publish(message)
            self.number += 1
            time.sleep(STEP / S)
        return result

    def number_of(self, message):
        return round((message.header.stamp.sec * S + message.header.stamp.nanosec) / STEP)


class Scene:
    """A node, both cameras, and what comes out."""

    def __init__(self, start, peer, parameters=None, fuser=None):
        self.fuser = fuser or EchoFuser()
        self.spun = start(self.fuser, QUICK | (parameters or {}))
        self.fused = peer.listen(FUSED, Image)
        self.reports = peer.listen('/diagnostics', DiagnosticArray)
        self.labels = {name: peer.listen(f'fusion_node/degradation/{name}', String, LATCHED)
                       for name in ('visible', 'thermal')}
        self.cameras = Cameras(peer)
        self.cameras.run(lambda: len(self.fused) > 5 and self.told('running'), 'pairs')
        self.fuser.fused.clear()

    def told(self, words):
        report = diagnosed(self.reports)
        return words in report.get('message', '') and report

    def degraded(self, mode, words, left=None):
        """Return the report that says so, once picture and label do; each may be late."""
        report = self.told(words)
        if not report or report['degraded_mode'] != mode:
            return None
        if left is not None:
            lost = 'thermal' if left == 'visible' else 'visible'
            if self.shown() != (left,) or self.labelled(lost)[-1:] != ['missing']:
                return None
        return report

    def shown(self):
        """Return which outputs the fuser was asked for last."""
        return self.fuser.fused and self.fuser.fused[-1][2]

    def flows(self, **cameras):
        """Let frames come for a while in the state that it is in."""
        count = len(self.fuser.fused)
        self.cameras.run(lambda: len(self.fuser.fused) > count + 10, 'more frames', **cameras)

    def labelled(self, name):
        return [message.data for message in self.labels[name]]

    def accounted(self, reference='visible'):
        """Return the numbers of a new report, once nothing is under way."""
        before = len(self.reports)
        return accounted(wait_for(
            lambda: len(self.reports) > before
            and (v := diagnosed(self.reports)).get('in_progress') == '0' and v, 'a report'),
            reference)


def accounted(values, reference='visible'):
    """Check that every frame and every pair is accounted for; returns the numbers."""
    n = {k: int(v) for k, v in values.items() if str(v).lstrip('-').isdigit()}

    def lost(what):
        return sum(v for k, v in n.items() if k.startswith(f'dropped.{what}.'))

    for stream in ('visible', 'thermal'):
        paired = n['pairs'] - n['reused'] * (stream != reference)
        assert n[f'received.{stream}'] == (
            paired + n[f'single.{stream}'] + n[f'waiting.{stream}'] + lost(stream)), values
    assert n['pairs'] + n['single.visible'] + n['single.thermal'] == (
        n['fused'] + n['unheard'] + n['in_progress'] + lost('pairs')), values
    return n
