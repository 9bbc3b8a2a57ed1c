# SPDX-License-Identifier: Apache-2.0
"""Two plots over the same time axis, as inline SVG: severities by label, and latency."""

from html import escape

from degfusion_ros.drive.schedule import RAMP, SCHEDULE

WIDTH, LEFT, RIGHT = 1400, 150, 20  # of the SVG's own units
ROW, GAP = 34, 8  # one label's height, and what lies between two
COLOURS = {'visible': '#3b82c4', 'thermal': '#d2603a'}


def severity_plot(summary: dict) -> tuple[str, dict[str, float]]:
    """
    Return the plot and its time scale {width, left, per_second}.

    One row for each label of a modality: severity 0..1 as an area, a bar while the label is
    active; with the built-in drive, what the schedule says as a dashed line.
    """
    judged = summary['degradation']
    seconds = max([t for t, _ in summary['latencies']] + [d['t'] for d in judged] + [1.0])
    scale = {'width': WIDTH, 'left': LEFT, 'per_second': (WIDTH - LEFT - RIGHT) / seconds}
    rows, y = [], 26
    for modality in ('visible', 'thermal'):
        names = next((list(d[modality]) for d in judged if d.get(modality)), [])
        for name in names:
            rows.append(_row(summary, modality, name, y, scale))
            y += ROW + GAP
        y += GAP
    height = max(y, 60)
    names = _segments(scale, height) if 'agreement' in summary else ''
    return _svg(height, names + ''.join(rows) + _time_axis(scale, seconds, height)), scale


def latency_plot(summary: dict, scale: dict[str, float]) -> str:
    """Return a dot for each fused pair over the same time axis as the severities."""
    height, base, top = 130, 108, 12
    points = summary['latencies']
    highest = max([ms for _, ms in points] + [1.0])
    dots = ''.join(
        f'<circle cx="{LEFT + t * scale["per_second"]:.1f}" '
        f'cy="{base - (base - top) * ms / highest:.1f}" r="2" fill="#6b7f94"/>'
        for t, ms in points)
    labels = (f'<text x="{LEFT - 8}" y="{top + 6}" text-anchor="end">{highest:.0f} ms</text>'
              f'<text x="{LEFT - 8}" y="{base}" text-anchor="end">0</text>'
              f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}" '
              'stroke="currentColor" stroke-opacity=".25"/>')
    seconds = (WIDTH - LEFT - RIGHT) / scale['per_second']
    return _svg(height, labels + dots + _time_axis(scale, seconds, height))


def _svg(height: float, inside: str) -> str:
    cursor = (f'<line class="cursor" x1="{LEFT}" x2="{LEFT}" y1="0" y2="{height}" '
              'stroke="var(--mark)" stroke-width="2"/>')
    return f'<svg viewBox="0 0 {WIDTH} {height + 18}" role="img">{inside}{cursor}</svg>'


def _row(summary: dict, modality: str, name: str, y: float, scale: dict[str, float]) -> str:
    x = lambda t: LEFT + t * scale['per_second']  # noqa: E731
    base, tall = y + ROW - 7, ROW - 7
    # while its camera is lost there are no values
    judged = [d for d in summary['degradation'] if name in d.get(modality, {})]
    area = ' '.join(f'{x(d["t"]):.1f},{base - tall * d[modality][name]:.1f}' for d in judged)
    colour = COLOURS[modality]
    parts = [f'<text x="{LEFT - 8}" y="{base - 6}" text-anchor="end">{modality} '
             f'{escape(name)}</text>',
             f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}" '
             'stroke="currentColor" stroke-opacity=".2"/>',
             f'<polygon points="{x(judged[0]["t"]):.1f},{base} {area} '
             f'{x(judged[-1]["t"]):.1f},{base}" fill="{colour}" fill-opacity=".55"/>']
    ends = [d['t'] for d in judged[1:]] + [judged[-1]['t'] + 0.5]
    parts += [f'<rect x="{x(d["t"]):.1f}" y="{base + 2}" height="4" fill="{colour}" '
              f'width="{min((end - d["t"]) * scale["per_second"], WIDTH - x(d["t"])):.1f}"/>'
              for d, end in zip(judged, ends) if name in d[f'{modality}_labels']]
    if 'agreement' in summary:
        parts.append(_truth(modality, name, base, tall, x))
    return ''.join(parts)


def _truth(modality: str, name: str, base: float, tall: float, x: object) -> str:
    parts = []
    for segment in SCHEDULE:
        full = getattr(segment, modality).get(name)
        if full:
            points = ((segment.t0, 0), (segment.t0 + RAMP, full), (segment.t1 - RAMP, full),
                      (segment.t1, 0))
            line = ' '.join(f'{x(t):.1f},{base - tall * v:.1f}' for t, v in points)
            parts.append(f'<polyline points="{line}" fill="none" stroke="currentColor" '
                         'stroke-dasharray="5 4" stroke-opacity=".75"/>')
    return ''.join(parts)


def _segments(scale: dict[str, float], height: float) -> str:
    parts = []
    for i, segment in enumerate(SCHEDULE):
        left = LEFT + segment.t0 * scale['per_second']
        wide = (segment.t1 - segment.t0) * scale['per_second']
        if i % 2:
            parts.append(f'<rect x="{left:.1f}" y="0" width="{wide:.1f}" height="{height}" '
                         'fill="currentColor" fill-opacity=".05"/>')
        parts.append(f'<text x="{left + wide / 2:.1f}" y="15" text-anchor="middle">'
                     f'{escape(segment.name)}</text>')
    return ''.join(parts)


def _time_axis(scale: dict[str, float], seconds: float, height: float) -> str:
    step = next(s for s in (1, 2, 5, 10, 30, 60, 300, 900, 3600, 36000) if seconds / s <= 20
                or s == 36000)
    return ''.join(f'<text x="{LEFT + t * scale["per_second"]:.1f}" y="{height + 12}" '
                   f'text-anchor="middle">{t} s</text>' for t in range(0, int(seconds) + 1, step))
