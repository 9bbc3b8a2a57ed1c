# SPDX-License-Identifier: Apache-2.0
"""`fuse` on folders, and `train`'s refusals, through the real command line."""

import itertools
import json

import cv2
import numpy as np
from odd_pictures import huge
import pytest

from degfusion_ros.__main__ import main
from degfusion_ros.commands.fuse import read_pair
from degfusion_ros.fuser import Fuser, OUTPUTS
from degfusion_ros.imaging.geometry import Plane
from degfusion_ros.imaging.picture_file import PictureError
from degfusion_ros.imaging.registration import Registration
from degfusion_ros.imaging.registration_file import save
from degfusion_ros.models import recorded


def _fuse(root, output, model, *more) -> int:
    street = root / 'street'
    return main(['fuse', '--visible', str(street / 'visible'), '--thermal',
                 str(street / 'thermal'), '--output', str(output), '--model', str(model),
                 '--device', 'cpu', '--precision', 'float32', *more])


def test_every_pair_gets_three_pictures_and_a_line(pair_root, tmp_path, any_model):
    assert _fuse(pair_root, tmp_path / 'out', any_model) == 0
    stems = {f'{i:03}' for i in range(12)}
    for side, channels in (('fused', 3), ('visible', 3), ('thermal', None)):
        files = {p.stem: p for p in (tmp_path / 'out' / side).iterdir()}
        assert set(files) == stems
        image = cv2.imread(str(files['000']), cv2.IMREAD_UNCHANGED)
        assert image.shape == ((160, 200, channels) if channels else (160, 200))
    lines = (tmp_path / 'out/degradation.jsonl').read_text().splitlines()
    told = [json.loads(line) for line in lines]
    assert {t['name'] for t in told} == stems
    assert set(told[0]['visible']) == {'fog', 'low_light', 'overexposure', 'rain', 'noise', 'blur'}
    assert not list((tmp_path / 'out').rglob('*.part'))


def test_debug_shows_every_stage_of_a_pair(pair_root, tmp_path, tiny_model):
    assert _fuse(pair_root, tmp_path / 'out', tiny_model, '--debug') == 0
    folder = tmp_path / 'out/debug/003'
    made = {p.stem: cv2.imread(str(p), cv2.IMREAD_UNCHANGED) for p in folder.iterdir()}
    assert set(made) == {'transmission', 'air_light', 'exposed', 'dehazed', 'brightened',
                         'derained', 'sharpened'}
    assert all(image.shape[:2] == (160, 200) for image in made.values())
    assert made['transmission'].ndim == 2 and made['air_light'].std(axis=(0, 1)).max() == 0
    # a fresh network changes nothing on the way: what is shown is the pair itself, in its colours
    for name, side in (('dehazed', 'visible'), ('sharpened', 'thermal')):
        image = cv2.imread(str(next((pair_root / 'street' / side).glob('003.*'))),
                           cv2.IMREAD_COLOR if side == 'visible' else cv2.IMREAD_GRAYSCALE)
        assert np.abs(made[name].astype(int) - image).mean() < 12


def test_a_model_without_stages_says_so(pair_root, tmp_path, tiny_tg_ecnet, capsys):
    assert _fuse(pair_root, tmp_path / 'out', tiny_tg_ecnet, '--debug') == 0
    assert 'makes no pictures on the way' in capsys.readouterr().err
    assert not (tmp_path / 'out/debug').exists()


def test_smoothing_joins_the_frames_of_a_video(pair_root, tmp_path, tiny_model, capsys):
    for name, share in (('alone', '0'), ('joined', '0.9')):
        assert _fuse(pair_root, tmp_path / name, tiny_model, '--smoothing', share) == 0
    last = [cv2.imread(str(tmp_path / name / 'fused/011.png')) for name in ('alone', 'joined')]
    assert (last[0] != last[1]).any()
    with pytest.raises(SystemExit) as ended:
        _fuse(pair_root, tmp_path / 'refused', tiny_model, '--smoothing', '1.5')
    assert ended.value.code == 2 and '1.5: give 0' in capsys.readouterr().err


def test_a_bad_pair_is_named_and_costs_no_other(pair_root, tmp_path, tiny_model, capsys):
    (pair_root / 'street/visible/005.png').write_bytes(b'no image at all')
    assert _fuse(pair_root, tmp_path / 'out', tiny_model) == 1
    assert '005.png' in ''.join(capsys.readouterr())
    assert len(list((tmp_path / 'out/fused').iterdir())) == 11


def test_a_pair_that_finds_no_memory_costs_no_other(pair_root, tmp_path, tiny_model, capsys,
                                                    monkeypatch):
    errors = {3: MemoryError(), 5: cv2.error('Insufficient memory: Failed to allocate'),
              7: RuntimeError("can't allocate memory")}
    fuse, calls = Fuser.fuse, itertools.count()

    def short(*given):
        if (call := next(calls)) in errors:
            raise errors[call]
        return fuse(*given)
    monkeypatch.setattr(Fuser, 'fuse', short)
    assert _fuse(pair_root, tmp_path / 'out', tiny_model) == 1
    assert capsys.readouterr().err.splitlines() == [
        'fuse: 003: out of memory; give smaller pictures',
        'fuse: 005: Insufficient memory: Failed to allocate', "fuse: 007: can't allocate memory"]
    assert len((tmp_path / 'out/degradation.jsonl').read_text().splitlines()) == 9


def test_a_pair_makes_the_same_picture_however_many_came_before(pair_root, tmp_path, tiny_model,
                                                                monkeypatch):
    monkeypatch.setattr(recorded, 'MANY', 2)
    monkeypatch.setattr('degfusion_ros.fuser.Compiler', lambda *_: pytest.fail(
        'compiled: its frames differ from those before by roundings'))
    for side in ('visible', 'thermal'):
        first, *others = sorted((pair_root / 'street' / side).iterdir())
        for path in others:
            path.write_bytes(first.read_bytes())
    assert _fuse(pair_root, tmp_path / 'out', tiny_model) == 0
    for side in OUTPUTS:
        assert len({path.read_bytes() for path in (tmp_path / 'out' / side).iterdir()}) == 1


def test_16_bit_thermal_of_another_size_is_taken(pair_root, tmp_path, tiny_model):
    for path in (pair_root / 'street/thermal').iterdir():
        raw = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).astype(np.uint16) * 16 + 20000
        cv2.imwrite(str(path.with_suffix('.png')), cv2.resize(raw, (100, 80)))
        path.unlink()
    assert _fuse(pair_root, tmp_path / 'out', tiny_model) == 0


def test_kelvin_is_scaled_and_dead_pixels_are_filled(tmp_path):
    cv2.imwrite(str(tmp_path / 'v.png'), np.zeros((64, 96, 3), np.uint8))
    kelvin = np.tile(np.linspace(280, 310, 96, dtype=np.float32), (64, 1))
    kelvin[3, 3] = np.nan
    cv2.imwrite(str(tmp_path / 't.tiff'), kelvin)
    _, thermal = read_pair(tmp_path / 'v.png', tmp_path / 't.tiff')
    assert thermal.dtype == np.float32 and np.isfinite(thermal).all()
    assert thermal.min() == 0 and thermal.max() == 1 and 0.4 < thermal.mean() < 0.6
    cv2.imwrite(str(tmp_path / 't.tiff'), np.full_like(kelvin, np.nan))
    with pytest.raises(PictureError, match=r't\.tiff: .*no finite pixel'):
        read_pair(tmp_path / 'v.png', tmp_path / 't.tiff')


def test_a_registration_brings_thermal_onto_visible(pair_root, tmp_path, tiny_model, capsys):
    street, move = pair_root / 'street', np.array([[1, 0, 20], [0, 1, 0], [0, 0, 1.0]])
    save(tmp_path / 'r.yaml', Plane(move, (200, 160), (200, 160)), 0)
    paths = street / 'visible/000.png', street / 'thermal/000.jpg'
    plain = read_pair(*paths)[1]
    moved = read_pair(*paths, Registration.load(tmp_path / 'r.yaml'))[1]
    assert np.abs(moved[:, 20:].astype(int) - plain[:, :-20]).max() <= 1
    given = ('--registration', str(tmp_path / 'r.yaml'))
    for name, more in (('as_is', ()), ('registered', given)):
        assert _fuse(pair_root, tmp_path / name, tiny_model, *more) == 0
    made = [cv2.imread(str(tmp_path / name / 'thermal/000.png')) for name in
            ('as_is', 'registered')]
    assert (made[0] != made[1]).any()
    save(tmp_path / 'r.yaml', Plane(move, (200, 100), (200, 160)), 0)
    (street / 'visible/001.png').rename(tmp_path / '001.png')
    assert _fuse(pair_root, tmp_path / 'none', tiny_model, *given) == 1
    assert '000: thermal image is 200x160 but the' in capsys.readouterr().err
    assert _fuse(pair_root, tmp_path / 'out', tiny_model, '--registration', 'gone.yaml') == 1
    assert 'gone.yaml cannot be read' in capsys.readouterr().err


def test_a_header_that_declares_too_much_costs_no_other(pair_root, tmp_path, tiny_model, capsys):
    (pair_root / 'street/visible/005.png').write_bytes(huge())
    assert _fuse(pair_root, tmp_path / 'out', tiny_model) == 1
    assert '005.png: not a readable image' in capsys.readouterr().err
    assert len((tmp_path / 'out/degradation.jsonl').read_text().splitlines()) == 11


def test_what_ends_the_run_costs_no_line_of_a_pair_that_is_done(pair_root, tmp_path, tiny_model):
    (tmp_path / 'out/fused/003.png').mkdir(parents=True)    # cannot be replaced by a file
    assert _fuse(pair_root, tmp_path / 'out', tiny_model) == 1
    lines = (tmp_path / 'out/degradation.jsonl').read_text().splitlines()
    assert [json.loads(line)['name'] for line in lines] == ['000', '001', '002']


def test_missing_folders_and_models_fail_in_one_line(pair_root, tmp_path, tiny_model, capsys):
    assert _fuse(tmp_path / 'nowhere', tmp_path / 'out', tiny_model) == 1
    assert 'nowhere' in capsys.readouterr().err
    assert _fuse(pair_root, tmp_path / 'out', 'nonsense') == 1
    told = capsys.readouterr().err.strip()
    assert 'nonsense' in told and '\n' not in told


def test_train_refuses_a_config_that_is_none(tmp_path, pair_root, capsys):
    (tmp_path / 'list.yaml').write_text('- 1\n')
    assert main(['train', 'guidance', '--config', str(tmp_path / 'list.yaml'), '--data',
                 str(pair_root)]) == 1
    assert 'list.yaml' in capsys.readouterr().err


def test_results_never_replace_the_pictures_they_are_made_from(pair_root, tmp_path, capsys):
    street = pair_root / 'street'
    before = {p: p.read_bytes() for p in street.rglob('*.*')}
    (tmp_path / 'link').symlink_to(street)
    for output in (street, tmp_path / 'link'):
        assert _fuse(pair_root, output, 'never_loaded') == 2
        told = capsys.readouterr().err
        assert told.count('\n') == 1 and 'visible holds the pictures to fuse' in told
    assert {p: p.read_bytes() for p in street.rglob('*.*')} == before
