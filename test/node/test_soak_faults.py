# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, strategies as st

from degfusion_ros.node.soak_faults import KINDS, plan


@given(seconds=st.floats(1, 3000), every=st.floats(0.5, 20), seed=st.integers(0, 99),
       hasten=st.floats(1, 20))
def test_faults_follow_one_another_and_leave_the_end_in_peace(seconds, every, seed, hasten):
    faults = plan(seconds, every, seed, hasten)
    times = [t for fault in faults for t in (fault.start_s, fault.end_s)]
    assert times == sorted(times) and all(0 < t <= seconds - 3.0 / hasten for t in times)
    assert faults == plan(seconds, every, seed, hasten)


def test_half_an_hour_holds_every_kind_many_times():
    kinds = [fault.kind for fault in plan(1800.0, 8.0, 1)]
    assert min(kinds.count(kind) for kind in KINDS) >= 8
    assert kinds[:9] == ['visible gone', 'thermal gone', 'visible size'] * 3
