# SPDX-License-Identifier: Apache-2.0
"""
What a full ROS 2 install adds, used only where it is right; the same pixels without it.

cv_bridge ignores `step` in rows that are padded, breaks on big-endian data under NumPy 2 and
crushes 16-bit thermal contrast, so it is asked for bayer and yuv only, tightly packed.
"""

from collections.abc import Callable

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import Image

from degfusion_ros.imaging import encodings

BRIDGED = {
    'bayer_rggb8': 1, 'bayer_bggr8': 1, 'bayer_gbrg8': 1, 'bayer_grbg8': 1,
    'yuv422': 2, 'yuv422_yuy2': 2}  # encoding -> bytes a pixel


def message_filters() -> tuple[object | None, str]:
    """Return the message_filters module and '', or None and why it cannot be used."""
    try:
        import message_filters
        return message_filters, ''
    except Exception as error:  # a broken install may raise anything
        return None, f'message_filters does not import ({error})'


def load_bridge() -> tuple[object | None, str]:
    """Return a CvBridge that converts and '', or None and why cv_bridge cannot be used."""
    try:
        from cv_bridge import CvBridge
        bridge = CvBridge()
        # Without its compiled part, or with one made for another NumPy, it imports and fails.
        probe = Image(height=2, width=2, step=2, encoding='bayer_rggb8', data=[9, 9, 9, 9])
        if (bridge.imgmsg_to_cv2(probe, 'rgb8') != 9).any():
            return None, 'cv_bridge converts wrongly'
        return bridge, ''
    except Exception as error:
        return None, f'cv_bridge cannot be used ({error})'


def to_visible(message: Image, encoding: str, bridge: object | None = None) -> np.ndarray:
    """Return the frame as uint8 HxWx3 RGB; FrameError when it cannot be."""
    raw = encodings.decode(
        message.data, message.height, message.width, message.step, encoding,
        message.is_bigendian)  # also the check that step and data fit the encoding
    packed = message.step == message.width * BRIDGED.get(encoding, 0)
    if bridge is not None and packed and encoding == message.encoding:
        return np.ascontiguousarray(bridge.imgmsg_to_cv2(message, 'rgb8'))
    return encodings.to_visible(raw, encoding)


def subscribe(
        node: Node, filters: object | None, message_type: type, topic: str,
        callback: Callable, **options) -> tuple[object, Callable]:
    """
    Subscribe, through message_filters.Subscriber where there is one.

    Returns what exact and approximate synchronisers take, and a function that unsubscribes.
    """
    if filters is None:
        qos = options.pop('qos_profile')
        subscription = node.create_subscription(message_type, topic, callback, qos, **options)
        return subscription, lambda: node.destroy_subscription(subscription)
    subscriber = filters.Subscriber(node, message_type, topic, **options)
    subscriber.registerCallback(callback)
    return subscriber, lambda: node.destroy_subscription(subscriber.sub)
