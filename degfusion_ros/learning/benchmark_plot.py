# SPDX-License-Identifier: Apache-2.0
"""A plot of a benchmark: times side by side, and how they scale over area and threads."""

import os
from pathlib import Path

from matplotlib.figure import Figure


def draw(told: dict, path: Path) -> None:
    """Draw what `benchmark --output` writes into a .png or .svg file, whole or not at all."""
    rows = told['results']
    series = {}
    for row in rows:
        key = ' '.join(filter(None, (row['model'], row['form'], row['engine'], row['precision'])))
        series.setdefault(key if len(row['outputs']) == 1 else f'{key}, all', []).append(row)
    figure = Figure(figsize=(11, 3 + 0.3 * len(rows)), layout='constrained')
    grid = figure.add_gridspec(2, 2, height_ratios=(max(len(rows), 4), 8))
    _bars(figure.add_subplot(grid[0, :]), rows)
    area, threads = (figure.add_subplot(grid[1, i]) for i in range(2))
    for name, those in series.items():
        _line(area, name, {_pixels(r): r['ms']['p50'] for r in those
                           if r['threads'] == those[0]['threads']})
        _line(threads, name, {r['threads']: r['fps'] for r in those
                              if r['size'] == those[0]['size']})
    area.set(xlabel='megapixels', ylabel='p50, ms')
    threads.set(xlabel='threads', ylabel='frames per second')
    for axes in (area, threads):
        axes.set_ylim(bottom=0)
        axes.set_visible(bool(axes.lines))
        if axes.lines:
            axes.legend(fontsize='small')
    part = path.with_name(f'{path.name}.part')
    figure.savefig(part, format=path.suffix.lstrip('.') or 'png')
    os.replace(part, path)


def _bars(axes: object, rows: list[dict]) -> None:
    names = [row['name'] for row in rows]
    axes.barh(names, [row['ms']['p50'] for row in rows], color='#3b82c4', label='p50')
    axes.plot([row['ms']['p99'] for row in rows], names, '|', color='#d2603a', label='p99',
              markersize=9)
    axes.invert_yaxis()
    axes.set_xlabel('ms a frame')
    if rows:
        axes.legend()


def _pixels(row: dict) -> float:
    width, height = map(int, row['size'].split('x'))
    return width * height / 1e6


def _line(axes: object, name: str, points: dict[float, float]) -> None:
    if len(points) > 1:
        axes.plot(sorted(points), [points[x] for x in sorted(points)], 'o-', label=name)
