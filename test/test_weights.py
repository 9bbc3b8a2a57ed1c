# SPDX-License-Identifier: Apache-2.0
"""The shipped checkpoints, on scenes that the package renders and that it never trained on."""

from pathlib import Path

import numpy as np
import pytest

import degfusion_ros
from degfusion_ros import Fuser
from degfusion_ros.drive.scene import Scene
from degfusion_ros.drive.weather import WINDOW
from degfusion_ros.fuser import OUTPUTS
from degfusion_ros.learning import conditions

WEIGHTS = Path(degfusion_ros.__file__).parent / 'weights'


@pytest.fixture(scope='module')
def fuser() -> Fuser:
    return Fuser.load()


@pytest.fixture(scope='module')
def clean() -> tuple[np.ndarray, np.ndarray]:
    frame = Scene().render(2.0)
    low, high = WINDOW
    thermal = ((frame.thermal.astype(np.float32) - low) / (high - low)).clip(0, 1)
    return frame.visible, conditions.to_bytes(thermal)


def _bad(clean, visible=None, thermal=None) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    rgb, heat = (x.astype(np.float32) / 255 for x in clean)
    return (conditions.to_bytes(conditions.degrade_visible(rgb, visible or {}, rng)),
            conditions.to_bytes(conditions.degrade_thermal(heat, thermal or {}, rng)))


def _psnr(image: np.ndarray, truth: np.ndarray) -> float:
    error = np.mean((image.astype(np.float64) - truth) ** 2)
    return 10 * np.log10(255 ** 2 / error)


def test_every_model_has_its_card():
    models = sorted(WEIGHTS.glob('*.safetensors'))
    assert {'dgmoe', 'tg_ecnet'} <= {path.stem for path in models}
    assert all(path.with_suffix('.md').is_file() for path in models)


@pytest.mark.parametrize('visible, thermal, gain_visible_db, gain_thermal_db', [
    ({'low_light': 0.8}, {}, 4.0, None),
    ({'overexposure': 0.7}, {}, 1.0, None),
    ({'low_light': 0.6, 'noise': 0.5}, {}, 3.0, None),
    ({}, {'stripe': 0.7}, None, 2.0),
    ({}, {'noise': 0.6}, None, 3.0),
])
def test_restored_pictures_come_closer_to_the_truth(fuser, clean, visible, thermal,
                                                    gain_visible_db, gain_thermal_db):
    pair = _bad(clean, visible, thermal)
    told = fuser.refresh(*pair)
    fusion = fuser.fuse(*pair, OUTPUTS)
    assert set(visible) <= set(told.visible_labels) and set(thermal) <= set(told.thermal_labels)
    for wanted, restored, given, truth in (
            (gain_visible_db, fusion.visible, pair[0], clean[0]),
            (gain_thermal_db, fusion.thermal, pair[1], clean[1])):
        if wanted is not None:
            assert _psnr(restored, truth) - _psnr(given, truth) > wanted


def test_clean_pictures_stay_as_they_are(fuser, clean):
    fuser.refresh(*clean)
    fusion = fuser.fuse(*clean, OUTPUTS)
    assert _psnr(fusion.visible, clean[0]) > 27 and _psnr(fusion.thermal, clean[1]) > 27


def test_people_in_the_dark_show_in_the_fused_picture(fuser, clean):
    dark, heat = _bad(clean, {'low_light': 0.95, 'noise': 0.4})
    warm = heat >= np.percentile(heat, 99)
    rest = (heat < np.percentile(heat, 90)) & (heat > np.percentile(heat, 50))

    def contrast(image: np.ndarray) -> float:
        return float(image[warm].mean()) - float(image[rest].mean())
    fuser.refresh(dark, heat)
    kept = contrast(fuser.fuse(dark, heat).fused.mean(axis=2)) / contrast(heat)
    assert abs(contrast(dark.mean(axis=2))) < 0.05 * contrast(heat)     # nothing to see there
    assert kept > 1 / 3


@pytest.mark.parametrize('visible, thermal, gain_visible_db, gain_thermal_db', [
    ({'low_light': 0.8}, {}, 10.0, None),
    ({'overexposure': 0.7}, {}, 6.0, None),
    ({}, {'stripe': 0.7}, None, 3.0),
    ({}, {'noise': 0.6}, None, 2.0),
])
def test_the_second_network_restores_too(clean, visible, thermal, gain_visible_db,
                                         gain_thermal_db):
    fuser, pair = Fuser.load('tg_ecnet'), _bad(clean, visible, thermal)
    fuser.refresh(*pair)
    fusion = fuser.fuse(*pair, OUTPUTS)
    for wanted, restored, given, truth in (
            (gain_visible_db, fusion.visible, pair[0], clean[0]),
            (gain_thermal_db, fusion.thermal, pair[1], clean[1])):
        if wanted is not None:
            assert _psnr(restored, truth) - _psnr(given, truth) > wanted
