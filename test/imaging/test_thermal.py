# SPDX-License-Identifier: Apache-2.0
import time

from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import pytest

from degfusion_ros.imaging.encodings import FrameError
from degfusion_ros.imaging.thermal import ThermalScaler

shapes = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=20)
frames = st.one_of(
    hnp.arrays(np.uint8, shapes), hnp.arrays(np.uint16, shapes),
    hnp.arrays(np.float32, shapes, elements=st.floats(width=32)))
windows = st.one_of(st.none(), st.tuples(st.integers(-500, 30000), st.integers(1, 30000)).map(
    lambda pair: (pair[0], pair[0] + pair[1])))


def scene(rng, level=8000, contrast=300):
    return (level + contrast * rng.random((128, 160))).astype(np.uint16)


@given(st.lists(frames, min_size=1, max_size=4), windows, st.sampled_from([0.0, 0.5, 0.9]))
@settings(max_examples=150, deadline=None)
def test_any_frames_give_numbers_from_0_to_1(raws, window, smoothing):
    scaler = ThermalScaler(window=window, smoothing=smoothing)
    mirror = ThermalScaler(window=window, smoothing=smoothing, invert=True)
    for raw in raws:
        alive = np.abs(raw) < np.float32(1e30)
        if not alive.any():
            with pytest.raises(FrameError) as caught:
                scaler(raw)
            assert caught.value.cause == 'all_nan'
            continue
        kept = raw.copy()
        scaled = scaler(raw)
        assert scaled.dtype == np.float32 and scaled.shape == raw.shape
        assert scaled.min() >= 0 and scaled.max() <= 1  # and so no NaN
        np.testing.assert_array_equal(raw, kept)
        np.testing.assert_array_equal(mirror(raw), 1 - scaled)
        order = np.argsort(raw[alive], kind='stable')
        assert (np.diff(scaled[alive][order]) >= 0).all(), 'a hotter pixel came out darker'


def test_8_bit_passes_unchanged():
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_allclose(ThermalScaler()(ramp), ramp / 255, atol=1e-6)


def test_fixed_window_is_exact():
    raw = np.float32([[270, 280, 300, 320, 400]])
    for frame in (raw, raw.astype(np.uint16)):
        np.testing.assert_allclose(ThermalScaler(window=(280, 320))(frame),
                                   [[0, 0, 0.5, 1, 1]], atol=1e-6)
    assert ThermalScaler(window=(100, 200))(np.uint8([[150]]))[0, 0] == pytest.approx(0.5)


def test_automatic_window_uses_the_whole_range():
    scaled = ThermalScaler()(scene(np.random.default_rng(0)))
    assert abs(scaled.mean() - 0.5) < 0.02
    assert 0.005 < (scaled == 0).mean() < 0.02 and 0.005 < (scaled == 1).mean() < 0.02


@pytest.mark.parametrize('hot', [9000, 20000, 65535])
@pytest.mark.parametrize('size', [8, 40, 100])
def test_a_hot_object_entering_does_not_make_the_picture_jump(hot, size):
    cold = scene(np.random.default_rng(1))
    scaler = ThermalScaler()
    before = scaler(cold)
    for step in range(60):
        warm = cold.copy()
        warm[:size, :size] = hot
        after = scaler(warm)
        rest = np.abs(after - before)[size:, size:]
        assert rest.max() <= 0.125, f'background moved by {rest.max()} at frame {step}'
        before = after
    assert before[0, 0] == 1
    # A large object ends inside the window, so that it can be told from the background.
    if size == 100:
        assert before[size:, size:].max() < 0.7


@given(st.lists(st.integers(7000, 9000), min_size=2, max_size=20), st.randoms())
@settings(max_examples=50, deadline=None)
def test_overlapping_scenes_change_slowly(levels, random):
    cold = scene(np.random.default_rng(random.randint(0, 9)), contrast=3000)
    scaler = ThermalScaler()
    probe = np.uint16([[6000, 8000, 10000]])
    windows = []
    for level in levels:
        scaler(cold + np.uint16(level - 7000))
        windows.append(scaler._window)
    for old, new in zip(windows, windows[1:]):
        moved = ThermalScaler(window=old)(probe) - ThermalScaler(window=new)(probe)
        assert np.abs(moved).max() <= 0.125


def test_a_new_scene_is_visible_at_once():
    rng = np.random.default_rng(2)
    scaler = ThermalScaler()
    scaler(scene(rng, 8000))
    assert abs(scaler(scene(rng, 20000)).mean() - 0.5) < 0.02


def test_a_closed_shutter_teaches_nothing():
    rng = np.random.default_rng(3)
    scaler = ThermalScaler()
    picture = scene(rng)
    before = scaler(picture)
    for _ in range(20):
        flat = scaler(np.full((128, 160), 8100, np.uint16))
        assert np.ptp(flat) == 0
    np.testing.assert_allclose(scaler(picture), before, atol=1e-5)


def test_flat_noise_is_not_blown_up():
    noise = (8000 + np.random.default_rng(4).integers(0, 3, (64, 64))).astype(np.uint16)
    assert np.ptp(ThermalScaler()(noise)) < 0.5


def test_dead_pixels_become_ordinary_ones():
    raw = np.linspace(280, 320, 10000, dtype=np.float32).reshape(100, 100)
    clean = ThermalScaler()(raw)
    raw[3, 4], raw[50, 50], raw[99, 0] = np.nan, np.inf, -np.inf
    scaled = ThermalScaler()(raw)
    for dead in ((3, 4), (50, 50), (99, 0)):
        assert abs(scaled[dead] - 0.5) < 0.05
    alive = np.isfinite(raw)
    np.testing.assert_allclose(scaled[alive], clean[alive], atol=0.01)


def test_telemetry_rows_are_removed():
    raw = scene(np.random.default_rng(5))
    stamped = np.vstack([np.full((2, 160), 65535, np.uint16), raw,
                         np.zeros((1, 160), np.uint16)])
    np.testing.assert_array_equal(ThermalScaler(crop_top=2, crop_bottom=1)(stamped),
                                  ThermalScaler()(raw))
    with pytest.raises(FrameError, match='4 rows') as caught:
        ThermalScaler(crop_top=2, crop_bottom=2)(raw[:4])
    assert caught.value.cause == 'empty'


def test_reset_starts_a_new_window():
    rng = np.random.default_rng(6)
    scaler, picture = ThermalScaler(), scene(rng, 8150)
    scaler(scene(rng))
    scaler.reset()
    np.testing.assert_array_equal(scaler(picture), ThermalScaler()(picture))


@pytest.mark.parametrize('raw', [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4)),
                                 np.zeros((0, 4), np.uint16)])
def test_other_arrays_are_refused(raw):
    with pytest.raises(FrameError):
        ThermalScaler()(raw)


@pytest.mark.parametrize('options, name', [
    ({'window': (5, 5)}, 'window'), ({'window': (0, float('nan'))}, 'window'),
    ({'window': (0, float('inf'))}, 'window'), ({'percentile': (50, 50)}, 'percentile'),
    ({'percentile': (-1, 50)}, 'percentile'), ({'smoothing': 1.0}, 'smoothing'),
    ({'crop_top': -1}, 'crop_top')])
def test_wrong_arguments_are_named(options, name):
    with pytest.raises(ValueError, match=name):
        ThermalScaler(**options)


def test_a_frame_takes_about_a_millisecond():
    raw = np.random.default_rng(7).normal(8000, 300, (512, 640)).astype(np.uint16)
    scaler, times = ThermalScaler(), []
    for _ in range(30):
        start = time.perf_counter()
        scaler(raw)
        times.append(time.perf_counter() - start)
    assert min(times) < 5e-3  # 0.5 ms on a quiet core; a sort of the frame takes 20
