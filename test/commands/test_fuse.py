# SPDX-License-Identifier: Apache-2.0
"""`fuse` on folders, and `train`'s refusals, through the real command line."""

import json

import cv2
import numpy as np
import pytest

from degfusion_ros.__main__ import main


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


def test_16_bit_thermal_of_another_size_is_taken(pair_root, tmp_path, tiny_model):
    for path in (pair_root / 'street/thermal').iterdir():
        raw = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).astype(np.uint16) * 16 + 20000
        cv2.imwrite(str(path.with_suffix('.png')), cv2.resize(raw, (100, 80)))
        path.unlink()
    assert _fuse(pair_root, tmp_path / 'out', tiny_model) == 0


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
