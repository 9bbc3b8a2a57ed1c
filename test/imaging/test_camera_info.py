# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from degfusion_ros import bags
from degfusion_ros.imaging.camera_info import cropped_camera_info, scaled_camera_info

FOCAL = 100.0


def told(height, width=80, binning=0, roi=(0, 0, 0, 0)):
    """Return a camera_info of a sensor; roi: x, y, width, height."""
    raw = bags.camera_info_cdr(height, width, FOCAL, 5, 'thermal')
    info = bags.deserialize(raw, bags.CAMERA_INFO)
    info.binning_x = info.binning_y = binning
    info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = roi
    return info


def published(info, picture, crop, output=None):
    """Return focal lengths and centre, of K and of P, and the size: of (width, height) put out."""
    width, height = output or picture
    out = scaled_camera_info(cropped_camera_info(info, picture[1], *crop), width, height, None)
    assert (out.roi.y_offset, out.roi.height, out.binning_y) == (0, 0, 0)
    by_p = out.p[[0, 5, 2, 6]].tolist()
    assert out.k[[0, 4, 2, 5]].tolist() == by_p
    return by_p, (out.width, out.height)


@pytest.mark.parametrize('crop, cy', [((4, 0), 28), ((0, 4), 32), ((3, 1), 29)])
def test_rows_cut_off_move_the_centre_and_change_no_focal_length(crop, cy):
    info = told(64)
    assert published(info, (80, 60), crop) == ([FOCAL, FOCAL, 40, cy], (80, 60))
    assert published(info, (80, 60), crop, (160, 120)) == (
        [2 * FOCAL, 2 * FOCAL, 80, 2 * cy], (160, 120))
    assert (info.roi.height, info.height, info.k[5]) == (0, 64, 32)  # the original is left alone


def test_binning_and_a_region_of_interest_count_the_sensors_rows():
    # a point at pixel (u, v) of the sensor is at ((u - 20) / 2, (v - 10) / 2 - 4)
    info = told(256, 320, binning=2, roi=(20, 10, 160, 128))
    assert published(info, (80, 59), (4, 1)) == ([50, 50, 70, 55], (80, 59))
    odd = told(129, 160, binning=2)  # whose last row is in no bin
    assert published(odd, (80, 60), (4, 0)) == ([50, 50, 40, 28.25], (80, 60))


def test_one_that_speaks_of_the_picture_without_the_rows_is_left_alone():
    info = told(60)
    assert cropped_camera_info(info, 60, 4, 0) is info
    assert cropped_camera_info(told(64), 64, 0, 0).roi.height == 0


def test_an_uncalibrated_one_stays_so():
    info = told(64)
    info.k, info.p = np.zeros(9), np.zeros(12)
    assert published(info, (80, 60), (4, 0)) == ([0, 0, 0, 0], (80, 60))
