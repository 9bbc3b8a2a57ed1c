# SPDX-License-Identifier: Apache-2.0
"""Steady labels from noisy severities: hysteresis, so that a label does not flicker."""

CLEAN = ('clean',)
UNSURE = ('unsure',)
MISSING = ('missing',)  # no picture to judge: said by the node, never by the filter


class LabelFilter:
    """
    Turn the severities of one modality into its active labels.

    A label becomes active after `count` judgements in a row at `on` or above, and ends after
    `count` in a row below `off`. 'unsure' comes and goes the same way; while a judgement is
    unsure its severities are not believed. The very first judgement is taken as it is.
    """

    def __init__(self, on: float = 0.25, off: float = 0.15, count: int = 2):
        if not 0 <= off <= on <= 1:
            raise ValueError(f'off={off}, on={on}: they must hold 0 <= off <= on <= 1')
        if count < 1:
            raise ValueError(f'count is {count}: it must be 1 or more')
        self._on, self._off, self._count = on, off, count
        self.reset()

    def reset(self) -> None:
        """Forget all judgements."""
        self._active: dict[str, bool] = {}
        self._streak: dict[str, int] = {}
        self._labels: tuple[str, ...] | None = None

    def update(self, severities: dict[str, float], unsure: bool = False) -> tuple[str, ...]:
        """
        Take one judgement (label -> severity 0..1) and return the labels to show.

        They are the active ones, most severe first; ('clean',) if none; ('unsure',).
        """
        self._settle('unsure', bool(unsure), not unsure)
        if not unsure:
            for label, severity in severities.items():
                self._settle(label, severity >= self._on, severity < self._off)
        if self._active['unsure']:
            self._labels = UNSURE
        elif not unsure or self._labels is None:
            self._labels = self._ranked(severities)
        return self._labels

    def _settle(self, label, rises, falls):
        """Switch a label once `count` judgements in a row ask for it."""
        if label not in self._active:
            self._active[label] = rises
            self._streak[label] = 0
            return
        asks = falls if self._active[label] else rises
        self._streak[label] = self._streak[label] + 1 if asks else 0
        if self._streak[label] >= self._count:
            self._active[label] = not self._active[label]
            self._streak[label] = 0

    def _ranked(self, severities) -> tuple[str, ...]:
        active = [label for label in severities if self._active[label]]
        return tuple(sorted(active, key=lambda label: -severities[label])) or CLEAN
