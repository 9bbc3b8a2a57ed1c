# SPDX-License-Identifier: Apache-2.0
"""The tables of an evaluation, for the terminal (rich), Markdown and the HTML page."""

from typing import NamedTuple

from rich import box
from rich.markup import escape
from rich.table import Table as RichTable

from degfusion_ros.learning import metrics, metrics_colour

QUALITY = 'Fusion, the worse-told source counts'
COLOUR = 'Colour, against the clean visible source'
RESTORED_COLOUR = 'Colour of the restored visible image, gain over the input'
_GROUPS = {
    QUALITY: ('VIF_min', 'MS_SSIM_min', 'SSIM_min', 'Qabf', 'Nabf', 'hot'),
    'Fusion, the sources together': ('EN', 'SD', 'SF', 'AG', 'MI', 'VIF', 'Qabf', 'SCD', 'SSIM'),
    "As TG-ECNet's tables, true definitions": ('CC', 'MSE', 'PSNR', 'Nabf', 'MS_SSIM'),
    'As published, not by their definitions': ('PSNR_published', 'Nabf_swapped'),
    'Restored sources, gain over the input': tuple(
        f'{kind}_{side}_{name}' for side in metrics.SIDES for name in ('PSNR', 'SSIM')
        for kind in ('restored', 'gain')),
    COLOUR: ('cast', 'chroma_error', 'saturation'),
    RESTORED_COLOUR: (
        'restored_visible_cast', 'gain_visible_cast', 'restored_visible_chroma_error',
        'gain_visible_chroma_error', 'restored_visible_saturation'),
    'Labels against the manifest': ('label_F1', 'label_precision', 'label_recall', 'label_exact',
                                    'severity_error'),
    'Flicker where nothing moves': (
        'flicker_visible', 'flicker_thermal', 'flicker_fused', 'flicker_ratio_fused',
        'pumping_ratio_fused', 'flicker_ratio_restored_visible', 'flicker_ratio_restored_thermal',
        'still_share'),
}
_LOWER = ('flicker', 'pumping', 'severity_error')
_NEITHER = ('flicker_visible', 'flicker_thermal', 'still_share')
# What a terminal has room for; everything is in the files.
SHORT = (QUALITY, *list(_GROUPS)[4:])


class Row(NamedTuple):
    """A line of a table; `best` marks the values that no other result of the condition beats."""

    condition: str
    result: str
    pictures: int | None    # None of a mean over conditions
    values: tuple[float | None, ...]
    best: tuple[bool, ...]


class Table(NamedTuple):
    """A table of one group of figures; keys name the columns."""

    title: str
    keys: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def headings(self) -> tuple[str, ...]:
        """Return the columns' names, with an arrow to where the best is."""
        return tuple(key + {1: ' ↑', -1: ' ↓', 0: ''}[direction(key)] for key in self.keys)


def tables(report: dict) -> list[Table]:
    """Return a table of each group that has a figure; rows by condition, then result."""
    made = []
    for title, keys in _GROUPS.items():
        keys = tuple(k for k in keys if any(
            figures.get(k) is not None for by_result in report['figures'].values()
            for figures in by_result.values()))
        if keys:
            rows = [row for condition in report['figures'] for row in _rows(report, condition,
                                                                            keys)]
            made.append(Table(title, keys, tuple(rows)))
    return made


def direction(key: str) -> int:
    """Return where the best of any figure of a report is: 1 higher, -1 lower, 0 neither."""
    if key in _NEITHER:
        return 0
    if key.startswith(_LOWER):
        return -1
    if (colour := key.removeprefix('restored_visible_')) in metrics_colour.BETTER:
        return metrics_colour.BETTER[colour]
    return 1 if key.startswith(('restored', 'gain', 'label')) else metrics.better(key)


def text(key: str, value: float | None) -> str:
    """Return a figure as it is printed."""
    if value is None:
        return '–'
    digits = 4 if key.startswith(('MSE', 'Nabf')) else 3
    if any(word in key for word in ('PSNR', 'cast', 'chroma')):
        digits = 2
    return f'{value:{"+" if key.startswith("gain") else ""}.{digits}f}'


def to_rich(table: Table) -> RichTable:
    """Lay a table out for a terminal of 80 columns or more, best values bold."""
    out = RichTable(title=table.title, title_justify='left', box=box.SIMPLE_HEAD,
                    padding=0, pad_edge=False)
    several = len({row.result for row in table.rows}) > 1
    for heading in ('condition', 'result') if several else ('condition',):
        out.add_column(heading, no_wrap=True)
    for heading in table.headings:
        out.add_column(heading.replace('_', '\n') if len(heading) > 12 else heading,
                       justify='right', no_wrap=True)
    for row, following in zip(table.rows, (*table.rows[1:], None)):
        told = [escape(name) for name in (row.condition, row.result)[:1 + several]]     # [a] is one
        out.add_row(*told, *(f'[bold]{cell}[/bold]' if best else cell
                             for cell, best in cells(table, row)),
                    end_section=several and following is not None
                    and following.condition != row.condition)
    return out


def to_markdown(report: dict) -> str:
    """Return all tables as a Markdown document, best values bold."""
    parts = ['# Evaluation', about(report)]
    for table in tables(report):
        lines = [f'## {table.title}', '',
                 '| ' + ' | '.join(('condition', 'result', *table.headings)) + ' |',
                 '|---|---' + '|--:' * len(table.keys) + '|']
        for row in table.rows:
            told = (f'**{cell}**' if best else cell for cell, best in cells(table, row))
            lines.append('| ' + ' | '.join((row.condition, row.result, *told)) + ' |')
        parts.append('\n'.join(lines))
    if report['problems']:
        parts.append('## Not scored\n\n' + '\n'.join(f'- {p}' for p in report['problems']))
    return '\n\n'.join(parts) + '\n'


def about(report: dict) -> str:
    """Return what the figures were measured against, and over how many pictures."""
    counts = [n for by_result in report['scored'].values() for n in by_result.values()]
    each = str(counts[0]) if len(set(counts)) == 1 else f'{min(counts)} to {max(counts)}'
    return (f'Fused images measured against the {report["against"]}; {each} pictures a condition. '
            f'Conditions weigh the same in a mean. Bold: the best result of a condition.')


def _rows(report: dict, condition: str, keys: tuple[str, ...]) -> list[Row]:
    by_result = report['figures'][condition]
    rows = {result: tuple(figures.get(key) for key in keys)
            for result, figures in by_result.items()
            if any(figures.get(key) is not None for key in keys)}
    best = []
    for key, column in zip(keys, zip(*rows.values())):
        there = [v for v in column if v is not None]
        way = direction(key)
        # as printed, so that equal figures are equally bold
        best.append({text(key, max(there, key=lambda v: v * way))}
                    if way and len(there) > 1 else set())
    counts = report['scored'].get(condition, {})
    return [Row(condition, result, counts.get(result), values, tuple(
        text(key, value) in top for key, value, top in zip(keys, values, best)))
        for result, values in rows.items()]


def cells(table: Table, row: Row) -> list[tuple[str, bool]]:
    """Return a row's figures as printed, and whether each is the best of its condition."""
    return [(text(key, value), best)
            for key, value, best in zip(table.keys, row.values, row.best)]
