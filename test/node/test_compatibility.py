# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from rig import frame

from degfusion_ros.imaging import encodings
from degfusion_ros.node import compatibility


@pytest.mark.parametrize('encoding', sorted(compatibility.BRIDGED))
def test_cv_bridge_and_our_own_code_give_the_same_pixels(encoding):
    pytest.importorskip('cv_bridge', reason='cv_bridge comes with a ROS 2 install')
    bridge, missing = compatibility.load_bridge()
    if bridge is None:
        pytest.skip(missing)
    message = coded(encoding)
    np.testing.assert_array_equal(
        compatibility.to_visible(message, encoding, bridge),
        compatibility.to_visible(message, encoding, None))


class Bridge:
    """Notes what a bridge would have been asked to convert."""

    def __init__(self):
        self.asked = []

    def imgmsg_to_cv2(self, message, encoding):
        self.asked.append((message.encoding, encoding))
        return np.zeros((message.height, message.width, 3), np.uint8)


def coded(encoding):
    channels = compatibility.BRIDGED.get(encoding, 3)
    shape = (64, 80) if channels == 1 else (64, 80, channels)
    message = frame(np.random.default_rng(1).integers(0, 255, shape).astype(np.uint8))
    message.encoding = encoding
    return message


def test_the_bridge_is_asked_for_packed_bayer_and_yuv_alone():
    bridge = Bridge()
    for encoding in encodings.VISIBLE_ENCODINGS:
        if encodings.ENCODINGS[encoding][0] == np.uint8 and encoding in (
                *compatibility.BRIDGED, 'rgb8', 'bgr8'):
            compatibility.to_visible(coded(encoding), encoding, bridge)
    assert sorted(bridge.asked) == sorted((name, 'rgb8') for name in compatibility.BRIDGED)


def test_padded_rows_never_reach_the_bridge():
    bridge = Bridge()
    padded = np.random.default_rng(1).integers(0, 255, (64, 96)).astype(np.uint8)
    message = frame(padded, 'mono8')
    message.encoding, message.width = 'bayer_rggb8', 80
    ours = compatibility.to_visible(message, 'bayer_rggb8', bridge)
    assert not bridge.asked
    packed = frame(padded[:, :80], 'mono8')
    packed.encoding = 'bayer_rggb8'
    np.testing.assert_array_equal(
        ours, compatibility.to_visible(packed, 'bayer_rggb8', None))


def test_a_wrong_frame_is_refused_before_the_bridge_sees_it():
    bridge = Bridge()
    message = coded('yuv422')
    message.height += 1
    with pytest.raises(encodings.FrameError):
        compatibility.to_visible(message, 'yuv422', bridge)
    assert not bridge.asked


def test_what_is_missing_is_said():
    for module, missing in (compatibility.message_filters(), compatibility.load_bridge()):
        assert (module is None) == bool(missing)
