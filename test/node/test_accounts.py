# SPDX-License-Identifier: Apache-2.0
from degfusion_ros.node.accounts import differences

CLOSED = {
    'received.visible': '10', 'received.thermal': '9', 'pairs': '7', 'reused': '1',
    'single.visible': '1', 'single.thermal': '0', 'waiting.visible': '0', 'waiting.thermal': '1',
    'dropped.visible.no_partner': '2', 'dropped.thermal.unused': '2', 'fused': '6',
    'dropped.pairs.busy': '1', 'in_progress': '1', 'rate_in.visible_hz': '9.9', 'device': 'cpu'}


def test_closed_books_have_no_difference():
    assert differences(CLOSED) == {}


def test_what_is_missing_is_told_by_side():
    assert differences(CLOSED | {'received.visible': '11'}) == {'visible': 1}
    assert differences(CLOSED | {'fused': '8'}) == {'pairs': -2}
    assert differences(CLOSED | {'dropped.thermal.out_of_order': '3'}) == {'thermal': -3}
