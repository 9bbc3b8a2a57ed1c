# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest

from degfusion_ros.imaging.encodings import FrameError
from degfusion_ros.imaging.geometry import Plane, Rig
from degfusion_ros.imaging.lens import Lens
from degfusion_ros.imaging.registration import Registration, RegistrationError

SHIFT = [[1, 0, 30], [0, 1, -10], [0, 0, 1]]


def write(path, text):
    path.write_text(text)
    return path


def spot(x, y, size=(240, 320), dtype=np.float32):
    picture = np.zeros(size, dtype)
    cv2.circle(picture, (x, y), 6, 1 if dtype == np.float32 else 200, -1)
    return picture


def centre(picture):
    picture = picture.astype(np.float32)
    moments = cv2.moments(np.maximum(picture - 0.3 * picture.max(), 0))
    return moments['m10'] / moments['m00'], moments['m01'] / moments['m00']


def test_identity_gives_the_same_array_back():
    picture = spot(50, 60)
    assert Registration.identity()(picture, (240, 320)) is picture


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize('size', [(480, 640), (120, 160), (300, 500)])
def test_identity_resizes(dtype, size):
    result = Registration.identity()(spot(100, 80, dtype=dtype), size)
    assert result.shape == size and result.dtype == dtype
    x, y = centre(result)
    assert x == pytest.approx(100.5 * size[1] / 320 - 0.5, abs=0.5)
    assert y == pytest.approx(80.5 * size[0] / 240 - 0.5, abs=0.5)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.float32])
def test_homography_takes_thermal_pixels_to_visible_pixels(tmp_path, dtype):
    path = write(tmp_path / 'r.yaml', f'homography: {SHIFT}\n')
    result = Registration.load(path)(spot(100, 80, dtype=dtype), (300, 400))
    assert result.shape == (300, 400) and result.dtype == dtype
    assert centre(result) == pytest.approx((130, 70), abs=0.2)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.float32])
def test_beyond_the_thermal_view_the_edge_fades_to_the_mean(dtype):
    thermal = np.full((240, 320), 100, dtype)
    thermal[:, :160] = 200
    registration = Registration(Plane(np.array([[1, 0, 60], [0, 1, 0], [0, 0, 1.0]])))
    result = registration(thermal, (240, 400)).astype(float)
    assert (result[:, 60:219] == 200).all() and (result[:, 221:380] == 100).all()
    assert (np.abs(np.diff(result[100, :60])) < 10).all() and result[0, 59] > 185
    assert abs(result[0, 0] - 150) < 5  # the mean of what is seen
    assert registration.covered == pytest.approx(0.8, abs=0.01)


def test_a_picture_seen_whole_is_not_touched_by_the_fill():
    thermal = np.random.default_rng(0).random((240, 320)).astype(np.float32)
    registration = Registration(Plane(np.eye(3), (320, 240), (320, 240)))
    np.testing.assert_allclose(registration(thermal, (240, 320)), thermal, atol=1e-6)
    assert registration.covered == 1


def test_the_maps_are_made_once_for_a_size(monkeypatch):
    registration = Registration(Plane(np.eye(3), (320, 240), (320, 240)))
    monkeypatch.setattr(cv2, 'convertMaps', lambda *_: pytest.fail('made again'))
    for _ in range(3):
        registration(np.zeros((240, 320), np.float32), (240, 320))


def test_the_result_comes_at_the_output_size():
    registration = Registration(Plane(np.array([[2.0, 0, 20], [0, 2, 10], [0, 0, 1]])))
    result = registration(spot(100, 80), (480, 640), (240, 320))
    assert result.shape == (240, 320)
    assert centre(result) == pytest.approx((220.5 / 2 - 0.5, 170.5 / 2 - 0.5), abs=0.3)


def test_cameras_of_other_lenses_positions_and_sizes_agree_on_a_scene():
    """A wall of spots drawn into both cameras: the thermal ones land on the visible ones."""
    rotation = cv2.Rodrigues(np.radians([1.0, -2.0, 3.0]))[0]
    visible = Lens((640, 480), np.array([[500, 0, 322], [0, 505, 236], [0, 0, 1.0]]), 'plumb_bob',
                   (-0.28, 0.08, 0.001, -0.002, 0.0))
    thermal = Lens((320, 256), np.array([[300, 0, 158], [0, 300, 130], [0, 0, 1.0]]),
                   'equidistant', (-0.02, 0.01, 0.0, 0.0))
    wall = np.stack(np.meshgrid([-1.5, 0, 1.2], [-1.0, 0.1, 1.0], [5.0]), -1).reshape(-1, 3)
    shift = np.array([0.2, -0.05, 0.03])
    in_thermal = (wall - shift) @ rotation
    spots = thermal.pixels(in_thermal[:, :2] / in_thermal[:, 2:])
    expected = visible.pixels(wall[:, :2] / wall[:, 2:])
    registration = Registration(Rig(visible, thermal, rotation, shift, 5.0))
    within = [n for n, (x, y) in enumerate(spots) if 8 < x < 312 and 8 < y < 248]
    assert len(within) >= 6
    for output in ((480, 640), (240, 320)):
        for number in within:
            picture, (x, y) = np.zeros((256, 320), np.float32), spots[number] * 16
            cv2.circle(picture, (round(x), round(y)), 48, 1, -1, cv2.LINE_AA, 4)
            found = centre(registration(picture, (480, 640), output))
            place = (expected[number] + 0.5) * output[1] / 640 - 0.5
            assert found == pytest.approx(place, abs=0.6 * output[1] / 640)


def test_a_registration_that_misses_is_refused(tmp_path):
    path = write(tmp_path / 'far.yaml', 'homography: [[1, 0, 5000], [0, 1, 0], [0, 0, 1]]\n'
                                        'thermal_size: [320, 240]\nvisible_size: [640, 480]\n')
    with pytest.raises(RegistrationError, match='far.yaml.*0.0%.*calibrate'):
        Registration.load(path)
    with pytest.raises(FrameError, match='calibrate again') as caught:
        Registration(Plane(np.array([[1.0, 0, 5000], [0, 1, 0], [0, 0, 1]])))(
            np.zeros((240, 320), np.uint8), (480, 640))
    assert caught.value.cause == 'registration_misses'


def test_that_it_misses_is_found_out_once_for_a_size():
    class Counted(Plane):
        calls = 0

        def to_thermal(self, points):
            Counted.calls += 1
            return super().to_thermal(points)
    registration = Registration(Counted(np.array([[1.0, 0, 700], [0, 1, 0], [0, 0, 1]])))
    thermal, told = np.zeros((240, 320), np.uint8), []
    for size in [(480, 640)] * 3 + [(240, 320), (480, 640)]:
        with pytest.raises(FrameError, match='0.0%.*calibrate again') as caught:
            registration(thermal, size)
        told.append(f'{size[1]}x{size[0]} image' in str(caught.value))
    assert Counted.calls == 3 and all(told)  # once for each new size
    assert registration(thermal, (480, 1280)).shape == (480, 1280)  # wide enough to meet it


@pytest.mark.parametrize('thermal, visible', [(1, 1), (2, 1), (1, 0.5), (0.5, 2)])
def test_measured_sizes_scale_the_homography(tmp_path, thermal, visible):
    path = write(tmp_path / 'r.yaml', 'homography: [1.5, 0.1, 20, 0, 1.4, 10, 0.0001, 0, 1]\n'
                                      'thermal_size: [320, 240]\nvisible_size: [640, 480]\n')
    size = round(240 * thermal), round(320 * thermal)
    picture = cv2.resize(spot(150, 100), size[::-1], interpolation=cv2.INTER_LINEAR)
    result = Registration.load(path)(picture, (round(480 * visible), round(640 * visible)))
    w = 0.0001 * 150 + 1
    x, y = (1.5 * 150 + 0.1 * 100 + 20) / w, (1.4 * 100 + 10) / w
    assert centre(result) == pytest.approx(
        ((x + 0.5) * visible - 0.5, (y + 0.5) * visible - 0.5), abs=0.7)


def test_other_shapes_than_measured_are_refused(tmp_path):
    path = write(tmp_path / 'r.yaml', f'homography: {SHIFT}\nthermal_size: [320, 240]\n')
    with pytest.raises(FrameError, match='320x256.*320x240') as caught:
        Registration.load(path)(np.zeros((256, 320), np.uint8), (480, 640))
    assert caught.value.cause == 'registration_size'
