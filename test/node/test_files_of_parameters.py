# SPDX-License-Identifier: Apache-2.0
"""Files that parameters name are read at configure, not before, and not again while running."""

import sys

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
import pytest
from rclpy.parameter import Parameter
from rig import EchoFuser, wait_for

from degfusion_ros.node.fusion_node import FusionNode

OPENED: list[str] = []
sys.addaudithook(lambda event, arguments: OPENED.append(
    str(arguments[0])) if event == 'open' else None)


def change(peer, number):
    return peer.call(ChangeState, 'fusion_node/change_state',
                     ChangeState.Request(transition=Transition(id=number))).success


@pytest.fixture
def registration(tmp_path):
    path = tmp_path / 'registration.yaml'
    path.write_text('homography: [[1, 0, 3], [0, 1, 4], [0, 0, 1]]\n')
    return str(path)


def test_nothing_is_read_before_configure_or_while_configured(start, peer, registration):
    loaded = []

    class Loaded(EchoFuser):
        def warm_up(self, height, width):
            loaded.append((height, width))

    OPENED.clear()
    spun = start(Loaded(), {'registration.file': '/etc/hostname'}, autostart=False)
    put = spun.node.set_parameters
    assert spun.do(put, [Parameter('registration.file', value=registration)])[0].successful
    assert registration not in OPENED and '/etc/hostname' not in OPENED and not loaded
    assert change(peer, Transition.TRANSITION_CONFIGURE)
    assert OPENED.count(registration) == 1 and loaded and '/etc/hostname' not in OPENED
    for name in ('registration.file', 'model.name'):
        told = spun.do(put, [Parameter(name, value='/etc/passwd')])[0]
        assert not told.successful and 'clean up first' in told.reason
    assert '/etc/passwd' not in OPENED
    wait_for(lambda: peer.node.count_publishers('fusion_node/fused/image'), 'the topics')


def test_an_unconfigured_node_has_loaded_no_model(ros, namespace):
    calls = []
    node = FusionNode(load=lambda *given: calls.append(given), namespace=namespace)
    node.destroy_node()
    assert calls == []
