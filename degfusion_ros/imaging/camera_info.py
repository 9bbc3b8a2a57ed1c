# SPDX-License-Identifier: Apache-2.0
"""The calibration of a picture of another size, or of fewer rows."""

import copy


def cropped_camera_info(info: object, height: int, top: int, bottom: int) -> object:
    """
    Return the calibration of a picture that had `top` and `bottom` rows cut off, `height` is left.

    The rows left become its region of interest. An `info` that does not speak of a picture of all
    those rows comes back as it is: drivers that tell of the picture without its telemetry. `info`
    is a sensor_msgs/CameraInfo of any library and is left alone.
    """
    binning = max(1, info.binning_y)  # the region of interest counts the sensor's own rows
    rows = (info.roi.height or info.height) // binning
    if not (top or bottom) or rows != top + height + bottom or not info.k[0]:  # 0: uncalibrated
        return info
    out = copy.deepcopy(info)
    out.roi.y_offset += top * binning
    out.roi.height = height * binning
    out.roi.width = info.roi.width or info.width
    return out


def scaled_camera_info(
        info: object, width: int, height: int, header: object) -> object:
    """
    Return the calibration of an image resized to `width` x `height` pixels.

    Binning and the region of interest are worked into K and P, so that what comes back
    describes a plain full image, as image_proc's resize does. `info` is a
    sensor_msgs/CameraInfo of any library, `header` what its header becomes.
    """
    out = copy.deepcopy(info)
    out.header = header
    roi = info.roi
    full_width, full_height = roi.width or info.width, roi.height or info.height
    if not (full_width and full_height):  # the camera is not calibrated and says nothing
        out.width, out.height = width, height
        return out
    x, y = width / full_width, height / full_height
    out.k[2] -= roi.x_offset
    out.k[5] -= roi.y_offset
    out.p[2] -= roi.x_offset
    out.p[6] -= roi.y_offset
    out.k[:3] *= x
    out.k[3:6] *= y
    out.p[:4] *= x
    out.p[4:8] *= y
    out.width, out.height = width, height
    out.binning_x = out.binning_y = 0
    out.roi.x_offset = out.roi.y_offset = out.roi.width = out.roi.height = 0
    out.roi.do_rectify = False
    return out
