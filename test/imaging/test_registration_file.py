# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest
import yaml

from degfusion_ros.imaging.geometry import Plane, Rig
from degfusion_ros.imaging.lens import Lens
from degfusion_ros.imaging.registration_file import (
    load,
    load_camera,
    RegistrationError,
    save,
)

SHIFT = [[1, 0, 30], [0, 1, -10], [0, 0, 1]]
CAMERA = {  # as camera_calibration writes it
    'image_width': 640, 'image_height': 480, 'camera_name': 'boson',
    'camera_matrix': {'rows': 3, 'cols': 3, 'data': [500, 0, 320, 0, 500, 240, 0, 0, 1]},
    'distortion_model': 'plumb_bob',
    'distortion_coefficients': {'rows': 1, 'cols': 5, 'data': [-0.2, 0.1, 0, 0, 0]},
    'rectification_matrix': {'rows': 3, 'cols': 3, 'data': [1, 0, 0, 0, 1, 0, 0, 0, 1]},
    'projection_matrix': {'rows': 3, 'cols': 4, 'data': [0] * 12}}
RIG = {'visible_camera': CAMERA, 'thermal_camera': CAMERA, 'rotation': np.eye(3).tolist()}


def write(path, text):
    path.write_text(text if isinstance(text, str) else yaml.safe_dump(text))
    return path


def test_two_cameras_are_read(tmp_path):
    far = load(write(tmp_path / 'rig.yaml', RIG))
    assert isinstance(far, Rig) and far.depth == np.inf and far.thermal_size == (640, 480)
    assert far.thermal_lens.distortion == (-0.2, 0.1, 0, 0, 0)
    near = load(write(tmp_path / 'rig.yaml', RIG | {'translation_m': [0.1, 0, 0], 'depth_m': 8}))
    assert near.depth == 8 and near.translation.tolist() == [0.1, 0, 0]


def test_a_homography_between_undistorted_pictures_is_read(tmp_path):
    plane = load(write(tmp_path / 'r.yaml', {'homography': SHIFT, 'thermal_camera': CAMERA,
                                             'visible_size': [800, 600]}))
    assert plane.thermal_size == (640, 480) and plane.visible_size == (800, 600)
    assert plane.thermal_lens.model == 'plumb_bob' and plane.visible_lens is None


@pytest.mark.parametrize('change, words', [
    ({'rotation': SHIFT}, '`rotation` that is none'),
    ({'rotation': np.diag([1, 1, -1]).tolist()}, '`rotation` that is none'),
    ({'visible_camera': None}, 'no `visible_camera`'),
    ({'visible_camera': 'boson.yaml'}, 'camera_calibration'),
    ({'translation_m': [1, 2]}, 'translation_m'),
    ({'depth_m': 0}, 'depth_m: 0'), ({'depth_m': 'far'}, 'depth_m: far'),
    ({'depth_m': float('nan')}, 'depth_m'),
    ({'thermal_camera': CAMERA | {'image_width': 0}}, 'thermal_camera'),
    ({'thermal_camera': CAMERA | {'camera_matrix': [1, 2]}}, 'camera_matrix.*thermal_camera'),
    ({'thermal_camera': CAMERA | {'camera_matrix': [0] * 9}}, 'fx and fy above 0'),
    ({'thermal_camera': CAMERA | {'distortion_model': 'fisheye'}}, 'equidistant'),
    ({'thermal_camera': CAMERA | {'distortion_model': ['x']}}, 'equidistant'),
    ({'thermal_camera': CAMERA | {'distortion_model': 'rational_polynomial'}}, '8 numbers'),
    ({'thermal_camera': CAMERA | {'distortion_coefficients': [0, 0, 'a', 0]}}, 'finite'),
    ({'thermal_camera': CAMERA | {'focal': 3}}, 'unknown keys focal in thermal_camera'),
    ({'homography': SHIFT}, 'both'),
])
def test_bad_cameras_are_named_with_the_cause(tmp_path, change, words):
    with pytest.raises(RegistrationError, match=words) as caught:
        load(write(tmp_path / 'bad.yaml', RIG | change))
    assert 'bad.yaml' in str(caught.value) and '\n' not in str(caught.value)


def test_one_camera_is_read_as_camera_calibration_wrote_it(tmp_path):
    lens = load_camera(write(tmp_path / 'boson.yaml', CAMERA))
    assert lens.size == (640, 480) and lens.matrix[0, 0] == 500
    bare = {key: CAMERA[key] for key in ('image_width', 'image_height', 'camera_matrix')}
    assert load_camera(write(tmp_path / 'boson.yaml', bare)).distortion == ()
    with pytest.raises(RegistrationError, match='boson.yaml.*camera_matrix'):
        load_camera(write(tmp_path / 'boson.yaml', CAMERA | {'camera_matrix': None}))


def test_a_size_that_contradicts_the_camera_is_refused(tmp_path):
    with pytest.raises(RegistrationError, match='thermal_size'):
        load(write(tmp_path / 'r.yaml', {'homography': SHIFT, 'thermal_camera': CAMERA,
                                         'thermal_size': [320, 240]}))


@pytest.mark.parametrize('geometry', [
    Plane(np.array([[2, 0.1, 5], [0, 2, 7], [1e-4, 0, 2]]), (320, 256), (640, 480)),
    Plane(np.eye(3), (320, 256), (640, 480), Lens.guess((320, 256)), None),
    Rig(Lens.guess((640, 480)), Lens((320, 256), np.array(
        [[300, 0, 160.5], [0, 301, 128], [0, 0, 1]]), 'equidistant', (0.1, 0.2, 0.0, -0.1)),
        np.eye(3), np.array([0.1, 0, -0.02]), 12.5)])
def test_what_is_saved_is_loaded(tmp_path, geometry):
    path = tmp_path / 'r.yaml'
    save(path, geometry, 0.123)
    points = np.random.default_rng(0).random((50, 2)) * (640, 480)
    np.testing.assert_allclose(load(path).to_thermal(points), geometry.to_thermal(points))
    assert [p.name for p in tmp_path.iterdir()] == ['r.yaml']


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 900), st.floats(), st.text(max_size=4)),
    lambda inner: st.lists(inner, max_size=9), max_leaves=9)


@given(st.dictionaries(st.sampled_from(
    ['homography', 'thermal_size', 'rotation', 'translation_m', 'depth_m', 'residual_px']), values,
    max_size=4), st.dictionaries(st.sampled_from(sorted(CAMERA)), values, max_size=3))
@settings(max_examples=60, deadline=None)
def test_whatever_the_file_holds_is_geometry_or_one_line(tmp_path_factory, content, camera):
    path = tmp_path_factory.mktemp('r') / 'r.yaml'
    content = content | {'thermal_camera': CAMERA | camera, 'visible_camera': CAMERA}
    try:
        load(write(path, content))
    except RegistrationError as error:
        assert '\n' not in str(error)


@pytest.mark.parametrize('text, words', [
    ('homography: [[1, 0', 'not YAML'),
    ('\x00', 'not YAML'),
    ('camera_name: 2025-02-30', 'not YAML'),
    ('[' * 5000, 'not YAML'),
    (f'homography: [[{9 ** 400}, 0, 0], [0, 1, 0], [0, 0, 1]]', '3x3'),
    ('- 1', 'no keys'),
    ('', 'no keys'),
    ('matrix: 3', 'unknown keys matrix'),
    ('thermal_size: [3, 4]', 'no `homography`'),
    (f'homography: {SHIFT}\nrotation: {SHIFT}', 'both'),
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
        load(path)
    assert 'bad.yaml' in str(caught.value) and '\n' not in str(caught.value)


def test_unreadable_files_are_named(tmp_path):
    for path in (tmp_path / 'none.yaml', tmp_path):
        with pytest.raises(RegistrationError, match='cannot be read'):
            load(path)
    (tmp_path / 'binary.yaml').write_bytes(b'\xff\xfe\x80')
    with pytest.raises(RegistrationError, match='binary.yaml'):
        load(tmp_path / 'binary.yaml')
