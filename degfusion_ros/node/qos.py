# SPDX-License-Identifier: Apache-2.0
"""Partners on the node's topics that DDS will never connect: named, with the remedy."""

from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    qos_check_compatible,
    QoSCompatibility,
    ReliabilityPolicy,
)
from rclpy.topic_endpoint_info import TopicEndpointInfo

IMAGES = {'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'}


def mismatches(node: Node) -> list[str]:
    """
    Return one sentence for each partner that is there and can never be heard, or never hear us.

    Looked up anew each time: what has been put right is gone.
    """
    found = []
    for topic in dict.fromkeys(subscription.topic_name for subscription in node.subscriptions):
        own = _own(node, node.get_subscriptions_info_by_topic(topic))
        for other in node.get_publishers_info_by_topic(topic):
            found += _least([_about_type(mine, other, topic)
                             + _about_qos(other, mine, topic, incoming=True) for mine in own])
    for topic in dict.fromkeys(publisher.topic_name for publisher in node.publishers):
        own = _own(node, node.get_publishers_info_by_topic(topic))
        for other in node.get_subscriptions_info_by_topic(topic):
            found += _least([_about_qos(mine, other, topic, incoming=False) for mine in own])
    return list(dict.fromkeys(found))


def _own(node: Node, endpoints: list[TopicEndpointInfo]) -> list[TopicEndpointInfo]:
    # As the graph shows it: in a profile made here what is left to DDS reads otherwise.
    mine = (node.get_name(), node.get_namespace())
    return [e for e in endpoints if (e.node_name, e.node_namespace) == mine]


def _least(told: list[list[str]]) -> list[str]:
    # A camera_info may be subscribed to twice (inputs): whom one of both hears is heard.
    return min(told, key=len, default=[])


def _about_type(own: TopicEndpointInfo, other: TopicEndpointInfo, topic: str) -> list[str]:
    if other.topic_type == own.topic_type:
        return []
    remedy = 'remap the topic'
    if {own.topic_type, other.topic_type} == IMAGES:
        remedy = 'remap the topic or set input.*.transport'
    return [f'{topic}: {_name(other)} publishes {other.topic_type} where {own.topic_type} is '
            f'read; {remedy}']


def _about_qos(sender: TopicEndpointInfo, reader: TopicEndpointInfo, topic: str,
               incoming: bool) -> list[str]:
    offered, asked = sender.qos_profile, reader.qos_profile
    fit, reason = qos_check_compatible(offered, asked)
    if fit != QoSCompatibility.ERROR:
        return []
    other = _name(sender if incoming else reader)
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
