# SPDX-License-Identifier: Apache-2.0
"""The topics that come out, and what is left of them when one of them cannot be."""

from rig import EchoFuser, wait_for


def test_of_topics_that_cannot_all_be_opened_none_stays(start, peer):
    last = f'{peer.node.get_namespace()}/fusion_node/degradation/scores'
    spun = start(EchoFuser(), {f'qos_overrides.{last}.publisher.reliability': 'often'})
    wait_for(lambda: spun.node._state.startswith('cannot configure'), 'a refusal')
    assert 'often' in spun.node._state
    assert not [p.topic_name for p in spun.node.publishers if '/fusion_node/fused' in p.topic_name]
