# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
from odd_pictures import huge
import pytest
from scenes import board, errors, scene, seen_through, warp

from degfusion_ros import bags
from degfusion_ros.__main__ import main
from degfusion_ros.imaging import calibration
from degfusion_ros.imaging.geometry import Plane
from degfusion_ros.imaging.registration import Registration
from degfusion_ros.imaging.registration_file import save

SIZE = (320, 256)
BACK = warp(SIZE, SIZE, angle=1, scale=1.1, shift=(10, -5), k1=0)
PLACES = ((120, 100), (200, 100), (120, 160), (200, 160), (160, 128))


def views():
    """Return visible pictures of a board and 16-bit thermal ones with two telemetry rows."""
    for place in PLACES:
        heat = seen_through(board(SIZE, (6, 5), 14, place, 'circles', hot=True), BACK)
        telemetry = np.full((2, SIZE[0]), 65535, np.uint16)
        yield (board(SIZE, (6, 5), 14, place, 'circles'),
               np.vstack([telemetry, 20000 + 8 * heat.astype(np.uint16)]))


@pytest.fixture
def folders(tmp_path):
    for name in ('visible', 'thermal'):
        (tmp_path / name).mkdir()
    for number, (visible, heat) in enumerate(views()):
        cv2.imwrite(str(tmp_path / f'visible/{number}.png'), visible)
        cv2.imwrite(str(tmp_path / f'thermal/{number}.png'), heat)
    return tmp_path


def record(path, spoil=None):
    """Write a bag of the views; spoil: {(topic, number of the frame): raw message in its place}."""
    with bags.Writer(path) as writer:
        for number, (visible, heat) in enumerate(views()):
            stamp = 10 ** 9 + number * 10 ** 8
            colour = cv2.cvtColor(visible, cv2.COLOR_GRAY2RGB)
            for topic, array, encoding, late in (('/rgb/image', colour, 'rgb8', 0),
                                                 ('/boson/image', heat, 'mono16', 4 * 10 ** 6)):
                raw = bags.image_cdr(array, encoding, stamp + late, 'camera')
                writer.write(topic, bags.IMAGE, stamp, (spoil or {}).get((topic, number), raw))
    return path


@pytest.fixture
def bag(tmp_path):
    return record(tmp_path / 'board.mcap')


def calibrate(root, *more):
    return main(['calibrate', '--visible', str(root / 'visible'), '--thermal',
                 str(root / 'thermal'), '--output', str(root / 'out/r.yaml'), *more])


BOARD = ('--target', 'circles', '--pattern', '6x5', '--thermal-crop', '2', '0')


def check(root, capsys):
    told = capsys.readouterr().out
    assert 'residual 0.' in told and '150 points of 5 views' in told
    registration = Registration.load(root / 'out/r.yaml')
    assert errors(registration.geometry, BACK).max() < 1
    assert cv2.imread(str(root / 'out/r.png')).shape == (256, 640, 3)
    assert sorted(p.name for p in (root / 'out').iterdir()) == ['r.png', 'r.yaml']


def test_a_folder_with_a_target_gives_a_file_the_node_loads(folders, capsys):
    assert calibrate(folders, *BOARD) == 0
    check(folders, capsys)


def test_a_bag_gives_the_same(bag, tmp_path, capsys):
    assert main(['calibrate', '--bag', str(bag), '--output', str(tmp_path / 'out/r.yaml'),
                 *BOARD]) == 0
    check(tmp_path, capsys)


def test_a_bag_whose_stamps_are_apart_is_told(bag, tmp_path, capsys):
    assert main(['calibrate', '--bag', str(bag), '--output', str(tmp_path / 'r.yaml'),
                 '--max-dt-s', '0.001', *BOARD]) == 1
    assert '--max-dt-s' in capsys.readouterr().err


def odd(array, encoding, number):
    return bags.image_cdr(array, encoding, 10 ** 9 + number * 10 ** 8, 'camera')


def test_a_frame_that_cannot_be_used_is_named_and_costs_its_pair_alone(tmp_path, capsys):
    grey, dead = np.zeros(SIZE[::-1], np.uint8), np.full(SIZE[::-1], np.nan, np.float32)
    path = record(tmp_path / 'board.mcap', {
        ('/rgb/image', 1): odd(grey, 'rgb9', 1), ('/boson/image', 3): odd(dead, '32FC1', 3),
        ('/rgb/image', 4): b''})
    out = tmp_path / 'r.yaml'
    assert main(['calibrate', '--bag', str(path), '--output', str(out), *BOARD]) == 0
    told = capsys.readouterr()
    assert '60 points of 2 views' in told.out and out.exists()
    lines = sorted(told.err.splitlines())
    assert len(lines) == 3
    for line, topic, number, why in zip(
            lines, ('/boson/image', '/rgb/image', '/rgb/image'), (3, 1, 4),
            ('no finite pixel', 'rgb9', '0 bytes')):
        assert line.startswith(f'calibrate: {path}: {topic}: frame {number} is left out: ')
        assert why in line


def test_a_bag_whose_frames_are_all_bad_is_told(tmp_path, capsys):
    grey = np.zeros(SIZE[::-1], np.uint8)
    path = record(tmp_path / 'board.mcap', {
        ('/rgb/image', number): odd(grey, 'rgb9', number) for number in range(len(PLACES))})
    assert main(['calibrate', '--bag', str(path), '--output', str(tmp_path / 'r.yaml')]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 6 and f'{path}: of each of the 5 pairs' in lines[-1]
    assert not (tmp_path / 'r.yaml').exists()


def test_a_thermal_picture_without_a_finite_pixel_is_named(folders, capsys):
    file = folders / 'thermal/2.png'
    file.unlink()
    cv2.imwrite(str(file.with_suffix('.tiff')), np.full((SIZE[1] + 2, SIZE[0]), np.nan, np.float32))
    assert calibrate(folders, *BOARD) == 1
    line, = capsys.readouterr().err.splitlines()
    assert f'{file.with_suffix(".tiff")}: ' in line and 'no finite pixel' in line


def test_a_scene_gives_one_too(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for name in ('visible', 'thermal'):
        (tmp_path / name).mkdir()
    for number in range(2):
        visible, thermal = scene(rng, SIZE)
        cv2.imwrite(str(tmp_path / f'visible/{number}.png'), visible)
        cv2.imwrite(str(tmp_path / f'thermal/{number}.png'), seen_through(thermal, BACK))
    assert calibrate(tmp_path, '--no-lens') == 0
    assert 'blocks of 2 pairs' in capsys.readouterr().out
    assert errors(Registration.load(tmp_path / 'out/r.yaml').geometry, BACK).max() < 2


def test_a_registration_is_checked_on_other_pairs(tmp_path, capsys):
    rng, back = np.random.default_rng(1), warp((640, 512), (640, 512), 1, 1.05, (20, 0), 0)
    for name in ('visible', 'thermal'):
        (tmp_path / name).mkdir()
    for number in range(2):
        visible, thermal = scene(rng, (640, 512))
        cv2.imwrite(str(tmp_path / f'visible/{number}.png'), visible)
        cv2.imwrite(str(tmp_path / f'thermal/{number}.png'), seen_through(thermal, back))
    save(tmp_path / 'r.yaml', Plane(np.linalg.inv(back.homography), (640, 512), (640, 512)), 0)
    both = ['calibrate', '--visible', str(tmp_path / 'visible'),
            '--thermal', str(tmp_path / 'thermal'), '--check']
    assert main([*both, str(tmp_path / 'r.yaml')]) == 0
    assert '2 of 2 pairs tell alone: median 0.' in (told := capsys.readouterr().out)
    assert 'one after the other: 0.' in told and 'width 0' in told
    assert main(both) == 0
    assert 'width 2' in capsys.readouterr().out


@pytest.mark.parametrize('more, words', [
    (('--check',), '--output FILE.yaml, or --check'),
    (('--target', 'chess'), 'checkerboard'), (('--bag', 'x.mcap'), 'or --bag'),
    (('--frames', '0'), '--frames 0'), (('--depth-m', '-1'), '--depth-m'),
    (('--square-m', 'nan'), '--square-m'), (('--square-m', 'inf'), 'must be a length'),
    (('--square-m', '0.1', '--target', 'none'), '--target none has no spacing'),
    (('--square-m', '0.1', '--target', 'lamp'), '--target lamp has no spacing'),
    (('--depth-m', '8'), 'nothing without --square-m'),
    (('--thermal-crop', '-1', '0'), '--thermal-crop'),
    (('--output', 'r.txt'), '.yaml'), (('--output', '{root}/thermal/r.yaml'), 'would lie among')])
def test_wrong_use_is_told(folders, more, words, capsys):
    assert calibrate(folders, *(word.format(root=folders) for word in more)) == 2
    assert words in capsys.readouterr().err


def test_a_pattern_that_is_none_is_told(folders, capsys):
    with pytest.raises(SystemExit) as ended:
        calibrate(folders, '--pattern', '6')
    assert ended.value.code == 2 and '8x6' in capsys.readouterr().err


def test_no_target_in_the_pictures_is_told_and_nothing_written(folders, capsys):
    assert calibrate(folders, '--target', 'lamp') == 1
    assert 'found in both pictures of 0 of 5' in capsys.readouterr().err
    assert not (folders / 'out').exists()


def test_a_camera_of_another_size_is_told(folders, capsys):
    (folders / 'boson.yaml').write_text(
        'image_width: 640\nimage_height: 512\ncamera_matrix: [600, 0, 320, 0, 600, 256, 0, 0, 1]')
    assert calibrate(folders, '--thermal-camera', str(folders / 'boson.yaml'), *BOARD) == 1
    assert 'boson.yaml' in (told := capsys.readouterr().err) and '320x256' in told


@pytest.mark.parametrize('spoil, words', [
    (lambda path: path.write_bytes(b'no picture'), 'not a readable image'),
    (lambda path: path.write_bytes(huge()), 'not a readable image'),
    (lambda path: cv2.imwrite(str(path), np.zeros((100, 100), np.uint8)), '100x100')])
def test_a_bad_picture_is_named(folders, spoil, words, capsys):
    spoil(folders / 'visible/3.png')
    assert calibrate(folders, *BOARD) == 1
    told = capsys.readouterr().err
    assert words in told and '3' in told


def test_a_registration_that_the_node_would_refuse_replaces_none(folders, monkeypatch, capsys):
    assert calibrate(folders, *BOARD) == 0
    before = {path: path.read_bytes() for path in (folders / 'out').iterdir()}
    away = np.array([[1, 0, 5000], [0, 1, 0], [0, 0, 1.0]])
    monkeypatch.setattr(calibration, 'from_target', lambda *args, **more: calibration.Calibration(
        Plane(away, SIZE, SIZE), 0.1, 'nothing'))
    assert calibrate(folders, *BOARD) == 1
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert 'not written' in told and 'out/r.yaml: registration puts 0.0%' in told
    assert {path: path.read_bytes() for path in (folders / 'out').iterdir()} == before


def test_frames_without_a_stamp_are_paired_with_none(tmp_path, capsys):
    with bags.Writer(tmp_path / 'unstamped.mcap') as writer:
        for number, (visible, heat) in enumerate(views()):
            for topic, array, encoding in (
                    ('/rgb/image', cv2.cvtColor(visible, cv2.COLOR_GRAY2RGB), 'rgb8'),
                    ('/thermal/image', heat, 'mono16')):
                writer.write(topic, bags.IMAGE, 10 ** 9 + number * 10 ** 8,
                             bags.image_cdr(array, encoding, 0, 'camera'))
    assert main(['calibrate', '--bag', str(tmp_path / 'unstamped.mcap'), '--output',
                 str(tmp_path / 'r.yaml')]) == 1
    assert 'check the stamps' in capsys.readouterr().err and not (tmp_path / 'r.yaml').exists()
