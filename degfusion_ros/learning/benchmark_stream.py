# SPDX-License-Identifier: Apache-2.0
"""How a stream of frames came through a node: ros2_benchmark's metrics, and percentiles."""

import numpy as np

MAX_DROPS = 0.05    # ros2_benchmark calls a rate sustained below this share of missed frames
MARK = 'sustained'


def performance(sent: dict[int, int], came: dict[int, int]) -> dict[str, float]:
    """
    Compare when frames were sent and when their results came, both {stamp: time in ns}.

    Returns ros2_benchmark's metrics under its names, and beside them the drop rate (0..1), the
    latency's median and 99th percentile (ms), and whether the rate was sustained. Latencies are
    of the frames that came; with none of them there are no times.
    """
    came = {stamp: came[stamp] for stamp in sent if stamp in came}
    drops = 1 - len(came) / len(sent) if sent else 0.0
    found = {'# of Frames Sent': len(sent), '# of Missed Frames': len(sent) - len(came),
             'drop_rate': round(drops, 4),
             MARK: bool(came) and len(sent) - len(came) < MAX_DROPS * len(sent)}
    if len(sent) > 1:
        found['Mean Playback Frame Rate (fps)'] = _rate(list(sent.values()))
    if not came:
        return found
    ends = np.array(list(came.values())) / 1e6
    latency = ends - np.array([sent[stamp] for stamp in came]) / 1e6
    found |= {'Mean End-to-End Latency (ms)': latency.mean(),
              'Max. End-to-End Latency (ms)': latency.max(),
              'Min. End-to-End Latency (ms)': latency.min(),
              'latency_p50_ms': np.percentile(latency, 50),
              'latency_p99_ms': np.percentile(latency, 99)}
    if len(came) > 1:
        found['Mean Frame Rate (fps)'] = _rate(list(came.values()))
    if len(came) > 2:
        jitter = np.abs(np.diff(ends, 2))
        found |= {'Mean Frame-to-Frame Jitter (ms)': jitter.mean(),
                  'Max. Frame-to-Frame Jitter (ms)': jitter.max(),
                  'Min. Frame-to-Frame Jitter (ms)': jitter.min(),
                  'Frame-to-Frame Jitter Std. Deviation (ms)': jitter.std()}
    return {name: value if isinstance(value, (bool, int)) else round(float(value), 3)
            for name, value in found.items()}


def next_rate(tried: dict[float, bool], highest: float) -> float | None:
    """
    Return the next rate to try for the highest one that is sustained; None once it is known.

    tried: rate in Hz -> sustained. Doubles, then halves the gap down to 1 Hz.
    """
    good = max((rate for rate, held in tried.items() if held), default=0.0)
    bad = min((rate for rate, held in tried.items() if not held and rate > good), default=None)
    if bad is None:
        return None if good >= highest else min(max(2 * good, 1.0), highest)
    return None if bad - good <= 1 else round((good + bad) / 2)


def _rate(times_ns: list[int]) -> float:
    span = (times_ns[-1] - times_ns[0]) / 1e9
    return (len(times_ns) - 1) / span if span > 0 else 0.0
