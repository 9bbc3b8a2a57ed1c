# SPDX-License-Identifier: Apache-2.0
"""What goes wrong in a soak, and when: a plan from a seed."""

from dataclasses import dataclass
import random

# Lengths in seconds: long enough for /diagnostics to tell, short enough for many of them.
LENGTHS = {
    'thermal gone': (2.5, 5.0), 'visible gone': (2.5, 5.0), 'both gone': (2.5, 8.0),
    'thermal frozen': (3.5, 6.0), 'visible frozen': (3.5, 6.0),
    'thermal rubbish': (2.5, 5.0), 'visible rubbish': (2.5, 5.0),
    'rubbish in between': (1.0, 3.0), 'thermal late': (1.0, 3.0),
    'thermal restarts': (0.5, 2.0), 'visible restarts': (0.5, 2.0),
    'visible size': (0.1, 0.1), 'thermal size': (0.1, 0.1),
    'jump back': (0.1, 0.1), 'jump ahead': (0.1, 0.1), 'thermal clock': (2.5, 5.0)}
KINDS = tuple(LENGTHS)
# What /diagnostics must say of it. A thermal frame that comes 30 ms late is paired like any other.
TOLD = {
    'thermal gone': 'thermal missing', 'visible gone': 'visible missing',
    'both gone': 'visible missing.*thermal missing',
    'thermal frozen': 'thermal frozen', 'visible frozen': 'visible frozen',
    'thermal rubbish': 'thermal unusable', 'visible rubbish': 'visible unusable',
    'rubbish in between': 'frames were dropped a moment ago',
    'thermal restarts': 'thermal missing', 'visible restarts': 'visible missing',
    'visible size': 'visible sends', 'thermal size': 'thermal sends',
    'jump back': 'jumped back', 'jump ahead': 'jumped ahead',
    'thermal clock': 'thermal stamps jumped ahead|no two frames are within'}
QUIET_END_S = 3.0


@dataclass(frozen=True)
class Fault:
    """One fault: its kind, and when it begins and ends, in seconds from the start."""

    kind: str
    start_s: float
    end_s: float


def plan(seconds: float, every_s: float, seed: int, hasten: float = 1.0) -> list[Fault]:
    """
    Return the faults of a soak, all kinds in turn in an order by chance, none at its very end.

    First each camera is alone at every size, so that what a size costs in memory, and a picture
    of one camera, is there by the time that memory is looked at.
    every_s: mean pause between two of them. hasten: divides the lengths, for a soak of seconds.
    """
    rng, faults, now = random.Random(seed), [], 0.0
    kinds = ['visible size', 'thermal gone', 'visible gone'] * 3  # from the end
    while True:
        kinds = kinds or rng.sample(KINDS, len(KINDS))
        kind = kinds.pop()
        start = now + every_s * rng.uniform(0.5, 1.5)
        now = start + rng.uniform(*LENGTHS[kind]) / hasten
        if now > seconds - QUIET_END_S / hasten:
            return faults
        faults.append(Fault(kind, start, now))
