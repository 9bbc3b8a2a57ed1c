# SPDX-License-Identifier: Apache-2.0
"""What `fuse-bag` tells of a camera that is alone."""

from recorded_drive import BASE, fuse_bag, image, MS, on, pictures, START, THERMAL, VISIBLE

from degfusion_ros import bags


def test_a_thermal_camera_alone_has_a_camera_info_without_its_telemetry_rows(tmp_path, tiny_model):
    params, topic = tmp_path / 'mine.yaml', THERMAL.replace('image_raw', 'camera_info')
    params.write_text('/**:\n  ros__parameters: {thermal: {crop_top_px: 6, crop_bottom_px: 2}}\n')
    with bags.Writer(tmp_path / 'in') as writer:
        writer.declare(VISIBLE, bags.IMAGE)
        for i, (_, heat) in enumerate(pictures(8, size=(128, 96))):
            at = START + i * 100 * MS
            writer.write(topic, bags.CAMERA_INFO, at, bags.camera_info_cdr(64, 48, 80, at, 'x'))
            writer.write(THERMAL, bags.IMAGE, at, bags.image_cdr(heat, 'mono16', at, 'x'))
    assert fuse_bag(tmp_path / 'in', tmp_path / 'out', tiny_model, '--params', params) == 0
    for name in ('fused', 'thermal_restored'):
        (_, picture), (_, info) = (on(tmp_path / 'out', f'{BASE}/{name}/{what}')[0]
                                   for what in ('image', 'camera_info'))
        assert image(picture).shape[:2] == (56, 48) == (info.height, info.width)
        assert info.k[[0, 4, 2, 5]].tolist() == [80, 80, 24, 26]
        assert info.p[[0, 5, 2, 6]].tolist() == [80, 80, 24, 26]
