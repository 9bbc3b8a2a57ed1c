# SPDX-License-Identifier: Apache-2.0
"""The page holds every table and its pictures, and nothing from elsewhere."""

import base64
from html.parser import HTMLParser
import re

import cv2
import numpy as np
from results_tree import build

from degfusion_ros.learning.evaluation import evaluate
from degfusion_ros.learning.report import tables
from degfusion_ros.learning.report_page import page
from degfusion_ros.learning.result_folders import Sources


def made(tmp_path, pictures=2):
    root = build(tmp_path, ('fog', 'rain'))
    told = evaluate({'<ours>': root / 'out'}, Sources(
        root / 'in', root / 'in', root / 'clean/visible', root / 'clean/thermal'))
    return told[0], page(*told, pictures)


def test_it_is_whole_html_in_one_file(tmp_path):
    report, text = made(tmp_path)
    opened = []

    class Balance(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag not in ('meta', 'img'):
                opened.append(tag)

        def handle_endtag(self, tag):
            assert opened.pop() == tag
    Balance().feed(text)
    assert not opened and '<ours>' not in text and '&lt;ours&gt;' in text
    assert all(table.title.replace("'", '&#x27;') in text for table in tables(report))
    assert not re.search(r'(src|href)="(?!data:)', text)


def test_a_strip_has_inputs_clean_sources_and_results(tmp_path):
    _, text = made(tmp_path, pictures=2)
    # two conditions of two scenes: both inputs, the clean visible (the thermal is as it was),
    # the fused and both restored images
    found = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', text)
    assert len(found) == 2 * 2 * 6
    image = cv2.imdecode(np.frombuffer(base64.b64decode(found[0]), np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (60, 72, 3)


def test_pictures_can_be_left_out(tmp_path):
    assert '<img' not in made(tmp_path, pictures=0)[1]
