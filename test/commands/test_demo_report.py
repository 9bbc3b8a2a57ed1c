# SPDX-License-Identifier: Apache-2.0
"""The demo's page: it stands alone, shows what there is and survives an empty flight."""

from html.parser import HTMLParser
import json
import re

import pytest

from degfusion_ros.commands.demo_report import write

EMPTY = {'passed': False, 'verdict': 'FAILED: nothing <came>', 'pairs_sent': 0, 'fused': 0,
         'further_fused': 0,
         'dropped': {}, 'rate_hz': 0.0, 'latency_ms': {'p50': 0.0, 'p99': 0.0},
         'delta_t_ms': {'mean': 0.0, 'max': 0.0}, 'degradation': [], 'start_stamp_ns': 0,
         'latencies': [], 'node': {}, 'bag': 'a & b'}
JUDGED = {'t': 1.0, 'visible': {'fog': 0.8, 'rain': 0.1}, 'thermal': {'stripe': 0.3},
          'visible_labels': ['fog'], 'thermal_labels': ['stripe']}
FULL = {**EMPTY, 'passed': True, 'verdict': 'passed', 'pairs_sent': 20, 'fused': 19,
        'dropped': {'busy': 1}, 'degradation': [JUDGED, {**JUDGED, 't': 2.0}],
        'latencies': [[0.0, 30.0], [1.9, 45.0]], 'node': {'device': 'cpu'},
        'agreement': {'labels_found': {'visible': 1.0, 'thermal': None}, 'exact': {'visible': 0.5},
                      'segments': [{'name': 'fog', 'judged': 2, 'due': {'fog': 0.8},
                                    'seen': {'visible fog': 2}}]}}
PICTURES = [(500_000_000, '00000.jpg'), (1_500_000_000, '00001.jpg')]


class Page(HTMLParser):
    """Collects tags and refuses what is not closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags = [], []
        self.feed(text)
        assert not self.open, f'unclosed {self.open}'

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ('meta', 'img', 'input'):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def page(tmp_path, summary, pictures):
    write(tmp_path / 'index.html', summary, pictures)
    text = (tmp_path / 'index.html').read_text(encoding='utf-8')
    return text, Page(text)


def test_the_page_needs_nothing_from_elsewhere(tmp_path):
    text, parsed = page(tmp_path, FULL, PICTURES)
    assert not re.search(r'(src|href)="(https?:)?//', text)
    assert [a['src'] for tag, a in parsed.tags if tag == 'img'] == ['frames/00000.jpg']


def test_frames_judgements_and_tables_are_in_it(tmp_path):
    text, parsed = page(tmp_path, FULL, PICTURES)
    frames = json.loads(re.search(r'const frames = (\[.*?\]\]),', text).group(1))
    assert frames == [[0.5, 'frames/00000.jpg'], [1.5, 'frames/00001.jpg']]
    assert 'dropped: busy' in text and 'visible fog' in text and 'thermal stripe' in text
    assert 'none due' in text and '100 %' in text
    lines = [a for tag, a in parsed.tags if tag == 'polyline']
    assert lines and all(a['stroke-dasharray'] for a in lines), "the schedule's truth is dashed"
    assert sum(tag == 'polygon' for tag, _ in parsed.tags) == 3, 'an area for each label'


def test_severities_are_drawn_to_scale(tmp_path):
    _, parsed = page(tmp_path, FULL, PICTURES)
    areas = [[tuple(map(float, p.split(','))) for p in a['points'].split()]
             for tag, a in parsed.tags if tag == 'polygon']
    heights = [points[0][1] - points[1][1] for points in areas]  # fog 0.8, rain 0.1, stripe 0.3
    assert heights[0] == pytest.approx(8 * heights[1], abs=0.5)
    assert heights[2] == pytest.approx(3 * heights[1], abs=0.5)


def test_a_camera_that_was_lost_has_no_severities_then(tmp_path):
    lost = {**JUDGED, 'thermal': {}, 'thermal_labels': ['missing']}
    for judged in ([JUDGED, {**lost, 't': 2.0}, {**JUDGED, 't': 3.0}],
                   [{**lost, 't': 0.5}, JUDGED]):
        text, parsed = page(tmp_path, {**FULL, 'degradation': judged}, PICTURES)
        assert sum(tag == 'polygon' for tag, _ in parsed.tags) == 3 and 'thermal stripe' in text
    _, parsed = page(tmp_path, {**FULL, 'degradation': [lost]}, PICTURES)
    assert sum(tag == 'polygon' for tag, _ in parsed.tags) == 2


def test_text_is_escaped_and_an_empty_flight_has_a_page(tmp_path):
    text, _ = page(tmp_path, EMPTY, [])
    assert 'a &amp; b' in text and 'nothing &lt;came&gt;' in text
