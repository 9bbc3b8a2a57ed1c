# SPDX-License-Identifier: Apache-2.0
"""
Malformed messages over real topics into the real node, guided by coverage.

A message that makes the package take a step it has not taken before is kept and mutated further.
What passes the door gets a good partner, so that it reaches the worker; in between, good pairs
must come out fused: the first one, or where a stamp was wrong in between the second one at the
latest, since that is a clock that jumps.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
import random
import time
import traceback

import rclpy
from rclpy.signals import SignalHandlerOptions

from degfusion_ros.node import accounts, fuzz_messages
from degfusion_ros.node.fuzz_coverage import Coverage
from degfusion_ros.node.fuzz_target import STREAMS, Target
from degfusion_ros.node.process import isolate

GOOD_EVERY = 10
MOST_FAILURES = 20  # each is kept with its recipe; more end it
INFO_SHARE = 0.1


@dataclass
class Findings:
    """What a run has found; `failures` hold a recipe each and what went wrong."""

    messages: int = 0
    good_pairs: int = 0
    good_fused: int = 0
    lost_to_jumps: int = 0  # first pairs after a wrong stamp; the second ones count as good
    resent: int = 0  # good pairs of which DDS lost or delayed a frame, sent again
    arcs: int = 0
    corpus: int = 0
    seconds: float = 0.0
    ended_early: str = ''  # why, if not all messages were sent
    dropped: dict[str, int] = field(default_factory=dict)
    unaccounted: dict[str, int] = field(default_factory=dict)
    failures: list[dict[str, object]] = field(default_factory=list)

    def passed(self) -> bool:
        """Tell whether nothing escaped, every good pair was fused and the books are closed."""
        return (not self.failures and not self.unaccounted and not self.ended_early
                and self.good_fused == self.good_pairs > 0)


def fuzz(count: int, seed: int, on_progress: Callable[[int], None]) -> Findings:
    """
    Send `count` malformed messages, half of them to a node that takes compressed images.

    `on_progress` is told how many are through. Takes a DDS domain of its own, on this machine.
    Ends early, with what it has found by then, on Ctrl-C and when the node fails again and again:
    each time it does not come to rest costs seconds, and a hundred thousand times that is days.
    """
    isolate()
    findings, began = Findings(), time.monotonic()
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    rclpy.logging.set_logger_level('', rclpy.logging.LoggingSeverity.ERROR)
    try:
        for part, transport in enumerate(('raw', 'compressed')):
            with Coverage() as coverage:
                target = Target(transport)
                try:
                    _attack(target, coverage, random.Random(f'{seed} {transport}'),
                            (count + 1 - part) // 2, findings, on_progress)
                except KeyboardInterrupt:
                    findings.ended_early = 'interrupted'
                except Exception:
                    findings.ended_early = f'escaped: {traceback.format_exc()}'
                finally:
                    target.close()
            findings.arcs += len(coverage.arcs)
            if findings.ended_early:
                break
    finally:
        rclpy.try_shutdown()
    findings.seconds = time.monotonic() - began
    return findings


def _attack(target: Target, coverage: Coverage, rng: random.Random, count: int,
            findings: Findings, on_progress: Callable[[int], None]) -> None:
    kinds = (target.transport, 'info')
    corpus = {kind: [fuzz_messages.good(kind, name, rng) for name in STREAMS] for kind in kinds}
    moved = False
    for number in range(count):
        if len(findings.failures) >= MOST_FAILURES:
            findings.ended_early = f'{MOST_FAILURES} failures'
            break
        kind = kinds[rng.random() < INFO_SHARE]
        # what was found last leads further most often
        parents = corpus[kind][-50:] if rng.random() < 0.5 else corpus[kind]
        recipe = fuzz_messages.mutate(rng.choice(parents), rng)
        problem = _try(target, recipe, rng)
        if problem:
            findings.failures.append({'problem': problem, 'recipe': recipe.told()})
        if coverage.grown():
            corpus[kind].append(recipe)
        moved = moved or recipe.moves_time()
        if number % GOOD_EVERY == 0:
            findings.good_pairs += 1
            fused = target.send_good_pair(rng)
            if moved and not fused:
                findings.lost_to_jumps += 1
                fused = target.send_good_pair(rng)
            moved = False
            findings.good_fused += fused
            if not fused:
                findings.failures.append({'problem': 'the good pair after it was not fused',
                                          'recipe': recipe.told()})
        findings.messages += 1
        on_progress(findings.messages)
    target.settle()
    counts = target.node.counts()
    for key, n in counts.items():
        if key.startswith('dropped.'):
            cause = key.removeprefix('dropped.')
            findings.dropped[cause] = findings.dropped.get(cause, 0) + n
    for name, off in accounts.differences(counts).items():
        findings.unaccounted[f'{target.transport} {name}'] = off
    findings.resent += target.resent
    findings.corpus += sum(map(len, corpus.values()))


def _try(target: Target, recipe: fuzz_messages.Recipe, rng: random.Random) -> str:
    """Send the message and a good partner; return what went wrong, or nothing."""
    before = target.unforeseen()
    stamp = target.next_stamp()
    partner = STREAMS[1 - STREAMS.index(recipe.stream)]
    try:
        target.send(recipe, stamp)
        settled = target.settle()
        if target.waits(recipe.stream):  # let it reach the worker
            target.send(fuzz_messages.good(target.transport, partner, rng), stamp)
            settled = target.settle()
    except Exception:
        return f'escaped: {traceback.format_exc()}'
    if target.unforeseen() > before:
        return 'an error that nobody foresaw; see the log'
    return '' if settled else 'the node did not come to rest'
