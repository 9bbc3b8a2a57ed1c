# SPDX-License-Identifier: Apache-2.0
"""Transitions of the managed node, through the services that every tool uses."""

import gc
import threading

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
import pytest
from rclpy.parameter import Parameter
from rig import diagnosed, EchoFuser, frame, wait_for
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool, Trigger

from degfusion_ros.fuser import FuserError

FUSED = 'fusion_node/fused/image'


def change(peer, name):
    transition = Transition(id=getattr(Transition, f'TRANSITION_{name.upper()}'))
    return peer.call(
        ChangeState, 'fusion_node/change_state', ChangeState.Request(transition=transition)).success


def state(peer):
    return peer.call(
        GetState, 'fusion_node/get_state', GetState.Request()).current_state.label


def fuse(peer, fused, number):
    already = len(fused)
    peer.send_pair(number)
    wait_for(lambda: len(fused) > already, f'pair {number} fused')


def test_every_transition_several_times_without_leaking_threads(start, peer):
    fuser = EchoFuser()
    spun = start(fuser, autostart=False)
    assert state(peer) == 'unconfigured'
    fused = []
    before = None
    for turn in range(1, 4):
        assert change(peer, 'configure') and state(peer) == 'inactive'
        assert fuser.warmed[-1] == (64, 80)
        if turn == 1:
            fused = peer.listen(FUSED, Image)
        for again in range(2):
            assert change(peer, 'activate') and state(peer) == 'active'
            wait_for(lambda: spun.node._outputs.listened('fused'), 'the listener')
            fuse(peer, fused, 10 * turn + again + 1)
            assert {'worker', 'judge'} <= {t.name for t in threading.enumerate()}
            assert change(peer, 'deactivate') and state(peer) == 'inactive'
            assert not {'worker', 'judge', 'loader_0'} & {t.name for t in threading.enumerate()}
            assert not spun.do(lambda: [s.topic_name for s in spun.node.subscriptions
                                        if 'image' in s.topic_name] or ()), 'still subscribed'
            wait_for(lambda: not peer.senders['visible/image_raw'].get_subscription_count()
                     and not peer.senders['thermal/image_raw'].get_subscription_count(), 'none')
        assert change(peer, 'cleanup') and state(peer) == 'unconfigured'
        assert spun.node._fuser is None and spun.node._decoder is None
        gc.collect()
        now = (threading.active_count(), len(list(spun.node.publishers)),
               len(list(spun.node.timers)), len(list(spun.node.services)))
        before = before or now
        assert now == before
    assert len(fused) == 6
    assert change(peer, 'unconfigured_shutdown') and state(peer) == 'finalized'


def test_nothing_is_fused_while_inactive(start, peer):
    fuser = EchoFuser()
    start(fuser)
    fused = peer.listen(FUSED, Image)
    fuse(peer, fused, 1)
    assert change(peer, 'deactivate')
    assert not peer.call(
        Trigger, 'fusion_node/refresh_degradation', Trigger.Request()).success
    sender = peer.senders['visible/image_raw']
    wait_for(lambda: sender.get_subscription_count() == 0, 'nobody to listen')
    sender.publish(frame(stamp=5))
    assert change(peer, 'activate')
    fuse(peer, fused, 2)
    assert len(fused) == len(fuser.fused) == 2


def test_shutdown_from_active_ends_the_threads(start, peer):
    start(EchoFuser())
    peer.listen(FUSED, Image)
    wait_for(lambda: state(peer) == 'active', 'the start')
    reports = peer.listen('/diagnostics', DiagnosticArray)
    assert change(peer, 'active_shutdown') and state(peer) == 'finalized'
    words = 'finalized, not fusing: restart the process'
    wait_for(lambda: diagnosed(reports).get('message') == words, 'what to do')
    assert not {'worker', 'judge'} & {t.name for t in threading.enumerate()}


def told(capfd):
    return [line for line in capfd.readouterr().err.splitlines() if '[ERROR]' in line]


def test_a_missing_model_is_one_clear_line_and_the_process_lives(start, peer, capfd):
    start(None, {'model.name': '/nowhere/mine.safetensors'})
    reports = peer.listen('/diagnostics', DiagnosticArray)
    wait_for(lambda: diagnosed(reports).get('level') == b'\x02', 'an error reported')
    assert diagnosed(reports)['message'].startswith('cannot configure')
    assert '/nowhere/mine.safetensors' in diagnosed(reports)['message']
    assert state(peer) == 'unconfigured'
    line, = told(capfd)
    assert 'cannot configure' in line and '/nowhere/mine.safetensors' in line
    assert not change(peer, 'configure') and state(peer) == 'unconfigured'
    assert not peer.call(SetBool, 'fusion_node/enable', SetBool.Request(data=True)).success


def test_wrong_initial_parameters_are_told_and_can_be_set_right(start, peer, capfd):
    spun = start(EchoFuser(), {'degradation.rate_hz': 99.0, 'sync.policy': 'latest'})
    wait_for(lambda: spun.node._state.startswith('cannot'), 'a refusal')
    line, = told(capfd)
    assert 'degradation.rate_hz must be a number from 0.0 to 30.0 Hz, not 99.0' in line
    assert "sync.policy must be one of nearest, exact, approximate, not 'latest'" in line
    assert state(peer) == 'unconfigured' and not change(peer, 'configure')
    for name, value in (('degradation.rate_hz', 4.0), ('sync.policy', 'nearest')):
        assert spun.do(spun.node.set_parameters, [Parameter(name, value=value)])[0].successful
    assert change(peer, 'configure') and change(peer, 'activate')


@pytest.mark.parametrize('parameters, words', [
    ({'registration.file': '/nowhere/registration.yaml'}, '/nowhere/registration.yaml'),
    ({'qos_overrides./test/visible/image_raw.subscription.reliability': 'often'}, 'often')])
def test_what_cannot_be_set_up_is_told(start, peer, capfd, parameters, words):
    named = {k.replace('/test', peer.node.get_namespace()): v for k, v in parameters.items()}
    spun = start(EchoFuser(), named)
    wait_for(lambda: spun.node._state.startswith('cannot'), 'a refusal')
    line, = told(capfd)
    assert words in line and state(peer) in ('unconfigured', 'inactive')


def test_policies_of_message_filters_need_it(start, peer, capfd):
    try:
        import message_filters  # noqa: F401
        pytest.skip('message_filters is installed')
    except ImportError:
        pass
    spun = start(EchoFuser(), {'sync.policy': 'approximate'})
    wait_for(lambda: spun.node._state.startswith('cannot'), 'a refusal')
    line, = told(capfd)
    assert 'message_filters' in line and 'use nearest' in line


def test_loading_is_reported_while_it_lasts(start, peer):
    free = threading.Event()

    class Slow(EchoFuser):
        def warm_up(self, height, width):
            free.wait(20)

    reports = peer.listen_first('/diagnostics', DiagnosticArray)
    start(Slow())
    wait_for(lambda: diagnosed(reports).get('message', '').startswith('warming up'), 'a report')
    many = len(reports)
    wait_for(lambda: len(reports) > many, 'another one, a second later')
    free.set()
    wait_for(lambda: diagnosed(reports)['message'].startswith('waiting'), 'the start')


def test_a_node_that_nobody_has_brought_to_work_is_a_warning(start, peer):
    reports = peer.listen_first('/diagnostics', DiagnosticArray)
    start(EchoFuser(), autostart=False)
    wait_for(lambda: diagnosed(reports).get('level') == b'\x01', 'a warning')
    assert diagnosed(reports)['message'] == 'unconfigured, not fusing: configure and activate it'
    assert change(peer, 'configure')
    wait_for(lambda: diagnosed(reports)['message'] == 'inactive, not fusing: activate it', 'state')
    assert diagnosed(reports)['level'] == b'\x01'


def test_a_model_that_fails_later_can_be_replaced(start, peer):
    answers = [FuserError('not this one'), EchoFuser()]

    class Loader:
        def __getattr__(self, name):
            if isinstance(answers[0], Exception):
                raise answers.pop(0)
            return getattr(answers[0], name)

    start(Loader(), autostart=False)
    assert not change(peer, 'configure') and state(peer) == 'unconfigured'
    assert change(peer, 'configure') and state(peer) == 'inactive'


def test_the_quality_of_service_of_inputs_can_be_overridden(start, peer):
    topic = f'{peer.node.get_namespace()}/visible/image_raw'
    spun = start(EchoFuser(), {f'qos_overrides.{topic}.subscription.reliability': 'reliable'})
    wait_for(lambda: state(peer) == 'active', 'the start')
    kinds = {s.topic_name: s.qos_profile.reliability.name for s in spun.node.subscriptions}
    assert kinds[topic] == 'RELIABLE'
    assert kinds[topic.replace('visible', 'thermal')] == 'BEST_EFFORT'
