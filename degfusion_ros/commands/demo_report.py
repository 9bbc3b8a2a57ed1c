# SPDX-License-Identifier: Apache-2.0
"""The demo's page: the mosaic over time, labels and severities as a plot, rates and losses."""

from html import escape
import json
from pathlib import Path

from degfusion_ros.commands.demo_plot import latency_plot, severity_plot
from degfusion_ros.files import write_whole

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>degfusion demo</title><style>
:root {{ color-scheme: light dark; --ink: #1b2430; --soft: #5c6b7a; --line: #d7dee6;
  --back: #f6f8fa; --card: #fff; --good: #1a7f4b; --bad: #b3261e; --mark: #d9822b; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #e6edf3; --soft: #93a1b0; --line: #313b46;
  --back: #12171d; --card: #1a2129; --good: #4cc38a; --bad: #ff8a80; --mark: #f0a95b; }} }}
body {{ font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--back);
  margin: 0 auto; padding: 1.2rem; max-width: 1446px; }}
h1 {{ font-size: 1.35rem; margin: 0 0 .2rem; }} h2 {{ font-size: 1.05rem; margin: 1.6rem 0 .5rem; }}
.verdict {{ font-weight: 600; }} .good {{ color: var(--good); }} .bad {{ color: var(--bad); }}
#view {{ width: 100%; display: block; border-radius: 6px; background: #111; }}
.bar {{ display: flex; gap: .8rem; align-items: center; margin: .6rem 0; flex-wrap: wrap; }}
.bar input {{ flex: 1; min-width: 12rem; accent-color: var(--mark); }}
button {{ font: inherit; padding: .25rem .9rem; border: 1px solid var(--line); border-radius: 6px;
  background: var(--card); color: inherit; cursor: pointer; }}
#now {{ font-variant-numeric: tabular-nums; min-width: 22rem; }}
svg {{ width: 100%; height: auto; background: var(--card); border: 1px solid var(--line);
  border-radius: 6px; }}
svg text {{ font: 12px system-ui, sans-serif; fill: var(--soft); }}
.cards {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(330px, 1fr)); gap: 1rem; }}
table {{ width: 100%; border-collapse: collapse; background: var(--card);
  border: 1px solid var(--line); border-radius: 6px; }}
td, th {{ text-align: left; padding: .3rem .7rem; border-top: 1px solid var(--line);
  vertical-align: top; }}
td + td {{ text-align: right; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }}
.legend {{ color: var(--soft); font-size: .9rem; }}
</style></head><body>
<h1>Visible and thermal, fused: {bag}</h1>
<div class="verdict {mood}">{verdict}</div>
<h2>The drive</h2>
<img id="view" alt="visible, thermal, fused and restored images" src="{first}">
<div class="bar"><button id="play">Play</button>
<input id="at" type="range" min="0" max="{last}" value="0" aria-label="time"><span id="now"></span>
</div>
<h2>What the node found wrong, over time</h2>
{severities}
<p class="legend">Filled: severity as judged. Bar below: the label was active.{truth}</p>
<h2>Latency of each fused pair</h2>
{latencies}
<div class="cards">{tables}</div>
<script>
const frames = {frames}, judged = {judged}, scale = {scale};
const view = document.getElementById('view'), at = document.getElementById('at');
const now = document.getElementById('now'), play = document.getElementById('play');
function show(i) {{
  if (!frames.length) return;
  const [t, file] = frames[i];
  view.src = file; at.value = i;
  let seen = null;
  for (const j of judged) if (j[0] <= t) seen = j;
  now.textContent = t.toFixed(1) + ' s' + (seen ? '   visible: ' + seen[1] + '   thermal: ' +
    seen[2] : '');
  for (const line of document.querySelectorAll('.cursor')) {{
    const x = scale.left + t * scale.per_second;
    line.setAttribute('x1', x); line.setAttribute('x2', x);
  }}
}}
let timer = null;
function stop() {{ clearInterval(timer); timer = null; play.textContent = 'Play'; }}
play.onclick = () => {{
  if (timer) return stop();
  play.textContent = 'Stop';
  if (+at.value >= frames.length - 1) show(0);
  timer = setInterval(() => {{
    if (+at.value >= frames.length - 1) return stop();
    show(+at.value + 1);
  }}, {interval});
}};
at.oninput = () => show(+at.value);
for (const plot of document.querySelectorAll('svg')) plot.onclick = event => {{
  const box = plot.getBoundingClientRect();
  const x = (event.clientX - box.left) / box.width * scale.width;
  const t = (x - scale.left) / scale.per_second;
  let best = 0;
  frames.forEach((f, i) => {{ if (Math.abs(f[0] - t) < Math.abs(frames[best][0] - t)) best = i; }});
  show(best);
}};
show(0);
</script></body></html>
"""


def write(path: Path, summary: dict, pictures: list[tuple[int, str]]) -> None:
    """Write the page; pictures: (header stamp in ns, file name in frames/ beside the page)."""
    start = summary['start_stamp_ns']
    frames = [[round((stamp - start) / 1e9, 3), f'frames/{name}'] for stamp, name in pictures]
    judged = [[d['t'], ', '.join(d.get('visible_labels', [])),
               ', '.join(d.get('thermal_labels', []))] for d in summary['degradation']]
    severities, scale = severity_plot(summary)
    gap = (frames[-1][0] - frames[0][0]) / (len(frames) - 1) if len(frames) > 1 else 0.5
    truth = " Dashed: what the drive's schedule says." if 'agreement' in summary else ''
    write_whole(path, PAGE.format(
        bag=escape(summary['bag']), verdict=escape(summary['verdict']), truth=truth,
        mood='good' if summary['passed'] else 'bad', first=frames[0][1] if frames else '',
        last=max(len(frames) - 1, 0), frames=json.dumps(frames), judged=json.dumps(judged),
        scale=json.dumps(scale), interval=round(max(gap, 0.05) * 1000), severities=severities,
        latencies=latency_plot(summary, scale), tables=''.join(_tables(summary))))


def _tables(summary: dict) -> list[str]:
    node, latency, delta = summary['node'], summary['latency_ms'], summary['delta_t_ms']
    tables = [
        ('Pairs', {'sent': summary['pairs_sent'], 'fused': summary['fused'],
                   'fused beside, held or alone': summary['further_fused'],
                   **{f'dropped: {cause}': n for cause, n in summary['dropped'].items()},
                   'rate of fused images': f'{summary["rate_hz"]:.2f} Hz',
                   'latency p50': f'{latency["p50"]:.0f} ms',
                   'latency p99': f'{latency["p99"]:.0f} ms',
                   'Δt of a pair, mean': f'{delta["mean"]:.1f} ms',
                   'Δt of a pair, max': f'{delta["max"]:.1f} ms'}),
        ('The node at the end', node)]
    if 'agreement' in summary:
        tables.insert(1, ('Labels against the schedule', _agreement_rows(summary['agreement'])))
    return [f'<div><h2>{escape(title)}</h2><table>' + ''.join(
        f'<tr><td>{escape(str(k))}</td><td>{escape(str(v))}</td></tr>' for k, v in rows.items())
        + '</table></div>' for title, rows in tables]


def _agreement_rows(agreement: dict) -> dict[str, str]:
    percent = lambda share: 'none due' if share is None else f'{100 * share:.0f} %'  # noqa: E731
    rows = {f'{m}: due labels found': percent(s) for m, s in agreement['labels_found'].items()}
    rows |= {f'{m}: exactly the due labels': percent(s) for m, s in agreement['exact'].items()}
    for segment in agreement['segments']:
        seen = ', '.join(f'{label} {n}' for label, n in
                         sorted(segment['seen'].items(), key=lambda item: -item[1]))
        rows[f'{segment["name"]} ({segment["judged"]} judged)'] = seen or '–'
    return rows
