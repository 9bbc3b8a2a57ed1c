# SPDX-License-Identifier: Apache-2.0
"""What a soak comes to: figures, whether they are good enough, and a table of them."""

import re
from statistics import median

from degfusion_ros.node import accounts
from degfusion_ros.node.soak_faults import TOLD

LEAST_SHARE = 0.99  # of what could be fused
MOST_GROWTH_MB = 5.0
WARM_SHARE = 0.2  # of the time, in which caches fill
LONG_S = 300.0  # a shorter soak says nothing about memory
MOST_TOLD = 100  # lost pairs listed one by one


def summarise(log: object, faults: list) -> dict[str, object]:
    """Return the figures of a node.soak.Log and its list of faults, as JSON holds them."""
    lost = [due for stamp, due in log.fusable.items() if stamp not in log.fused]
    fused = len(log.fusable) - len(lost)
    values = {key: int(value) for key, value in log.values.items()
              if str(value).lstrip('-').isdigit()}
    told: dict[str, dict] = {}
    for kind in sorted({fault.kind for fault in faults} | {due.fault for due in lost}):
        such = [fault for fault in faults if fault.kind == kind]
        told[kind] = {'times': len(such), 'lost': sum(due.fault == kind for due in lost)}
        if kind in TOLD:
            told[kind]['told_after_s'] = _told(log.statuses, such)
    summary = {
        'seconds': round(log.seconds, 1), 'sent': log.sent,
        'not_arrived': {name: n - values.get(f'received.{name}', 0)
                        for name, n in log.sent.items()},
        'fusable': len(log.fusable), 'fused': fused,
        'fused_share': round(fused / max(1, len(log.fusable)), 5),
        'faults': told, 'memory_mb': memory(log.memory),
        'lost': [{'fault': due.fault, 'after_s': round(due.after_s, 3)}
                 for due in lost[:MOST_TOLD]],
        'unaccounted': accounts.differences(log.values), 'counts': values}
    growth = summary['memory_mb']['growth']
    summary['passed'] = bool(
        log.fusable and summary['fused_share'] >= LEAST_SHARE and not summary['unaccounted']
        and (log.seconds < LONG_S or growth < MOST_GROWTH_MB))
    return summary


def memory(samples: list[tuple[float, float]]) -> dict[str, float]:
    """Return MB after warm-up and at the end, medians of a tenth of the (time, MB) samples."""
    if not samples:
        return {'warm': 0.0, 'end': 0.0, 'growth': 0.0}
    sizes = [mb for _, mb in samples]
    tenth = max(1, len(sizes) // 10)
    first = int(WARM_SHARE * len(sizes))
    warm, end = median(sizes[first:first + tenth]), median(sizes[-tenth:])
    return {'warm': round(warm, 2), 'end': round(end, 2), 'growth': round(end - warm, 2)}


def table(summary: dict) -> str:
    """Return the summary as Markdown."""
    size = summary['memory_mb']
    rows = [
        ('time', f'{summary["seconds"]:.0f} s'),
        ('frames sent', ', '.join(f'{n} {name}' for name, n in summary['sent'].items())),
        ('never arrived', ', '.join(f'{n} {name}' for name, n in summary['not_arrived'].items())),
        ('pairs that could be fused', f'{summary["fusable"]}'),
        ('of these fused', f'{summary["fused"]} ({100 * summary["fused_share"]:.2f} %)'),
        ('memory', f'{size["warm"]:.1f} MB warm, {size["end"]:.1f} MB at the end '
                   f'({size["growth"]:+.1f} MB)'),
        ('unaccounted for', str(summary['unaccounted'] or 'none'))]
    lines = ['| | |', '|---|---|', *(f'| {name} | {what} |' for name, what in rows), '',
             '| fault | times | pairs lost | named in /diagnostics after, at most |',
             '|---|---|---|---|']
    for kind, found in summary['faults'].items():
        told = found.get('told_after_s')
        words = '' if told is None else 'not always' if told < 0 else f'{told:.1f} s'
        lines.append(f'| {kind} | {found["times"]} | {found["lost"]} | {words} |')
    return '\n'.join(lines) + '\n'


def _told(statuses: list[tuple[float, str]], faults: list) -> float:
    """Return the longest time until a status named the fault in words; -1: one was never named."""
    longest = 0.0
    for fault in faults:
        after = [at - fault.start_s for at, words in statuses
                 if fault.start_s <= at <= fault.end_s + 1 and re.search(TOLD[fault.kind], words)]
        if not after:
            return -1.0
        longest = max(longest, after[0])
    return round(longest, 2)
