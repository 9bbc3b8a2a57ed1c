# SPDX-License-Identifier: Apache-2.0
"""What `fuse-bag` tells of a camera that is alone, and what it makes for that."""

from recorded_drive import (
    BASE,
    fuse_bag,
    image,
    INFO as VISIBLE_INFO,
    MS,
    on,
    pictures,
    stamp,
    START,
    THERMAL,
    VISIBLE,
    write,
)

from degfusion_ros import bags
from degfusion_ros.node.lonely import StandIn

INFO = THERMAL.replace('image_raw', 'camera_info')


def record(path, heats):
    """Write a bag of a thermal camera with its camera_info and a visible one that never comes."""
    with bags.Writer(path) as writer:
        writer.declare(VISIBLE, bags.IMAGE)
        for i, heat in enumerate(heats):
            at = START + i * 100 * MS
            writer.write(INFO, bags.CAMERA_INFO, at, bags.camera_info_cdr(64, 48, 80, at, 'x'))
            writer.write(THERMAL, bags.IMAGE, at, bags.image_cdr(heat, 'mono16', at, 'x'))
    return path


def test_a_thermal_camera_alone_has_a_camera_info_without_its_telemetry_rows(tmp_path, tiny_model):
    params = tmp_path / 'mine.yaml'
    source = record(tmp_path / 'in', [heat for _, heat in pictures(8, size=(128, 96))])
    params.write_text('/**:\n  ros__parameters: {thermal: {crop_top_px: 6, crop_bottom_px: 2}}\n')
    assert fuse_bag(source, tmp_path / 'out', tiny_model, '--params', params) == 0
    for name in ('fused', 'thermal_restored'):
        (_, picture), (_, info) = (on(tmp_path / 'out', f'{BASE}/{name}/{what}')[0]
                                   for what in ('image', 'camera_info'))
        assert image(picture).shape[:2] == (56, 48) == (info.height, info.width)
        assert info.k[[0, 4, 2, 5]].tolist() == [80, 80, 24, 26]
        assert info.p[[0, 5, 2, 6]].tolist() == [80, 80, 24, 26]


def test_a_camera_alone_is_stamped_by_the_clock_of_the_reference(tmp_path, tiny_model):
    params = tmp_path / 'mine.yaml'
    source = record(tmp_path / 'in', [heat for _, heat in pictures(8)])
    params.write_text('/**:\n  ros__parameters: {sync: {offset_thermal_s: 0.027}}\n')
    assert fuse_bag(source, tmp_path / 'out', tiny_model, '--params', params) == 0
    stamps = [stamp(m) for _, m in on(tmp_path / 'out', f'{BASE}/fused/image')]
    assert stamps and all((at - START) % (100 * MS) == 27 * MS for at in stamps)


def test_the_judge_is_made_a_stand_in_only_when_it_is_to_judge(tmp_path, tiny_model, monkeypatch):
    made, for_judge = [], StandIn.for_judge
    monkeypatch.setattr(StandIn, 'for_judge', lambda self, *args: (
        made.append(args) or for_judge(self, *args)))
    source = record(tmp_path / 'in', [heat for _, heat in pictures(18)])
    assert fuse_bag(source, tmp_path / 'out', tiny_model, '--outputs', 'fused') == 0
    judged = on(tmp_path / 'out', f'{BASE}/degradation/scores')
    assert len(made) == len(judged) < len(on(tmp_path / 'out', f'{BASE}/fused/image')) / 3


def test_a_camera_info_that_cannot_be_decoded_is_named_and_leaves_the_last_one(
        tmp_path, tiny_model, capsys):
    source = write(tmp_path / 'in', pairs=pictures(4), spoil={
        (VISIBLE_INFO, 0): b'', (VISIBLE_INFO, 2): b'\0\1'})
    assert fuse_bag(source, tmp_path / 'out', tiny_model, '--outputs', 'fused') == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    for line, at in zip(lines, ('1700000000.009000000', '1700000000.209000000')):
        assert VISIBLE_INFO in line and f'recorded at {at}' in line and 'cannot be decoded' in line
    assert len(on(tmp_path / 'out', f'{BASE}/fused/image')) == 4
    assert [(stamp(m), m.width) for _, m in on(tmp_path / 'out', f'{BASE}/fused/camera_info')] == [
        (START + i * 100 * MS, 96) for i in (1, 2, 3)]
