# SPDX-License-Identifier: Apache-2.0
from diagnostic_msgs.msg import DiagnosticStatus
import numpy as np
import pytest
from rig import camera_info, header

from degfusion_ros.imaging import encodings
from degfusion_ros.imaging.compressed import decode_compressed
from degfusion_ros.node import messages


@pytest.mark.parametrize('shape, encoding', [((5, 7, 3), 'rgb8'), ((5, 7), 'mono8')])
def test_image_holds_the_pixels(shape, encoding):
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    for given in (array, np.asfortranarray(array), np.repeat(array, 2, axis=1)[:, ::2]):
        message = messages.image(given, encoding, header(5))
        assert (message.height, message.width, message.encoding) == (5, 7, encoding)
        assert message.step == array[0].nbytes and message.header.stamp.nanosec == 5
        assert bytes(message.data) == array.tobytes()


@pytest.mark.parametrize('by_ns, wanted', [
    (0, (2, 5)), (-6, (1, 999_999_999)), (1_999_999_995, (4, 0)), (-9_000_000_000, (0, 1)),
    (2 ** 62, (2 ** 31 - 1, 999_999_999))])
def test_a_shifted_header_is_another_one_unless_it_is_the_same(by_ns, wanted):
    given = header(2_000_000_005, 'thermal')
    found = messages.shifted(given, by_ns)
    assert (found.stamp.sec, found.stamp.nanosec) == wanted and found.frame_id == 'thermal'
    assert messages.stamp_ns(given) == 2_000_000_005


@pytest.mark.parametrize('encoding', ['rgb8', 'bgr8', 'mono8'])
def test_a_jpeg_is_read_as_the_picture_it_was(encoding):
    colour = encoding != 'mono8'
    array = np.zeros((32, 48, 3) if colour else (32, 48), np.uint8)
    array[:, 24:] = (220, 120, 40) if colour else 180
    message = messages.compressed(array, encoding, header(5), 95)
    assert message.header.stamp.nanosec == 5
    assert message.format == f'{encoding}; jpeg compressed {"bgr8" if colour else ""}'
    found, name = decode_compressed(message.data, message.format)
    wanted = encodings.to_visible(array, encoding) if colour else array
    found = encodings.to_visible(found, name) if colour else found
    away = np.s_[:, [4, 12, 36, 44]]       # from the edge, whose colour a JPEG smears
    assert np.abs(found.astype(int)[away] - wanted[away]).max() < 6
    small = messages.compressed(array, encoding, header(5), 20)
    assert len(small.data) < len(message.data)


def test_camera_info_follows_the_output_size():
    info = camera_info(width=640, height=480)
    out = messages.scaled_camera_info(info, 320, 120, header(9, 'there'))
    assert (out.width, out.height, out.header.frame_id) == (320, 120, 'there')
    assert out.k.tolist() == [50, 0, 160, 0, 27.5, 60, 0, 0, 1]
    assert out.p.tolist() == [50, 0, 160, 3.5, 0, 27.5, 60, 0, 0, 0, 1, 0]
    assert info.k[0] == 100 and info.width == 640  # the original is left alone


def test_camera_info_of_a_binned_region_becomes_that_of_a_plain_image():
    info = camera_info(width=640, height=480)
    info.binning_x = info.binning_y = 2
    info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = 20, 40, 400, 200
    out = messages.scaled_camera_info(info, 200, 100, header(1))
    # a point at pixel (u, v) of the full sensor is at ((u - 20) / 2, (v - 40) / 2)
    assert out.k.tolist() == [50, 0, 150, 0, 55, 100, 0, 0, 1]
    assert out.binning_x == 0 and out.roi.width == 0 and (out.width, out.height) == (200, 100)


def test_camera_info_of_an_uncalibrated_camera_only_gets_the_size():
    info = messages.scaled_camera_info(camera_info(0, 0), 32, 16, header(1))
    assert (info.width, info.height, info.k[0]) == (32, 16, 100)


def test_scores_name_modality_labels_and_severities():
    message = messages.scores(header(7), {
        'visible': ({'fog': 0.51234, 'rain': 0.0}, ('fog',)),
        'thermal': ({'stripe': 0.1}, ('clean',))})
    visible, thermal = message.status
    assert (visible.name, visible.message, visible.level) == ('visible', 'fog',
                                                              DiagnosticStatus.WARN)
    assert {v.key: float(v.value) for v in visible.values} == {'fog': 0.512, 'rain': 0.0}
    assert thermal.level == DiagnosticStatus.OK and message.header.stamp.nanosec == 7
