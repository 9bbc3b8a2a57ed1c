# SPDX-License-Identifier: Apache-2.0
"""What goes wrong when: the drive's conditions as data, the truth that labels are held to."""

from dataclasses import dataclass, field

RAMP = 1.0  # seconds in which a condition comes and goes


@dataclass(frozen=True)
class Segment:
    """One stretch of the drive: from t0 to t1 seconds, severities 0..1 by label."""

    name: str
    t0: float
    t1: float
    visible: dict[str, float] = field(default_factory=dict)
    thermal: dict[str, float] = field(default_factory=dict)


SCHEDULE = (
    Segment('clear', 0.0, 4.5),
    Segment('fog', 4.5, 10.5, visible={'fog': 0.85}),
    Segment('thermal stripes', 10.5, 15.0, thermal={'stripe': 0.7}),
    Segment('night with noise', 15.0, 21.5, visible={'low_light': 0.75, 'noise': 0.45}),
    Segment('weak thermal', 21.5, 26.0, thermal={'low_contrast': 0.85}),
    Segment('rain', 26.0, 31.0, visible={'rain': 0.8}),
    Segment('glare', 31.0, 36.0, visible={'overexposure': 0.85}),
    Segment('noisy striped thermal', 36.0, 40.5, thermal={'stripe': 0.6, 'noise': 0.5}),
    Segment('clear again', 40.5, 44.5),
)


def duration(schedule: tuple[Segment, ...] = SCHEDULE) -> float:
    """Return the drive's length in seconds."""
    return schedule[-1].t1


def segment_at(t: float, schedule: tuple[Segment, ...] = SCHEDULE) -> Segment:
    """Return the segment that holds time t; the last one after the end."""
    return next((s for s in schedule if t < s.t1), schedule[-1])


def severities(t: float, schedule: tuple[Segment, ...] = SCHEDULE
               ) -> tuple[dict[str, float], dict[str, float]]:
    """Return the true severities (visible, thermal) at t; labels that are absent are 0."""
    segment = segment_at(t, schedule)
    ramp = min((t - segment.t0) / RAMP, (segment.t1 - t) / RAMP, 1.0)
    ramp = max(ramp, 0.0)
    return ({label: ramp * full for label, full in segment.visible.items()},
            {label: ramp * full for label, full in segment.thermal.items()})
