# SPDX-License-Identifier: Apache-2.0
"""Pictures from files: not turned by a tag, and one line for what is none."""

import cv2
import numpy as np
from odd_pictures import huge, upside_down
import pytest

from degfusion_ros.imaging.picture_file import PictureError, read_picture, read_rgb, read_thermal


def test_no_picture_is_turned_by_its_tag(tmp_path):
    half = np.zeros((40, 60, 3), np.uint8)
    half[:20] = 255
    path = tmp_path / 'a.jpg'
    path.write_bytes(upside_down(half))
    assert cv2.imread(str(path))[5].mean() < 50, 'the tag is none'
    read = [read_rgb(path), read_thermal(path)]
    read += [read_picture(path, flag) for flag in (
        cv2.IMREAD_GRAYSCALE, cv2.IMREAD_ANYDEPTH, cv2.IMREAD_ANYCOLOR)]
    assert all(picture[5].mean() > 200 for picture in read)


def test_colours_and_depths_are_kept(tmp_path):
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 2] = 255
    cv2.imwrite(str(tmp_path / 'red.png'), red)
    assert read_rgb(tmp_path / 'red.png')[0, 0].tolist() == [255, 0, 0]
    assert read_thermal(tmp_path / 'red.png')[0, 0] == 76
    for name, kind in (('a.png', np.uint16), ('b.tiff', np.float32)):
        cv2.imwrite(str(tmp_path / name), np.full((8, 8), 300, kind))
        assert read_thermal(tmp_path / name).dtype == kind


@pytest.mark.parametrize('read', [read_rgb, read_thermal])
@pytest.mark.parametrize('data', [b'no picture', huge()])
def test_what_is_no_picture_is_one_line(tmp_path, read, data):
    path = tmp_path / 'a.png'
    path.write_bytes(data)
    with pytest.raises(PictureError, match=r'a\.png: not a readable image') as caught:
        read(path)
    assert '\n' not in str(caught.value)


def test_a_thermal_file_of_odd_samples_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.tiff'), np.zeros((8, 8, 3), np.float64))
    with pytest.raises(PictureError, match=r'a\.tiff: 3 channels of float64'):
        read_thermal(tmp_path / 'a.tiff')
