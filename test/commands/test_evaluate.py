# SPDX-License-Identifier: Apache-2.0
"""`evaluate` through the real command line, on what `fuse` writes and on bad input."""

import json
from pathlib import Path
import sys

import cv2
import pytest

from degfusion_ros.__main__ import main

sys.path.append(str(Path(__file__).parents[1] / 'learning'))
from results_tree import build  # noqa: E402


def words(root, *more):
    return ['evaluate', str(root / 'out'), '--visible', str(root / 'in'), '--thermal',
            str(root / 'in'), *more]


def test_tables_and_files(tmp_path, capsys):
    root = build(tmp_path, ('fog', 'rain'))
    assert main(words(root, '--clean-visible', str(root / 'clean/visible'), '--clean-thermal',
                      str(root / 'clean/thermal'), '--output', str(root / 'report'))) == 0
    told = capsys.readouterr().out
    assert 'VIF_min' in told and 'rain' in told and 'gain' in told
    assert {p.name for p in (root / 'report').iterdir()} == {'evaluation.json', 'evaluation.md',
                                                            'index.html'}
    report = json.loads((root / 'report/evaluation.json').read_text())
    assert report['figures']['mean']['out']['gain_visible_PSNR'] > 8


def test_colour_is_in_the_terminal_and_in_every_file(tmp_path, capsys):
    root = build(tmp_path)
    for path in root.rglob('*/visible/*.png'):
        grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(path), cv2.applyColorMap(grey, cv2.COLORMAP_JET))
    for path in root.glob('out/fused/*.png'):
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_COLOR))    # grey in three channels
    assert main(words(root, '--clean-visible', str(root / 'clean/visible'), '--clean-thermal',
                      str(root / 'clean/thermal'), '--output', str(root / 'report'))) == 0
    written = [(root / 'report' / name).read_text() for name in ('evaluation.md', 'index.html')]
    for told in (capsys.readouterr().out, *written):
        assert 'Colour, against' in told and 'Colour of the restored visible image' in told
    report = json.loads((root / 'report/evaluation.json').read_text())
    for figures in (report['figures']['all']['out'], *(p['figures'] for p in report['pictures'])):
        assert figures['saturation'] < 0.01 and figures['chroma_error'] > 20
        assert figures['gain_visible_chroma_error'] > 3


def test_a_missing_picture_is_named_and_the_rest_scored(tmp_path, capsys):
    root = build(tmp_path)
    (root / 'out/fused/001.png').unlink()
    assert main(words(root)) == 1
    told = capsys.readouterr()
    assert 'evaluate: out/001: no fused picture' in told.err and 'VIF_min' in told.out


@pytest.mark.parametrize('more, code, line', [
    (['--clean-visible', 'x'], 2, 'both --clean-visible and --clean-thermal'),
    (['--jobs', '0'], 2, '--jobs 0'),
    (['--labels', 'gone.jsonl'], 1, 'gone.jsonl: No such file'),
    (['nowhere'], 1, 'nowhere: no such folder')])
def test_wrong_use_is_one_line(tmp_path, capsys, more, code, line):
    root = build(tmp_path)
    assert main(words(root)[:2] + more + words(root)[2:] if more == ['nowhere']
                else words(root, *more)) == code
    told = capsys.readouterr().err.strip()
    assert line in told and '\n' not in told
