# SPDX-License-Identifier: Apache-2.0
"""What waited for a camera that turns out to be lost is no flood that the worker drowns in."""

from flow import Scene

LOSSES = 4


def test_a_camera_that_drops_out_again_and_again_makes_nobody_too_slow(start, peer):
    """0.4 s of thermal frames wait, 20 at 50 Hz: all at once they would displace each other."""
    scene = Scene(start, peer, {'sync.lost_after_s': 0.4, 'sync.queue_size': 30})
    counts = scene.spun.node._inputs.matching.counts
    for _ in range(LOSSES):
        alone = counts()['single.thermal']
        scene.cameras.run(
            lambda n=alone: counts()['single.thermal'] > n + 3, 'thermal alone', visible=False)
        scene.cameras.run(lambda: scene.shown() == ('fused',), 'a pair')
    numbers = scene.accounted()
    assert numbers['dropped.thermal.stale'] > 2 * LOSSES
    assert numbers.get('dropped.pairs.busy', 0) < numbers['dropped.thermal.stale'] / 2
    assert 'too slow' not in ' '.join(
        status.message for report in scene.reports for status in report.status)
