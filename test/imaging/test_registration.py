# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest

from degfusion_ros.imaging.encodings import FrameError
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
    moments = cv2.moments(picture.astype(np.float32))
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


def test_outside_the_thermal_view_is_0(tmp_path):
    path = write(tmp_path / 'r.yaml', f'homography: {SHIFT}\n')
    result = Registration.load(path)(np.ones((240, 320), np.float32), (300, 400))
    assert (result[:, :29] == 0).all() and (result[231:] == 0).all()
    assert (result[:229, 31:349] == 1).all()


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


@pytest.mark.parametrize('text, words', [
    ('homography: [[1, 0', 'not YAML'),
    ('\x00', 'not YAML'),
    ('- 1', 'no `homography`'),
    ('', 'no `homography`'),
    ('matrix: 3', 'no `homography`'),
    ('homography: [[1, 0], [0, 1]]', '3x3'),
    ('homography: [[1, 0, a], [0, 1, 0], [0, 0, 1]]', '3x3'),
    ('homography: [[1, 0, .nan], [0, 1, 0], [0, 0, 1]]', '3x3'),
    ('homography: [[1, 0], [0, 1, 0], [0, 0, 1]]', '3x3'),
    ('homography: ', '3x3'),
    ('homography: [[1, 0, 0], [1, 0, 0], [0, 0, 1]]', 'inverted'),
    (f'homography: {SHIFT}\nthermal_size: 640', 'thermal_size'),
    (f'homography: {SHIFT}\nvisible_size: [640, 0]', 'visible_size'),
    (f'homography: {SHIFT}\nvisible_size: [640, 4.5]', 'visible_size'),
    (f'homography: {SHIFT}\nvisble_size: [640, 480]', 'visble_size'),
])
def test_bad_files_are_named_with_the_cause(tmp_path, text, words):
    path = write(tmp_path / 'bad.yaml', text)
    with pytest.raises(RegistrationError, match=words) as caught:
        Registration.load(path)
    assert 'bad.yaml' in str(caught.value) and '\n' not in str(caught.value)


def test_unreadable_files_are_named(tmp_path):
    for path in (tmp_path / 'none.yaml', tmp_path):
        with pytest.raises(RegistrationError, match='cannot be read'):
            Registration.load(path)
    (tmp_path / 'binary.yaml').write_bytes(b'\xff\xfe\x80')
    with pytest.raises(RegistrationError, match='binary.yaml'):
        Registration.load(tmp_path / 'binary.yaml')
