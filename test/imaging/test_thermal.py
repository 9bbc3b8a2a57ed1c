# SPDX-License-Identifier: Apache-2.0
from hypothesis import assume, given, settings, strategies as st
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


@given(hnp.arrays(np.uint16, shapes, elements=st.one_of(
    st.integers(500, 600), st.integers(0, 30_000), st.integers(0, 65_535))),
    st.tuples(st.floats(0, 49), st.floats(51, 100)))
@settings(max_examples=200, deadline=None)
def test_the_window_lies_at_numpys_percentiles(raw, percentile):
    low, high = np.percentile(raw, percentile)
    assume(high - low > 100)
    wanted = ((raw - low) / (high - low)).clip(0, 1)
    scaled = ThermalScaler(percentile=percentile)(raw)
    np.testing.assert_allclose(scaled, wanted, atol=1e-4)


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


@given(st.lists(st.integers(0, 2000), min_size=2, max_size=20), st.randoms())
@settings(max_examples=50, deadline=None)
def test_overlapping_scenes_change_slowly(rises, random):
    cold = scene(np.random.default_rng(random.randint(0, 9)), contrast=3000)
    scaler = ThermalScaler()
    probe = np.uint16([[6000, 8000, 10000]])
    windows = []
    for rise in rises:
        frame = cold.copy()
        frame[:50] += np.uint16(rise)  # a warmer thing fills part of the picture: no offset
        scaler(frame)
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


@given(st.lists(st.integers(-2000, 2000), min_size=1, max_size=3), st.booleans(),
       st.integers(0, 3))
@settings(max_examples=25, deadline=None)
def test_the_picture_rides_through_shutter_corrections(steps, kelvin, closed):
    """After a flat-field correction all counts have stepped: the picture has not."""
    rng, scaler, level = np.random.default_rng(3), ThermalScaler(), 20000
    picture = scene(rng, 0).astype(float)

    def sent(values):
        return (values * 0.04).astype(np.float32) if kelvin else values.astype(np.uint16)

    before = scaler(sent(picture + level))
    for step in steps:
        for _ in range(closed):
            scaler(sent(np.full(picture.shape, level + 150.0)))
        level += step
        after = scaler(sent(picture + level + rng.normal(0, 1, picture.shape)))
        assert np.abs(after - before).max() < 0.09  # a step below 4 % is smoothed away later
        assert np.abs(after - before).mean() < 0.045
        for _ in range(30):
            before = scaler(sent(picture + level))


def test_a_scene_that_moves_while_the_shutter_is_closed_keeps_its_levels():
    rng = np.random.default_rng(8)
    wide = np.cumsum(rng.normal(0, 4, (128, 400)), axis=1)
    wide += 8000 - wide.mean(axis=1, keepdims=True)
    scaler = ThermalScaler()
    for at in range(40):
        before = scaler(wide[:, at:at + 160].astype(np.uint16))
    after = scaler((wide[:, 45:205] + 400).astype(np.uint16))
    assert np.abs(after[:, :-6] - before[:, 6:]).max() < 0.06


def test_flicker_is_a_fraction_of_that_of_a_stretch_per_frame():
    """Hot things come and go; the change of the static background from frame to frame."""
    rng = np.random.default_rng(9)
    still = scene(rng, 8000, 400).astype(float)
    scaler, each = ThermalScaler(), ThermalScaler(smoothing=0.0)
    pictures, stretched = [], []
    for number in range(200):
        frame = still + rng.normal(0, 3, still.shape)
        if number % 20 < 10:
            frame[40:70, 40 + number % 10:70 + number % 10] = 9500
        frame = frame.astype(np.uint16)
        pictures.append(scaler(frame)[90:])
        stretched.append(each(frame)[90:])
    ours, theirs = (np.abs(np.diff([p.mean() for p in kind])).max()
                    for kind in (pictures, stretched))
    print(f'largest step of the background: {ours:.3f}, stretched per frame {theirs:.3f}')
    assert ours < 0.06 and ours < theirs / 4


def test_kelvin_and_celsius_are_the_same_picture():
    rng = np.random.default_rng(10)
    kelvin = rng.normal(290, 4, (64, 80)).astype(np.float32)
    flat = rng.normal(290, 0.02, (64, 80)).astype(np.float32)
    for frame in (kelvin, flat):
        np.testing.assert_allclose(ThermalScaler()(frame), ThermalScaler()(frame - 273.15),
                                   atol=1e-3)
    assert np.std(ThermalScaler()(flat)) < 0.1  # 20 mK of noise stay noise
    unit = np.linspace(0.4, 0.6, 5120, dtype=np.float32).reshape(64, 80)
    assert np.ptp(ThermalScaler()(unit)) == 1


@pytest.mark.parametrize('bits, top', [(14, 16383), (16, 65535)])
def test_the_sensors_range(bits, top):
    raw = np.uint16([[0, 4096, 16383, 65535]])
    np.testing.assert_allclose(ThermalScaler(sensor_bits=bits)(raw),
                               np.clip(raw / np.float32(top), 0, 1), atol=1e-6)
    kelvin = np.linspace(280, 320, 100, dtype=np.float32).reshape(10, 10)
    np.testing.assert_array_equal(ThermalScaler(sensor_bits=bits)(kelvin), ThermalScaler()(kelvin))
    assert ThermalScaler(window=(0, 8192), sensor_bits=bits)(raw)[0, 1] == pytest.approx(0.5)


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
    ({'crop_top': -1}, 'crop_top'), ({'sensor_bits': 17}, 'sensor_bits')])
def test_wrong_arguments_are_named(options, name):
    with pytest.raises(ValueError, match=name):
        ThermalScaler(**options)
