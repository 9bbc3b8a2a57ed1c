# SPDX-License-Identifier: Apache-2.0
"""A node that ends in the middle of a soak costs a sample of its memory, and is told."""

from pathlib import Path
import subprocess
from types import SimpleNamespace

import pytest
import rclpy
from rig import wait_for

from degfusion_ros.node.soak import SoakError, Watch


@pytest.fixture
def watch(ros, namespace):
    node = rclpy.create_node('watch', namespace=namespace)
    process = subprocess.Popen(['sleep', '60'])
    yield Watch(node, SimpleNamespace(process=process, log='node.log', ended=process.poll))
    process.kill()
    process.wait()
    node.destroy_node()


def test_a_node_that_has_ended_is_not_weighed_but_told(watch):
    process = watch._process.process
    watch.weigh()
    watch.check()
    process.kill()
    status = Path(f'/proc/{process.pid}/status')
    wait_for(lambda: 'VmRSS' not in status.read_text(), 'the end')  # nobody has waited for it
    watch.weigh()
    with pytest.raises(SoakError, match='the fusion node ended with -9 .see node.log'):
        watch.check()
    assert not status.exists()
    watch.weigh()
    assert len(watch.log.memory) == 1
