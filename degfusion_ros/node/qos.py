# SPDX-License-Identifier: Apache-2.0
"""Partners on the node's topics that DDS will never connect: named, with the remedy."""

from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    qos_check_compatible,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
)
from rclpy.topic_endpoint_info import TopicEndpointInfo
from sensor_msgs.msg import CompressedImage, Image

OWN_AFFAIR = ('/rosout', '/parameter_events')  # of rclpy


def mismatches(node: Node) -> list[str]:
    """
    Return one sentence for each partner that is there and can never be heard, or never hear us.

    Looked up anew each time: what has been put right is gone.
    """
    found = []
    for subscription in node.subscriptions:
        topic = subscription.topic_name
        if topic in OWN_AFFAIR:
            continue
        for other in node.get_publishers_info_by_topic(topic):
            found += _about_type(topic, subscription.msg_type, other)
            found += _about_qos(topic, other.qos_profile, subscription.qos_profile,
                                _name(other), incoming=True)
    for publisher in node.publishers:
        topic = publisher.topic_name
        if topic in OWN_AFFAIR:
            continue
        for other in node.get_subscriptions_info_by_topic(topic):
            found += _about_qos(topic, publisher.qos_profile, other.qos_profile,
                                _name(other), incoming=False)
    return list(dict.fromkeys(found))


def _about_type(topic: str, kind: type, other: TopicEndpointInfo) -> list[str]:
    wanted = f'{kind.__module__.split(".")[0]}/msg/{kind.__name__}'
    if other.topic_type == wanted:
        return []
    remedy = 'remap the topic'
    if {wanted, other.topic_type} == {f'sensor_msgs/msg/{k.__name__}'
                                      for k in (Image, CompressedImage)}:
        remedy = 'remap the topic or set input.*.transport'
    return [f'{topic}: {_name(other)} publishes {other.topic_type} where {wanted} is read; '
            f'{remedy}']


def _about_qos(topic: str, offered: QoSProfile, asked: QoSProfile, other: str,
               incoming: bool) -> list[str]:
    fit, reason = qos_check_compatible(offered, asked)
    if fit != QoSCompatibility.ERROR:
        return []
    who = (f'{other} publishes', 'the node asks for') if incoming else (
        'the node publishes', f'{other} asks for')
    if (offered.reliability == ReliabilityPolicy.BEST_EFFORT
            and asked.reliability == ReliabilityPolicy.RELIABLE):
        words, remedy = ('best effort', 'reliable'), (
            f'set qos_overrides.{topic}.subscription.reliability: best_effort' if incoming else
            f'set qos_overrides.{topic}.publisher.reliability: reliable')
    elif (offered.durability == DurabilityPolicy.VOLATILE
            and asked.durability == DurabilityPolicy.TRANSIENT_LOCAL):
        words, remedy = ('volatile', 'transient local'), (
            f'let {"the node" if incoming else other} subscribe with durability volatile')
    else:
        return [f'{topic}: QoS of {other} does not fit ({" ".join(reason.split())})']
    return [f'{topic}: {who[0]} {words[0]} where {who[1]} {words[1]}: nothing gets through; '
            f'{remedy}']


def _name(endpoint: TopicEndpointInfo) -> str:
    return f'{endpoint.node_namespace.rstrip("/")}/{endpoint.node_name}'
