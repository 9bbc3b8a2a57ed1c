# SPDX-License-Identifier: Apache-2.0
"""The HTML page of an evaluation: tables and grids of pictures, all in one file."""

import base64
from html import escape
from pathlib import Path

import cv2
import numpy as np

from degfusion_ros.learning import report as tables_of
from degfusion_ros.learning.evaluation import ALL
from degfusion_ros.learning.picture_scores import read
from degfusion_ros.learning.result_folders import Case, SIDES

_WIDTH, _QUALITY = 360, 88

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>degfusion evaluation</title><style>
:root {{ color-scheme: light dark; --ink: #1b2430; --soft: #5c6b7a; --line: #d7dee6;
  --back: #f6f8fa; --card: #fff; --best: #1a7f4b; --bad: #b3261e; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #e6edf3; --soft: #93a1b0; --line: #313b46;
  --back: #12171d; --card: #1a2129; --best: #4cc38a; --bad: #ff8a80; }} }}
body {{ font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--back);
  margin: 0 auto; padding: 1.2rem; max-width: 1600px; }}
h1 {{ font-size: 1.35rem; margin: 0 0 .2rem; }} h2 {{ font-size: 1.05rem; margin: 1.6rem 0 .5rem; }}
.soft, figcaption {{ color: var(--soft); font-size: .9rem; }} .bad {{ color: var(--bad); }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; background: var(--card); border: 1px solid var(--line); }}
td, th {{ padding: .25rem .7rem; text-align: right; font-variant-numeric: tabular-nums;
  white-space: nowrap; }}
td:nth-child(-n+2), th:nth-child(-n+2) {{ text-align: left; }}
tr.first td, thead th {{ border-top: 1px solid var(--line); }}
td.best {{ font-weight: 700; color: var(--best); }}
.grid {{ display: flex; gap: .6rem; flex-wrap: wrap; padding-bottom: .6rem; }}
figure {{ margin: 0; flex: none; }} figure img {{ width: 280px; display: block; background: #111; }}
img.plot {{ max-width: 100%; }}
figcaption {{ max-width: 280px; }} summary {{ cursor: pointer; font-weight: 600; }}
</style></head><body>
<h1>Evaluation: {names}</h1><p class="soft">{about}</p>
{tables}
{more}
<h2>Pictures</h2>
{grids}
{problems}
</body></html>
"""


def page(report: dict, cases: list[Case], pictures: int = 3, plots: dict[str, bytes] | None = None,
         ) -> str:
    """
    Return the page, with up to `pictures` scenes a condition, evenly spread by name.

    `plots`: PNG files to show below the tables, by their headings.
    """
    more = ''.join(f'<h2>{escape(title)}</h2><img class="plot" alt="{escape(title)}" src="'
                   f'{_embedded(data, "png")}">' for title, data in (plots or {}).items())
    problems = ''.join(f'<li>{escape(line)}</li>' for line in report['problems'])
    return PAGE.format(
        names=escape(', '.join(report['results'])), about=escape(tables_of.about(report)),
        tables=''.join(_table(table) for table in tables_of.tables(report)),
        more=more, grids=''.join(_grids(report, cases, pictures)),
        problems=f'<h2>Not scored</h2><ul class="bad">{problems}</ul>' if problems else '')


def _table(table: tables_of.Table) -> str:
    head = ''.join(f'<th>{escape(h)}</th>' for h in ('condition', 'result', *table.headings))
    body, last = [], None
    for row in table.rows:
        cells = ''.join(f'<td{" class=best" if best else ""}>{cell}</td>'
                        for cell, best in tables_of.cells(table, row))
        body.append(f'<tr{" class=first" if row.condition != last else ""}>'
                    f'<td>{escape(row.condition)}</td><td>{escape(row.result)}</td>{cells}</tr>')
        last = row.condition
    return (f'<h2>{escape(table.title)}</h2><div class="wide"><table><thead><tr>{head}</tr></thead>'
            f'<tbody>{"".join(body)}</tbody></table></div>')


def _grids(report: dict, cases: list[Case], pictures: int) -> list[str]:
    figures = {(p['result'], p['condition'], p['name']): p['figures'] for p in report['pictures']}
    grids = []
    for condition in report['conditions']:
        here = [case for case in cases if (case.condition or ALL) == condition]
        names = sorted({case.name for case in here})
        step = max(len(names) / max(pictures, 1), 1)
        chosen = [names[int(i * step)] for i in range(min(pictures, len(names)))]
        rows = [_scene([case for case in here if case.name == name], figures) for name in chosen]
        grids.append(f'<details{"" if grids else " open"}><summary>'
                     f'{escape(condition)}</summary>{"".join(rows)}</details>')
    return grids


def _scene(cases: list[Case], figures: dict) -> str:
    """Return a strip: the inputs, the clean sources, then what each result made of them."""
    one = cases[0]
    shown = [(f'{side} input', getattr(one, side), side) for side in SIDES]
    shown += [(f'clean {side}', path, side) for side in SIDES
              if (path := getattr(one, f'clean_{side}'))
              and path.read_bytes() != getattr(one, side).read_bytes()]
    for case in cases:
        told = figures[case.result, case.condition or ALL, case.name]
        short = ', '.join(f'{key} {tables_of.text(key, told.get(key))}'
                          for key in ('VIF_min', 'MS_SSIM_min', 'hot'))
        shown.append((f'{case.result}: fused; {short}', case.fused, 'visible'))
        shown += [(f'{case.result}: restored {side}', path, side) for side in SIDES
                  if (path := getattr(case, f'restored_{side}'))]
    strip = ''.join(_figure(*picture) for picture in shown)
    return f'<h3 class="soft">{escape(one.name)}</h3><div class="grid">{strip}</div>'


def _figure(caption: str, path: Path, side: str) -> str:
    try:
        source = _embedded(_jpeg(path, side), 'jpeg')
    except ValueError:
        return ''       # named among the problems already
    return (f'<figure><img loading="lazy" src="{source}" alt="{escape(caption)}">'
            f'<figcaption>{escape(caption)}</figcaption></figure>')


def _embedded(data: bytes, kind: str) -> str:
    return f'data:image/{kind};base64,{base64.b64encode(data).decode()}'


def _jpeg(path: Path, side: str) -> bytes:
    image = read(path, side)
    image = image if side == 'thermal' else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    if image.shape[1] > _WIDTH:
        size = (_WIDTH, max(1, round(image.shape[0] * _WIDTH / image.shape[1])))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode('.jpg', np.ascontiguousarray(image),
                           [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return data.tobytes()
