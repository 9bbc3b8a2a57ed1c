# SPDX-License-Identifier: Apache-2.0
"""When a good pair counts as come out."""

from collections.abc import Iterator
import random

import pytest
import rclpy
from rclpy.signals import SignalHandlerOptions

from degfusion_ros.node import fuzz_target
from degfusion_ros.node.process import isolate


@pytest.fixture
def target(monkeypatch) -> Iterator[fuzz_target.Target]:
    isolate()
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    made = fuzz_target.Target('raw')
    monkeypatch.setattr(fuzz_target, 'PATIENCE_S', 1.0)
    monkeypatch.setattr(fuzz_target, 'COMES_BACK_S', 1.0)
    yield made
    made.close()
    rclpy.try_shutdown()


def test_a_pair_whose_picture_never_comes_back_is_the_nodes_fault(target, monkeypatch):
    monkeypatch.setattr(target, '_brought', lambda stamp: False)
    assert not target.send_good_pair(random.Random(1))
