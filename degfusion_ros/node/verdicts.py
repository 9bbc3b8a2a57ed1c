# SPDX-License-Identifier: Apache-2.0
"""What the judge finds: the fuser's refreshed weights, steadied labels, severities."""

from collections.abc import Collection
import threading
import time

from degfusion_ros.imaging.alignment import Alignment
from degfusion_ros.node.gaps import Gaps
from degfusion_ros.node.health import Health
from degfusion_ros.node.judge import Sight
from degfusion_ros.node.outputs import Outputs
from degfusion_ros.node.settings import Settings
from degfusion_ros.stream.labels import LabelFilter, MISSING, UNSURE
from degfusion_ros.stream.presence import STREAMS as MODALITIES

ALIGNMENT_GAP_S = 2.0  # between two looks: a mount bends slowly, and looking costs frames


class Verdicts:
    """Judges a sight when called; runs in the judge's thread."""

    def __init__(self, fuser: object, settings: Settings, outputs: Outputs, health: Health,
                 gaps: Gaps):
        self._fuser, self._settings, self._gaps = fuser, settings, gaps
        self._outputs, self._health = outputs, health
        self._filters: dict[str, LabelFilter] = {}
        self._steadied_by: tuple | None = None
        self._alignment, self._aligned_s = Alignment(), -1e9
        self._missing: frozenset[str] = frozenset()
        self._lock = threading.Lock()  # the worker and the executor tell what is missing
        self.labels: dict[str, tuple[str, ...]] = {}  # modality -> what was published last

    def __call__(self, sight: Sight) -> None:
        """Refresh the fuser's weights from a pair and publish what was seen in it."""
        with self._health.stages.measure('judge'):
            found = self._fuser.refresh(sight.visible, sight.thermal, self._gaps.wait,
                                        self._settings['degradation.smoothing'],
                                        ('visible',) if self._restores(sight) else ())
        judged = {}
        with self._lock:
            for modality in MODALITIES:
                if modality == sight.missing or modality in self._missing:
                    judged[modality] = ({}, MISSING)
                    continue
                severities = getattr(found, modality)
                labels = self._filter(modality).update(severities, found.unsure[modality])
                judged[modality] = (severities, labels)
                self._say(modality, labels)
        self._outputs.scores(sight.header, judged)
        self._health.count('judged')
        now = time.monotonic()
        if not sight.missing and now - self._aligned_s >= ALIGNMENT_GAP_S:
            self._aligned_s = now
            self._gaps.wait()
            self._check_alignment(sight)

    def lost(self, missing: Collection[str]) -> bool:
        """Say at once whose cameras are lost; return whether one is back, not judged yet."""
        with self._lock:
            back, self._missing = self._missing.difference(missing), frozenset(missing)
            for modality in back:
                self._filter(modality).reset()
                self._say(modality, UNSURE)
            for modality in missing:
                self._say(modality, MISSING)
        return bool(back)

    def _restores(self, sight: Sight) -> bool:
        """Tell whether the restored visible image is shown anywhere."""
        return sight.missing == 'thermal' or any(
            map(self._outputs.listened, ('visible_restored', 'mosaic')))

    def _check_alignment(self, sight: Sight) -> None:
        """Note how far the thermal picture lies off the visible one."""
        with self._health.stages.measure('alignment'):
            found = self._alignment.update(sight.visible, sight.thermal)
        allowed = self._settings['registration.warn_share'] * sight.visible.shape[1]
        self._health.misalignment = found
        self._health.misaligned = found is not None and 0 < allowed < found.px

    def _say(self, modality: str, labels: tuple[str, ...]) -> None:
        if labels != self.labels.get(modality):
            self.labels = {**self.labels, modality: labels}
            self._outputs.labels(modality, labels)

    def _filter(self, modality: str) -> LabelFilter:
        (off, on), count = self._settings['degradation.hysteresis'], \
            self._settings['degradation.count']
        if (off, on, count) != self._steadied_by:
            self._filters = {name: LabelFilter(on=on, off=off, count=count) for name in MODALITIES}
            self._steadied_by = (off, on, count)
        return self._filters[modality]
