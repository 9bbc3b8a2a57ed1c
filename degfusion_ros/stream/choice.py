# SPDX-License-Identifier: Apache-2.0
"""The partner of the oldest reference that waits, and from when on no nearer one can come."""

from typing import NamedTuple

from degfusion_ros.stream.arrivals import Arrivals, Frame, NEVER_NS

MARGIN = 0.1  # a rival counts from this share of the reference period: phase noise is no reason


class Choice(NamedTuple):
    """What a reference would get now; `final_ns`, on the arrival clock, if no frame comes."""

    final_ns: int  # NEVER_NS where another frame has to come first
    partner: Frame | None
    yielded: Frame | None  # the nearest one, left to a nearer reference


def choose(references: Arrivals, others: Arrivals, ahead: Frame | None, max_dt_ns: int,
           now_ns: int) -> Choice:
    """
    Choose for the first of the waiting references; times are judged by what is known at `now_ns`.

    ahead: the partner of an earlier reference that is kept for one to come.
    """
    near = [*([] if ahead is None else [ahead]), *others.waiting]

    def nearest(frame: Frame, before_ns: int = NEVER_NS) -> Frame | None:
        return min((other for other in near
                    if abs(other.stamp_ns - frame.stamp_ns) <= max_dt_ns
                    and other.stamp_ns < before_ns),
                   default=None, key=lambda other: abs(other.stamp_ns - frame.stamp_ns))

    def final_ns(frame: Frame, best: Frame | None) -> int:
        """Return from when on no frame still to come can be nearer than `best`."""
        reach_ns = max_dt_ns + 1 if best is None else abs(best.stamp_ns - frame.stamp_ns)
        return others.past_ns(frame.stamp_ns + reach_ns, now_ns)

    frame, *rivals = references.waiting
    best = nearest(frame)
    final = final_ns(frame, best)
    if best is None or best.stamp_ns <= frame.stamp_ns:
        return Choice(final, best, None)
    ahead_ns = best.stamp_ns - frame.stamp_ns
    margin_ns = MARGIN * (references.period_ns or 0)
    rival = min(rivals, default=None, key=lambda f: abs(f.stamp_ns - best.stamp_ns))
    if rival is None:  # perhaps the next reference, still to come, is the nearer one
        next_ns = frame.stamp_ns + (references.period_ns or 2 * ahead_ns)
        mine = abs(next_ns - best.stamp_ns) + margin_ns >= ahead_ns
        return Choice(final if mine else NEVER_NS, best, None)
    if (abs(rival.stamp_ns - best.stamp_ns) + margin_ns >= ahead_ns
            or nearest(rival) is not best):
        return Choice(final, best, None)
    return Choice(max(final, final_ns(rival, best)), nearest(frame, best.stamp_ns), best)
