# SPDX-License-Identifier: Apache-2.0
"""How `fuse-bag` pairs: parameters to the nanosecond, no more frames in memory than are of use."""

import pytest

from degfusion_ros.commands.fuse_bag_state import NS, Options, State
from degfusion_ros.node.parameters import DEFAULTS
from degfusion_ros.stream.pairing import Pair

START = 1_700_000_000 * NS


def pairer(**sync):
    """Return a pairer of the default parameters but for those of the group sync."""
    settings = dict(DEFAULTS)
    settings |= {f'sync.{name}': value for name, value in sync.items()}
    return State.new(Options('/v', '/t', {}, 'fusion_node', (), settings)).pairer


@pytest.mark.parametrize('sync, behind_ns', [
    ({'max_dt_s': 0.0, 'offset_thermal_s': 2.01}, 2_010_000_000),
    ({'max_dt_s': 0.0, 'offset_visible_s': -2.01}, 2_010_000_000),
    ({'max_dt_s': 2.01}, 2_010_000_000)])
def test_an_offset_and_a_distance_hold_to_the_nanosecond(sync, behind_ns):
    made = pairer(hold_s=0.0, **sync)
    made.add('thermal', START - behind_ns, 'thermal', START)
    found = made.add('visible', START, 'visible', START) + made.poll(START + NS)
    assert [pair.other for pair in found if isinstance(pair, Pair)] == ['thermal']


def test_of_a_camera_whose_clock_is_ahead_few_frames_are_kept():
    made, period = pairer(), NS // 30
    for i in range(600):
        now = START + i * period
        made.add('thermal', now + 60 * NS, i, now)
        made.add('visible', now, i, now + period // 2)
    assert 0 < made.waiting['thermal'] <= 128 and made.dropped['thermal']['overflow'] > 400
