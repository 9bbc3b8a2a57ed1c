# SPDX-License-Identifier: Apache-2.0
"""The RViz and Foxglove layouts show topics that the node has, and show all its pictures."""

import json
from pathlib import Path

import yaml

CONFIG = Path(__file__).parents[1] / 'config'
PICTURES = {f'/fusion_node/{name}/image'
            for name in ('fused', 'visible_restored', 'thermal_restored', 'mosaic')}


def values(tree, key):
    """Return everything that stands under a key, anywhere in it."""
    if isinstance(tree, dict):
        return [v for k, v in tree.items() if k == key] + [
            found for v in tree.values() for found in values(v, key)]
    return [found for v in tree for found in values(v, key)] if isinstance(tree, list) else []


def leaves(layout):
    if isinstance(layout, str):
        return [layout]
    return leaves(layout['first']) + leaves(layout['second'])


def test_rviz_shows_every_picture_best_effort():
    displays = yaml.safe_load((CONFIG / 'fusion.rviz').read_text())[
        'Visualization Manager']['Displays']
    topics = [display['Topic'] for display in displays]
    assert {topic['Value'] for topic in topics} == PICTURES
    assert {topic['Reliability Policy'] for topic in topics} == {'Best Effort'}


def test_foxglove_shows_every_picture_the_labels_and_the_diagnostics():
    layout = json.loads((CONFIG / 'foxglove.json').read_text())
    assert set(values(layout, 'imageTopic')) == PICTURES
    assert set(values(layout, 'topicPath')) == {
        f'/fusion_node/degradation/{name}.data' for name in ('visible', 'thermal')}
    assert values(layout, 'topicToRender') == ['/diagnostics']
    assert sorted(leaves(layout['layout'])) == sorted(layout['configById'])
