# SPDX-License-Identifier: Apache-2.0
"""`fuse-bag`: the messages that the node publishes, made without ROS."""

from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)

from degfusion_ros import bags
from degfusion_ros.imaging.camera_info import cropped_camera_info, scaled_camera_info
from degfusion_ros.stream.labels import CLEAN
from degfusion_ros.stream.presence import STREAMS

STRING, SCORES = 'std_msgs/msg/String', 'diagnostic_msgs/msg/DiagnosticArray'
PICTURES = {  # output of the fuser: (the node's name for it, encoding)
    'fused': ('fused', 'rgb8'), 'visible': ('visible_restored', 'rgb8'),
    'thermal': ('thermal_restored', 'mono8')}
_FOR_EVER = QosTime(9223372036, 854775807)
LATCHED = Qos(QosHistory.KEEP_LAST, 1, QosReliability.RELIABLE, QosDurability.TRANSIENT_LOCAL,
              _FOR_EVER, _FOR_EVER, QosLiveliness.AUTOMATIC, _FOR_EVER, False)


def topics(name: str, outputs: tuple[str, ...], informed: bool) -> dict[str, tuple]:
    """Return {topic: (type, offered QoS)} of what is added; informed: camera_info is there."""
    found = {}
    for output in outputs:
        base = f'/{name}/{PICTURES[output][0]}'
        found[f'{base}/image'] = bags.IMAGE, ()
        if informed:
            found[f'{base}/camera_info'] = bags.CAMERA_INFO, ()
    for modality in STREAMS:
        found[f'/{name}/degradation/{modality}'] = STRING, (LATCHED,)
    return found | {f'/{name}/degradation/scores': (SCORES, ())}


def camera_info(raw: bytes, shape: tuple[int, ...], header: object,
                crop: tuple[int, int, int] = (0, 0, 0)) -> bytes:
    """
    Return a recorded camera_info as that of a picture of shape (height, width, ...).

    crop: how many rows the camera's picture had left, and lost at its top and at its bottom.
    """
    info = cropped_camera_info(bags.deserialize(raw, bags.CAMERA_INFO), *crop)
    return _cdr(scaled_camera_info(info, shape[1], shape[0], header), bags.CAMERA_INFO)


def text(labels: tuple[str, ...]) -> bytes:
    """Return the active labels of a modality as a String."""
    return _cdr(bags.TYPES.types[STRING](data=','.join(labels)), STRING)


def scores(header: object, judged: dict[str, tuple[dict[str, float], tuple]]) -> bytes:
    """Return a DiagnosticArray of {modality: (severities 0..1, active labels)}."""
    pair, status = (bags.TYPES.types[f'diagnostic_msgs/msg/{name}']
                    for name in ('KeyValue', 'DiagnosticStatus'))
    statuses = [
        status(level=status.OK if labels == CLEAN else status.WARN, name=modality,
               message=','.join(labels), hardware_id='',
               values=[pair(key=key, value=f'{value:.3f}') for key, value in severities.items()])
        for modality, (severities, labels) in judged.items()]
    return _cdr(bags.TYPES.types[SCORES](header=header, status=statuses), SCORES)


def _cdr(message: object, msgtype: str) -> bytes:
    return bytes(bags.TYPES.serialize_cdr(message, msgtype))
