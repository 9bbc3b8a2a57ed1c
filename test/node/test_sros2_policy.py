# SPDX-License-Identifier: Apache-2.0
"""The shipped enclave policy allows just what the node opens."""

import os
from pathlib import Path
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from rclpy.parameter import Parameter
from rig import EchoFuser, Spun, wait_for

from degfusion_ros.node.fusion_node import FusionNode

POLICY = Path(__file__).resolve().parents[2] / 'config' / 'sros2' / 'policy.xml'
COMPRESSED = {f'/{name}/image_raw/compressed' for name in ('visible', 'thermal')}


def allowed(kind, rule):
    profile, = ElementTree.parse(POLICY).getroot().iter('profile')
    assert (profile.get('ns'), profile.get('node')) == ('/', 'fusion_node')
    return {f'/{name.text}'.replace('/~', '/fusion_node')
            for group in profile.findall(f'{kind}s') if group.get(rule) == 'ALLOW'
            for name in group.findall(kind)}


@pytest.mark.parametrize('enclave', ['missing', 'empty'])
def test_with_security_enforced_and_no_keys_nothing_goes_out_in_the_clear(tmp_path, enclave):
    if enclave == 'empty':
        (tmp_path / 'enclaves/degfusion/fusion_node').mkdir(parents=True)
    secured = {'ROS_SECURITY_ENABLE': 'true', 'ROS_SECURITY_STRATEGY': 'Enforce',
               'ROS_SECURITY_KEYSTORE': str(tmp_path)}
    done = subprocess.run(
        [sys.executable, '-m', 'degfusion_ros.node.fusion_node', '--ros-args', '--enclave',
         '/degfusion/fusion_node'], env=os.environ | secured, capture_output=True, text=True,
        timeout=100)
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith('fusion_node cannot start: ')


@pytest.mark.parametrize('transport', ['raw', 'compressed'])
def test_the_policy_is_what_the_node_opens(namespace, transport):
    given = {'use_sim_time': True, 'model.warm_up_size': 'first',
             **{f'input.{name}.transport': transport for name in ('visible', 'thermal')}}
    # in a namespace of its own: a node that another test has left behind would answer for it
    node = FusionNode(namespace=namespace, load=lambda *_: EchoFuser(), parameter_overrides=[
        Parameter(name, value=value) for name, value in given.items()])
    spun = Spun(node)
    try:
        spun.do(node.trigger_configure)
        spun.do(node.trigger_activate)

        def opened(what):
            query = getattr(node, f'get_{what}_names_and_types_by_node')
            return {name.removeprefix(namespace) for name, _ in query('fusion_node', namespace)}

        # the graph tells of an endpoint a moment after it is made
        wait_for(lambda: opened('publisher') >= allowed('topic', 'publish'), 'the publishers')
        assert opened('publisher') == allowed('topic', 'publish')
        reads = allowed('topic', 'subscribe')
        unused = {name.removesuffix('/compressed') for name in COMPRESSED} \
            if transport == 'compressed' else COMPRESSED
        wait_for(lambda: opened('subscriber') >= reads - unused, 'the subscriptions')
        assert opened('subscriber') == reads - unused
        assert opened('service') <= allowed('service', 'reply')
        assert allowed('service', 'reply') - opened('service') <= {
            '/fusion_node/get_type_description', '/fusion_node/get_transition_graph'}  # not Humble
        assert opened('client') == set()
    finally:
        spun.end()
