# SPDX-License-Identifier: Apache-2.0
"""The drive as a bag: topics, stamps, pictures, and a cache that knows when it is stale."""

import ast
from pathlib import Path

import numpy as np
import pytest

from degfusion_ros import bags
from degfusion_ros.drive import recording
from degfusion_ros.drive.scene import Scene
from degfusion_ros.drive.schedule import Segment

SHORT = (Segment('clear', 0.0, 0.2), Segment('night', 0.2, 0.5, visible={'low_light': 0.9}))


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    path = tmp_path_factory.mktemp('drive') / 'short.mcap'
    told = []
    recording.write_bag(path, SHORT, workers=0, on_frame=lambda *n: told.append(n))
    assert told == [(i, 5) for i in range(1, 6)]
    return path


def test_topics_and_their_types(bag):
    assert bags.topics(bag) == {
        '/visible/image_raw': bags.IMAGE, '/thermal/image_raw': bags.IMAGE,
        '/visible/camera_info': bags.CAMERA_INFO, '/thermal/camera_info': bags.CAMERA_INFO}
    assert bags.image_topics(bag) == ('/visible/image_raw', '/thermal/image_raw')


def test_pictures_are_those_of_the_scene(bag):
    raw = next(bags.read(bag, ['/visible/image_raw'])).raw
    image = bags.deserialize(raw, bags.IMAGE)
    assert image.encoding == 'rgb8' and image.header.frame_id == 'visible_camera_optical_frame'
    clear = Scene().render(0.0)
    assert np.array_equal(image.data.reshape(512, 640, 3), clear.visible)
    heat = bags.deserialize(next(bags.read(bag, ['/thermal/image_raw'])).raw, bags.IMAGE)
    assert heat.encoding == 'mono16'
    assert np.array_equal(heat.data.view(np.uint16).reshape(512, 640), clear.thermal)


def test_stamps_are_10_hz_with_the_thermal_clock_4_ms_off(bag):
    stamps = {t: [bags.stamp_ns(m.raw) for m in bags.read(bag, [t])]
              for t in ('/visible/image_raw', '/thermal/image_raw')}
    visible, thermal = (np.array(s) for s in stamps.values())
    assert len(visible) == len(thermal) == 5
    assert np.abs(np.diff(visible) - 1e8).max() < 2e6 and len(set(np.diff(visible))) > 1
    assert (np.abs(thermal - visible - 4_000_000) < 2_000_000).all()
    assert recording.stamp_to_time(int(visible[3])) == pytest.approx(0.3, abs=1e-3)


def test_camera_info_carries_its_image_s_stamp(bag):
    messages = list(bags.read(bag, ['/visible/image_raw', '/visible/camera_info']))
    stamps = [bags.stamp_ns(m.raw) for m in messages]
    assert stamps[0::2] == stamps[1::2]
    info = bags.deserialize(messages[1].raw, bags.CAMERA_INFO)
    assert (info.width, info.height, info.k[0]) == (640, 512, 560.0)


def test_several_processes_draw_the_same(bag, tmp_path):
    recording.write_bag(tmp_path / 'two.mcap', SHORT, workers=2)
    pairs = zip(bags.read(bag), bags.read(tmp_path / 'two.mcap'), strict=True)
    assert all(one == other for one, other in pairs)


def test_all_that_the_weather_is_drawn_by_tells_one_drive_from_another():
    told = {module.__name__ for module in recording.WEATHER}
    for module in recording.WEATHER:
        tree = ast.parse(Path(module.__file__).read_text())
        assert {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
                and node.module.startswith('degfusion_ros.')} <= told


def test_the_cache_is_drawn_once_and_drawn_anew_when_the_code_changes(tmp_path, monkeypatch):
    drawn = []

    def draw(path, on_frame=None):
        drawn.append(path)
        path.write_text('')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    monkeypatch.setattr(recording, 'write_bag', draw)
    first = recording.cached()
    assert recording.cached() == first and drawn == [first]
    monkeypatch.setattr(recording, '_digest', lambda: 'other')
    assert recording.cached() != first and len(drawn) == 2
    assert not first.exists(), 'bags of older drives must not pile up'
