# SPDX-License-Identifier: Apache-2.0
"""A ROS context per test module, a peer to talk to the node, and the node itself."""

import itertools
import os
from pathlib import Path
import sys

import pytest
import rclpy
from rclpy.parameter import Parameter

from degfusion_ros.node.fusion_node import FusionNode

sys.path.insert(0, str(Path(__file__).parent))  # rig.py, which the tests here share
from rig import Peer, Spun  # noqa: E402

NAMES = itertools.count(1)


@pytest.fixture(scope='session')
def domain():
    """A DDS domain of this process's own, on this machine alone."""
    number = str(os.getpid() % 100 + 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('ROS_DOMAIN_ID', number)
        patch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
        yield number


@pytest.fixture(scope='module')
def ros(domain):
    rclpy.init(args=[])
    yield
    rclpy.try_shutdown()


@pytest.fixture
def namespace(ros):
    return f'/test{next(NAMES)}'


@pytest.fixture
def peer(namespace):
    peer = Peer(namespace)
    yield peer
    peer.end()


@pytest.fixture
def start(namespace, peer):
    """Return a function that starts a fusion node, with the real fuser unless one is given."""
    started = []

    def start(fuser=None, parameters=None, autostart=True):
        given = {
            'autostart': autostart, 'model.warm_up_size': '80x64', **(parameters or {})}
        options = {} if fuser is None else {'load': lambda *args: fuser}
        node = FusionNode(
            namespace=namespace, **options,
            parameter_overrides=[Parameter(name, value=v) for name, v in given.items()])
        peer.nodes.append(node)
        started.append(Spun(node))
        return started[-1]

    yield start
    peer.nodes.clear()
    for spun in started:
        spun.end()
