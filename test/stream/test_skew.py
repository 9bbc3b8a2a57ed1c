# SPDX-License-Identifier: Apache-2.0
"""Distance and drift of two clocks, from stamps and arrivals under load."""

import random

import pytest

from degfusion_ros.stream.skew import SkewMeter

MS, S = 1_000_000, 1_000_000_000


def play(meter, seconds, thermal_hz=30, offset_ms=0.0, drift_ppm=0.0, jitter_ms=5.0, delay_ms=20,
         seed=0, start_s=0):
    """Play two cameras; the thermal clock is `offset_ms` behind and loses `drift_ppm`."""
    chance = random.Random(seed)
    events = []
    for stream, rate in (('visible', 30), ('thermal', thermal_hz)):
        for index in range(int(seconds * rate)):
            true_ns = start_s * S + round(index / rate * S)
            arrival = true_ns + round((delay_ms + chance.expovariate(1 / jitter_ms)) * MS)
            behind = offset_ms * MS + drift_ppm * 1e-6 * true_ns if stream == 'thermal' else 0
            events.append((arrival, stream, 10_000 * S + true_ns - round(behind)))
    for arrival, stream, stamp in sorted(events):
        meter.seen(stream, stamp, arrival)
    return meter.skew()


def test_nothing_is_told_before_it_is_known():
    skew = SkewMeter().skew()
    assert skew == (None, None, None)
    assert play(SkewMeter(), 1.6).drift_ppm is None


@pytest.mark.parametrize('thermal_hz', [9, 25, 30, 60])
@pytest.mark.parametrize('offset_ms', [-350, 0, 35, 5000])
def test_the_distance_is_found_within_two_seconds(thermal_hz, offset_ms):
    skew = play(SkewMeter(), 2, thermal_hz, offset_ms)
    assert abs(skew.offset_ns / MS - offset_ms) < 4


@pytest.mark.parametrize('drift', [-300, -50, 0, 50, 300])
def test_the_drift_is_found_within_two_minutes(drift):
    skew = play(SkewMeter(), 120, offset_ms=12, drift_ppm=drift)
    assert abs(skew.drift_ppm - drift) < 15
    assert skew.error_ppm < 15


def test_clocks_that_agree_seem_to_drift_no_more_than_the_error_under_load():
    for seed in range(6):
        skew = play(SkewMeter(), 30, jitter_ms=40, seed=seed)
        assert abs(skew.drift_ppm) < 4 * skew.error_ppm + 1


def test_wild_stamps_for_a_moment_change_nothing():
    meter = SkewMeter()
    play(meter, 20, offset_ms=50)
    meter.seen('thermal', 10_000 * S + 20 * S + 700 * MS, 20 * S)
    skew = play(meter, 20, offset_ms=50, start_s=20, seed=1)
    assert abs(skew.offset_ns / MS - 50) < 4 and abs(skew.drift_ppm) < 100


def test_a_clock_that_is_set_begins_anew():
    meter = SkewMeter()
    play(meter, 20)
    skew = play(meter, 4, offset_ms=4000, start_s=20)
    assert abs(skew.offset_ns / MS - 4000) < 4 and skew.drift_ppm is None


def test_one_stream_alone_tells_nothing():
    meter = SkewMeter()
    for index in range(200):
        meter.seen('visible', index * 33 * MS, index * 33 * MS)
    assert meter.skew().offset_ns is None
