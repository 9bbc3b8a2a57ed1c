# SPDX-License-Identifier: Apache-2.0
"""The words of /diagnostics, without a fusion node."""

import pytest
import rclpy

from degfusion_ros.node import diagnostics


@pytest.mark.parametrize('namespace, name', [
    ('', 'fusion_node: fusion'), ('/front', 'front/fusion_node: fusion'),
    ('/car/rear', 'car/rear/fusion_node: fusion')])
def test_each_of_several_nodes_reports_under_a_name_of_its_own(ros, namespace, name):
    node = rclpy.create_node('fusion_node', namespace=namespace)
    status, = diagnostics.status_message(node, b'\0', 'running', 'cpu', {}).status
    assert (status.name, status.message) == (name, 'running')
    node.destroy_node()
