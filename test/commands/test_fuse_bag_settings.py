# SPDX-License-Identifier: Apache-2.0
"""`fuse-bag --params`: the node's parameter file, as the node would take it."""

import argparse
from pathlib import Path

import numpy as np
import pytest
from recorded_drive import BASE, fuse_bag, image, MS, on, pictures, stamp, START, write

from degfusion_ros import bags
from degfusion_ros.commands import fuse_bag_settings, parameter_file
from degfusion_ros.commands.fuse_bag_settings import OPTIONS
from degfusion_ros.commands.parameter_file import SettingsError
from degfusion_ros.fuser import Fuser
from degfusion_ros.imaging.registration import resized
from degfusion_ros.imaging.thermal import ThermalScaler
from degfusion_ros.node.parameters import DEFAULTS

SHIPPED = Path(__file__).parents[2] / 'config' / 'fusion.yaml'


def settings(file=None, **options):
    given = dict.fromkeys((*OPTIONS, 'refresh')) | {'name': 'fusion_node'} | options
    return fuse_bag_settings.settings(argparse.Namespace(params=file, **given))


def test_the_shipped_file_and_none_at_all_are_the_nodes_defaults(capsys):
    assert settings() == settings(SHIPPED) == DEFAULTS
    assert not capsys.readouterr().err


@pytest.mark.parametrize('table', ['/**', 'fusion_node', '/fusion_node', '/front/fusion_node',
                                   '/**/fusion_node', '/*'])
def test_tables_meant_for_the_node_are_read_and_options_go_before_them(tmp_path, table, capsys):
    file = tmp_path / 'mine.yaml'
    file.write_text(f'detector:\n  ros__parameters: {{thermal: {{invert: true}}}}\n{table}:\n'
                    '  ros__parameters:\n    use_sim_time: true\n'
                    '    sync: {max_dt_s: 1, hold_s: 2}\n'
                    '    thermal.crop_top_px: 3\n    thermal: {window: [1, 2]}\n    nonsense: 1\n')
    found = settings(file, max_dt=0.25, refresh=0.2, registration=Path('a.yaml'))
    expected = settings() | {
        'sync.max_dt_s': 0.25, 'sync.hold_s': 2.0, 'thermal.crop_top_px': 3,
        'thermal.window': [1.0, 2.0], 'degradation.rate_hz': 5.0, 'registration.file': 'a.yaml'}
    assert found == expected
    told = capsys.readouterr().err
    assert told == f'fuse-bag: {file}: parameter nonsense is unknown and without effect\n'


@pytest.mark.parametrize('text, why', [
    ('/**:\n  ros__parameters: {sync: {max_dt_s: 9}}', r'sync\.max_dt_s must be .*5\.0 s, not 9'),
    ('/**:\n  ros__parameters: {thermal: {invert: 3}}', 'true or false'),
    ('detector:\n  ros__parameters: {}', 'no parameters of fusion_node'), ('[1', 'not YAML'),
    ('/**:\n  ros__parameters: {a: 2025-02-30}', 'not YAML'),
    ('just words', 'no parameters'), ('/**:\n  ros__parameters: 3', 'no parameters')])
def test_a_file_that_cannot_be_used_is_told_in_one_line(tmp_path, text, why):
    (tmp_path / 'mine.yaml').write_text(text)
    with pytest.raises(SettingsError, match=f'mine.yaml: .*{why}' if why != 'not YAML' else why):
        settings(tmp_path / 'mine.yaml')


TWO = ('/**:\n  ros__parameters: {sync.hold_s: 1}\n'
       '/front/fusion_node:\n  ros__parameters: {sync.wait_s: 0.2}\n'
       '/rear/fusion_node:\n  ros__parameters: {sync.wait_s: 0.3}\n')


@pytest.mark.parametrize('name, wait_s', [('front/fusion_node', 0.2), ('rear/fusion_node', 0.3),
                                          ('left/fusion_node', 0.15)])
def test_of_several_nodes_the_one_named_is_meant(tmp_path, name, wait_s):
    (tmp_path / 'mine.yaml').write_text(TWO)
    found = settings(tmp_path / 'mine.yaml', name=name)
    assert (found['sync.wait_s'], found['sync.hold_s']) == (wait_s, 1.0)


def test_of_several_nodes_none_is_guessed(tmp_path):
    (tmp_path / 'mine.yaml').write_text(TWO)
    with pytest.raises(SettingsError, match='nodes .*/front/fusion_node, /rear/fusion_node'):
        settings(tmp_path / 'mine.yaml')


@pytest.mark.parametrize('first', [0, 1])
def test_a_table_of_the_very_node_is_meant_alone(tmp_path, first):
    tables = ('/fusion_node:\n  ros__parameters: {sync.wait_s: 0.2}\n',
              '/rear/fusion_node:\n  ros__parameters: {sync: {wait_s: 0.3, reference: thermal}}\n')
    (tmp_path / 'mine.yaml').write_text(tables[first] + tables[1 - first])
    found = settings(tmp_path / 'mine.yaml')
    assert (found['sync.wait_s'], found['sync.reference']) == (0.2, 'visible')


def test_wildcards_of_other_namespaces_are_others(tmp_path):
    (tmp_path / 'mine.yaml').write_text(
        '/camera/*:\n  ros__parameters: {sync.wait_s: 0.3}\n/lidar/**:\n  ros__parameters: {a: 1}\n'
        '/**:\n  ros__parameters: {sync.wait_s: 0.2}\n')
    assert settings(tmp_path / 'mine.yaml')['sync.wait_s'] == 0.2


def test_a_full_name_means_no_other_namespace(tmp_path):
    (tmp_path / 'mine.yaml').write_text(
        '/front/fusion_node:\n  ros__parameters: {sync.wait_s: 1}\n')
    with pytest.raises(SettingsError, match='has no parameters of /fusion_node'):
        parameter_file.read(tmp_path / 'mine.yaml', '/fusion_node', 'demo')


@pytest.mark.parametrize('table, name, meant', [
    ('/*/fusion_node', 'front/fusion_node', True), ('/**/fusion_node', 'a/b/fusion_node', True),
    ('/*/fusion_node', 'a/b/fusion_node', False), ('/front/**', 'front/fusion_node', True),
    ('/rear/**', 'front/fusion_node', False), ('/front/*', 'front/fusion_node', True),
    ('fusion_node', 'front/fusion_node', False),
    ('/front/fusion.node', 'front/fusion_node', False)])
def test_wildcards_are_those_of_ros(tmp_path, table, name, meant):
    (tmp_path / 'mine.yaml').write_text(f'{table}:\n  ros__parameters: {{sync.wait_s: 0.2}}\n')
    if meant:
        assert settings(tmp_path / 'mine.yaml', name=name)['sync.wait_s'] == 0.2
        return
    with pytest.raises(SettingsError, match=f'has no parameters of {name}'):
        settings(tmp_path / 'mine.yaml', name=name)


def test_a_bag_is_fused_as_the_file_says(tmp_path, tiny_model, capsys):
    pairs = pictures(3, size=(96, 128))
    source, file = write(tmp_path / 'in', pairs=pairs), tmp_path / 'mine.yaml'
    file.write_text(
        'fusion_node:\n  ros__parameters:\n    sync: {reference: thermal, offset_thermal_s: 0.02}\n'
        '    thermal: {crop_top_px: 4, crop_bottom_px: 2, invert: true, window: [7000, 9000]}\n'
        '    output: {size: 112x80, colour: bgr8}\n    input: {visible: {encoding: bgr8}}\n'
        '    degradation: {rate_hz: 0, smoothing: 0}\n')
    assert fuse_bag(source, tmp_path / 'out', tiny_model, '--params', file) == 0
    fuser = Fuser.load(tiny_model, 'cpu', 'float32', 'torch')
    scaler = ThermalScaler((7000, 9000), crop_top=4, crop_bottom=2, invert=True)
    fused = on(tmp_path / 'out', f'{BASE}/fused/image')
    restored = on(tmp_path / 'out', f'{BASE}/visible_restored/image')
    assert len(on(tmp_path / 'out', f'{BASE}/degradation/scores')) == 1     # the first pair alone
    for i, (colour, heat) in enumerate(pairs):
        pair = resized(colour[..., ::-1], (80, 112)), resized(scaler(heat), (80, 112))
        if i == 0:
            fuser.refresh(*pair)
        wanted = fuser.fuse(*pair, ('fused', 'visible', 'thermal'))
        (_, first), (_, second) = fused[i], restored[i]
        assert (first.encoding, first.header.frame_id) == ('bgr8', 'rgb_optical')
        assert stamp(first) == stamp(second) == START + (i * 100 + 4) * MS  # thermal's own
        assert np.array_equal(image(first), wanted.fused[..., ::-1])
        assert np.array_equal(image(second), wanted.visible)
    infos = on(tmp_path / 'out', f'{BASE}/fused/camera_info')
    assert [(info.width, info.height) for _, info in infos] == [(112, 80)] * 3
    assert [stamp(info) for _, info in infos] == [stamp(m) for _, m in fused]


def test_a_crop_that_leaves_nothing_is_named_with_every_frame(tmp_path, tiny_model, capsys):
    source, file = write(tmp_path / 'in', pairs=pictures(2)), tmp_path / 'mine.yaml'
    file.write_text('/**:\n  ros__parameters: {thermal: {crop_top_px: 32}}\n')
    assert fuse_bag(source, tmp_path / 'out', tiny_model, '--params', file) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and all('none left after cropping 32' in line for line in lines)
    assert bags.topics(tmp_path / 'out').keys() > bags.topics(source).keys()
