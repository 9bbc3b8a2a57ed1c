# SPDX-License-Identifier: Apache-2.0
"""The worker and the judge of an active node: errors, slowness and hangs are told."""

import threading

from flow import Scene
from rclpy.lifecycle import TransitionCallbackReturn
from rig import EchoFuser, wait_for

from degfusion_ros.node import running

WARN = b'\x01'
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


def test_a_judge_that_fails_is_told_until_it_judges_again(start, peer):
    class Blind(EchoFuser):
        blind = True

        def refresh(self, *given):
            if self.blind:
                raise ValueError('cannot look')
            return super().refresh(*given)

    scene = Scene(start, peer, fuser=Blind())
    report = scene.cameras.run(lambda: scene.told('running, but judging fails'), 'the report')
    assert report['level'] == WARN and 'ValueError: cannot look' in report['message']
    scene.fuser.blind = False
    scene.cameras.run(lambda: (found := scene.told('running')) and found['message'] == 'running',
                      'a judgement')


def test_pairs_that_keep_ending_in_an_error_are_told(start, peer):
    class Faulty(EchoFuser):
        calls = 0

        def fuse(self, *given, **named):
            self.calls += 1
            if self.calls % 2:
                raise KeyError('a bug')
            return super().fuse(*given, **named)

    scene = Scene(start, peer, fuser=Faulty())
    report = scene.cameras.run(
        lambda: scene.told('running, but pairs were dropped a moment ago: internal_error'),
        'the report')
    assert report['level'] == WARN and "KeyError: 'a bug'" in report['message']


def test_a_fuser_too_slow_for_the_cameras_is_told(start, peer):
    scene = Scene(start, peer)
    scene.fuser.delay_s = 0.2
    report = scene.cameras.run(
        lambda: scene.told('running, but too slow for its cameras: '), 'the report')
    assert report['level'] == WARN and ' Hz are fused, ' in report['message']
    assert 'set output.size lower' in report['message']
    assert scene.accounted()['dropped.pairs.busy'] > 0


def test_a_judgement_that_hangs_does_not_hang_the_node(start, peer, monkeypatch, capfd):
    monkeypatch.setattr(running, 'PATIENCE_S', 0.2)
    free = threading.Event()

    class Hanging(EchoFuser):
        def refresh(self, *given):
            free.wait(120)
            return super().refresh(*given)

    scene = Scene(start, peer, fuser=Hanging())
    assert scene.spun.do(scene.spun.node.trigger_deactivate) == SUCCESS
    assert 'the judge has not ended' in capfd.readouterr().err
    free.set()
    wait_for(lambda: 'judge' not in {t.name for t in threading.enumerate()}, 'its end')


def test_the_labels_of_a_node_that_is_deactivated_are_of_no_picture(start, peer):
    scene = Scene(start, peer)
    scene.cameras.run(
        lambda: [scene.labelled(name)[-1:] for name in scene.labels] == [['clean']] * 2, 'labels')
    assert scene.spun.do(scene.spun.node.trigger_deactivate) == SUCCESS
    wait_for(lambda: {scene.labelled(name)[-1] for name in scene.labels} == {'missing'}, 'labels')


def test_no_thread_to_be_had_is_told_and_leaves_none_behind(start, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("can't start new thread")

    spun = start(EchoFuser(), autostart=False)
    assert spun.do(spun.node.trigger_configure) == SUCCESS
    with monkeypatch.context() as patch:
        patch.setattr(running, 'Mailbox', fail)
        assert spun.do(spun.node.trigger_activate) == FAILURE
    assert spun.node._state == "cannot activate: can't start new thread"
    assert not {'worker', 'judge'} & {t.name for t in threading.enumerate()}
    assert spun.node._running is None and not spun.node._outputs._scores.is_activated
    assert spun.do(spun.node.trigger_activate) == SUCCESS
