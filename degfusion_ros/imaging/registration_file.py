# SPDX-License-Identifier: Apache-2.0
"""Registration files: YAML that `calibrate` writes and the node reads, checked line by line."""

import math
from pathlib import Path

import numpy as np
import yaml

from degfusion_ros.files import write_whole
from degfusion_ros.imaging.geometry import Plane, Rig
from degfusion_ros.imaging.lens import Lens, MODELS

CAMERAS = ('visible_camera', 'thermal_camera')
SIZES = ('thermal_size', 'visible_size')
KEYS = ('homography', *SIZES, *CAMERAS, 'rotation', 'translation_m', 'depth_m', 'residual_px')
CAMERA_KEYS = (  # the file format of camera_calibration and camera_info_manager
    'image_width', 'image_height', 'camera_matrix', 'distortion_model', 'distortion_coefficients',
    'camera_name', 'rectification_matrix', 'projection_matrix')


class RegistrationError(ValueError):
    """A registration file that cannot be used, as one clear line."""


def load(path: str | Path) -> Plane | Rig:
    """
    Read a registration file.

    Either `homography` (3x3, thermal to visible pixel), with thermal_size and visible_size, and a
    camera whose lens is to be undistorted first; or both cameras with `rotation`, and
    translation_m and depth_m where the scene is not far. A camera is what camera_calibration
    writes. Raise RegistrationError, which names the file, what is wrong and what to do.
    """
    content = _read(path)
    unknown = [str(key) for key in content if key not in KEYS]
    if unknown:
        raise _error(path, f'has unknown keys {", ".join(unknown)}: use {", ".join(KEYS)}')
    if ('homography' in content) == ('rotation' in content):
        both = 'both' if 'homography' in content else 'no'
        raise _error(path, f'has {both} `homography` or `rotation`: give the 3x3 matrix, thermal '
                           'to visible pixel, or the rotation between two cameras')
    visible, thermal = (_lens(path, content, key) for key in CAMERAS)
    if 'homography' in content:
        sizes = [_size(path, content, key) for key in SIZES]
        for index, (lens, name) in enumerate(((thermal, SIZES[0]), (visible, SIZES[1]))):
            if lens is not None and sizes[index] not in (None, lens.size):
                raise _error(path, f'has a `{name}` that is not that of its camera: give one')
            sizes[index] = lens.size if lens is not None else sizes[index]
        return Plane(_homography(path, content['homography']), *sizes, thermal, visible)
    for key, lens in zip(CAMERAS, (visible, thermal)):
        if lens is None:
            raise _error(path, f'has a `rotation` but no `{key}`: add what camera_calibration '
                               'wrote for it')
    return Rig(visible, thermal, _rotation(path, content['rotation']),
               _numbers(path, content, 'translation_m', (3,), [0, 0, 0]), _depth(path, content))


def load_camera(path: str | Path) -> Lens:
    """Read what camera_calibration wrote for one camera; raise RegistrationError."""
    return _lens(path, {'camera': _read(path)}, 'camera')


def save(path: str | Path, geometry: Plane | Rig, residual_px: float) -> None:
    """Write a registration file, whole or not at all; raises OSError."""
    content: dict[str, object] = {}
    if isinstance(geometry, Plane):
        content['homography'] = (geometry.homography / geometry.homography[2, 2]).tolist()
        content |= {key: list(size) for key, size in zip(
            SIZES, (geometry.thermal_size, geometry.visible_size)) if size}
    else:
        content |= {'rotation': geometry.rotation.tolist(),
                    'translation_m': geometry.translation.tolist(),
                    'depth_m': float(geometry.depth)}
    for key, lens in zip(CAMERAS, (geometry.visible_lens, geometry.thermal_lens)):
        if lens is not None:
            content[key] = _camera(lens)
    content['residual_px'] = round(float(residual_px), 3)
    write_whole(Path(path), '# Registration, thermal to visible: degfusion calibrate; '
                'for registration.file of fusion_node\n'
                + yaml.safe_dump(content, sort_keys=False, default_flow_style=None))


def _read(path) -> dict:
    try:
        content = yaml.safe_load(Path(path).read_text())
    except OSError as error:
        raise _error(path, f'cannot be read ({error.strerror}): check the path') from None
    except (yaml.YAMLError, ValueError, RecursionError):    # a date that is none, say
        raise _error(path, 'is not YAML: write it as `homography: [[..], [..], [..]]`') from None
    if not isinstance(content, dict):
        raise _error(path, 'has no keys: write it with calibrate')
    return content


def _error(path, what) -> RegistrationError:
    # what the file holds may hold line breaks
    return RegistrationError(f'registration file {path} {" ".join(what.split())}')


def _numbers(path, content, key, shape, default=None, within='') -> np.ndarray:
    """Return finite numbers in a shape; as many in one row, as OpenCV writes them, will do."""
    try:
        array = np.array(content.get(key, default), dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        array = np.array(np.nan)
    if array.size == math.prod(shape) and array.ndim <= max(len(shape), 1):
        array = array.reshape(shape)
    if array.shape != shape or not np.isfinite(array).all():
        words = 'x'.join(map(str, shape))
        raise _error(path, f'has a `{key}`{within} that is not {words} finite numbers: give '
                           + ('three rows' if shape == (3, 3) else 'them in a list'))
    return array


def _homography(path, rows) -> np.ndarray:
    matrix = _numbers(path, {'homography': rows}, 'homography', (3, 3))
    if np.linalg.cond(matrix) > 1e12:
        raise _error(path, 'has a `homography` that cannot be inverted: measure it again')
    return matrix


def _rotation(path, rows) -> np.ndarray:
    matrix = _numbers(path, {'rotation': rows}, 'rotation', (3, 3))
    if np.abs(matrix @ matrix.T - np.eye(3)).max() > 1e-3 or np.linalg.det(matrix) < 0:
        raise _error(path, 'has a `rotation` that is none (R times its transpose is not 1): '
                           'measure it again')
    return matrix


def _depth(path, content) -> float:
    depth = content.get('depth_m', math.inf)
    if isinstance(depth, bool) or not isinstance(depth, (int, float)) or not depth > 0:
        raise _error(path, f'has `depth_m: {depth}`: give metres above 0, or .inf')
    return float(depth)


def _size(path, content, key) -> tuple[int, int] | None:
    value = content.get(key)
    if value is None:
        return None
    if not (isinstance(value, list) and len(value) == 2
            and all(type(side) is int and side > 0 for side in value)):
        raise _error(path, f'has `{key}: {value}`: give [width, height] in pixels')
    return value[0], value[1]


def _lens(path, content, key) -> Lens | None:
    camera = content.get(key)
    if camera is None:
        return None
    within = f' in {key}'
    if not isinstance(camera, dict):
        raise _error(path, f'has a `{key}` that is none: paste what camera_calibration wrote')
    unknown = [str(name) for name in camera if name not in CAMERA_KEYS]
    if unknown:
        raise _error(path, f'has unknown keys {", ".join(unknown)}{within}: '
                           f'use {", ".join(CAMERA_KEYS)}')
    size = _size(path, {key: [camera.get('image_width'), camera.get('image_height')]}, key)
    matrix = _numbers(path, _data(camera, 'camera_matrix'), 'camera_matrix', (3, 3), None, within)
    if min(matrix[0, 0], matrix[1, 1]) <= 0 or not np.allclose(matrix[2], (0, 0, 1)):
        raise _error(path, f'has a `camera_matrix`{within} that is none: '
                           'it is [fx, 0, cx, 0, fy, cy, 0, 0, 1] with fx and fy above 0')
    model = camera.get('distortion_model', 'plumb_bob')
    if not isinstance(model, str) or model not in MODELS:
        raise _error(path, f'has `distortion_model: {model}`{within}: use {", ".join(MODELS)}')
    given = _data(camera, 'distortion_coefficients')
    values = given.get('distortion_coefficients') or []
    if not isinstance(values, list) or len(values) not in (0, *MODELS[model]):
        raise _error(path, f'has `distortion_coefficients`{within} that {model} does not have: '
                           f'give {" or ".join(map(str, MODELS[model]))} numbers')
    values = _numbers(path, {'distortion_coefficients': values}, 'distortion_coefficients',
                      (len(values),), None, within)
    return Lens(size, matrix, model, tuple(values.tolist()))


def _data(camera, key) -> dict:
    """Take {rows, cols, data} as camera_calibration writes it, or the numbers alone."""
    value = camera.get(key)
    return {key: value.get('data') if isinstance(value, dict) else value}


def _camera(lens: Lens) -> dict:
    return {'image_width': lens.size[0], 'image_height': lens.size[1],
            'camera_matrix': {'rows': 3, 'cols': 3, 'data': lens.matrix.ravel().tolist()},
            'distortion_model': lens.model,
            'distortion_coefficients': {'rows': 1, 'cols': len(lens.distortion),
                                        'data': list(lens.distortion)}}
