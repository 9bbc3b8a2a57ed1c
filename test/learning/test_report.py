# SPDX-License-Identifier: Apache-2.0
"""Tables: what is in them, what is best, and how it is printed."""

import io

import pytest
from rich.console import Console

from degfusion_ros.learning import report as r


def a_report(**figures):
    both = {'ours': {'VIF_min': 0.25, 'Nabf': 0.01, 'EN': 6.0, 'hot': 0.8},
            'peer': {'VIF_min': 0.2, 'Nabf': 0.02, 'EN': 7.0, 'hot': None, **figures}}
    return {'against': 'inputs', 'results': {'ours': 'a', 'peer': 'b'}, 'conditions': ['fog'],
            'means': {}, 'figures': {'fog': both}, 'scored': {'fog': {'ours': 3, 'peer': 2}},
            'pictures': [], 'problems': ['peer/fog/1: no fused picture']}


def quality(report):
    return next(t for t in r.tables(report) if t.title == r.QUALITY)


def test_only_figures_that_are_there_have_columns():
    table = quality(a_report())
    assert table.keys == ('VIF_min', 'Nabf', 'hot')
    assert table.headings == ('VIF_min ↑', 'Nabf ↓', 'hot ↑')
    assert not any(t.title.startswith('Labels') for t in r.tables(a_report()))


def test_the_best_is_marked_by_direction_and_never_alone():
    ours, peer = quality(a_report()).rows
    assert ours.best == (True, True, False) and peer.best == (False, False, False)
    ours, peer = quality(a_report(VIF_min=0.2501, Nabf=0.001)).rows
    assert ours.best == (True, False, False) and peer.best == (True, True, False)


def test_what_rises_with_noise_is_never_best():
    together = next(t for t in r.tables(a_report()) if 'EN' in t.keys)
    assert not any(any(row.best) for row in together.rows)


@pytest.mark.parametrize('key, way', [
    ('VIF_min', 1), ('MSE_max', -1), ('gain_visible_PSNR', 1), ('restored_thermal_SSIM', 1),
    ('label_F1', 1), ('severity_error', -1), ('flicker_ratio_fused', -1),
    ('flicker_visible', 0), ('still_share', 0), ('PSNR_published', 1),
    ('cast', -1), ('chroma_error', -1), ('saturation', 0), ('restored_visible_cast', -1),
    ('restored_visible_saturation', 0), ('gain_visible_chroma_error', 1)])
def test_directions(key, way):
    assert r.direction(key) == way


@pytest.mark.parametrize('key, value, printed', [
    ('VIF_min', 0.25149, '0.251'), ('Nabf', 0.00391, '0.0039'), ('PSNR', 12.3456, '12.35'),
    ('gain_visible_PSNR', 1.5, '+1.50'), ('hot', None, '–'), ('cast', 3.1416, '3.14'),
    ('gain_visible_chroma_error', -0.5, '-0.50'), ('saturation', 0.98765, '0.988')])
def test_figures_as_printed(key, value, printed):
    assert r.text(key, value) == printed


def test_markdown_has_tables_and_problems():
    told = r.to_markdown(a_report())
    assert '| fog | ours | **0.250** | **0.0100** | 0.800 |' in told
    assert '- peer/fog/1: no fused picture' in told and '2 to 3 pictures' in told


FUSED = ('cast', 'chroma_error', 'saturation')
RESTORED = ('restored_visible_cast', 'gain_visible_cast', 'restored_visible_chroma_error',
            'gain_visible_chroma_error', 'restored_visible_saturation')


@pytest.mark.parametrize('title, keys, ours_best, peer_best', [
    (r.COLOUR, FUSED, (True, True, False), (False, False, False)),
    (r.RESTORED_COLOUR, RESTORED, (True, False, True, False, False),
     (False, True, False, True, False))])
def test_colour_has_tables_with_less_cast_best_and_saturation_unmarked(title, keys, ours_best,
                                                                       peer_best):
    report = a_report(**dict.fromkeys(keys, 12.5))
    report['figures']['fog']['ours'] |= dict.fromkeys(keys, 1.25)
    table = next(t for t in r.tables(report) if t.title == title)
    assert table.keys == keys and title in r.SHORT
    assert [row.best for row in table.rows] == [ours_best, peer_best]
    assert f'## {title}' in r.to_markdown(report) and '**1.25**' in r.to_markdown(report)
    out = io.StringIO()
    Console(file=out, width=80).print(r.to_rich(table))
    assert '12.50' in out.getvalue() and '…' not in out.getvalue()
    assert not any(t.title == title for t in r.tables(a_report()))


def test_a_terminal_of_80_columns_shows_every_figure():
    out = io.StringIO()
    Console(file=out, width=80).print(r.to_rich(quality(a_report())))
    assert all(text in out.getvalue() for text in ('0.250', '0.0200', '0.800', 'peer', 'fog'))
    assert '…' not in out.getvalue()


def test_names_with_brackets_are_printed_as_they_are():
    report = a_report()
    for table in (report['figures'], report['scored']):
        table['[fog]'] = {f'[{name}]': value for name, value in table.pop('fog').items()}
    out = io.StringIO()
    Console(file=out, width=80).print(r.to_rich(quality(report)))
    assert all(name in out.getvalue() for name in ('[fog]', '[ours]', '[peer]', '0.250'))
