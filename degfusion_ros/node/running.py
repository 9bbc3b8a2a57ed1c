# SPDX-License-Identifier: Apache-2.0
"""The two threads an active node has besides its executor: the worker and the judge."""

from collections.abc import Collection

from sensor_msgs.msg import CameraInfo

from degfusion_ros.node.frames import Decoder
from degfusion_ros.node.gaps import Gaps
from degfusion_ros.node.health import Health
from degfusion_ros.node.judge import Judge
from degfusion_ros.node.memory import Frugal, is_out_of_memory
from degfusion_ros.node.outputs import Outputs
from degfusion_ros.node.pipeline import Pipeline
from degfusion_ros.node.settings import Settings
from degfusion_ros.node.verdicts import Verdicts
from degfusion_ros.stream.mailbox import Mailbox
from degfusion_ros.stream.pairing import Pair, Single
from degfusion_ros.stream.presence import STREAMS

PATIENCE_S = 60.0  # for the frame, and the judgement, in hand when the node stops
BURST = 4  # pairs more than one that DDS hands over at once after a moment's hold-up (depth 5)


class Running:
    """Lives from activate to deactivate; starts its threads when made."""

    def __init__(
            self, settings: Settings, fuser: object, decoder: Decoder, outputs: Outputs,
            infos: dict[str, CameraInfo], health: Health, warm_sizes: set[tuple[int, int]]):
        self._outputs, self._health = outputs, health
        self._closing = False
        gaps = Gaps()
        self.frugal = Frugal(fuser, lambda text: health.complain('memory', text))
        self._verdicts = Verdicts(self.frugal, settings, outputs, health, gaps)
        self.judge = Judge(
            self._verdicts, rate_hz=lambda: settings['degradation.rate_hz'],
            scene_change=lambda: settings['degradation.scene_change'],
            on_error=lambda error: self._failed('judge_error', error))
        self.pipeline = Pipeline(
            settings, self.frugal, decoder, self.judge, self._verdicts, outputs, infos, health,
            warm_sizes)

        def work(pair: Pair | Single) -> None:
            health.busy.note(False)
            with gaps:
                self.pipeline(pair)
        try:
            self._mailbox: Mailbox[Pair | Single] = Mailbox(
                work, on_drop=self._count_drop, name='worker',
                on_error=self._lost_pair, burst=BURST)
        except Exception:  # no thread to be had: leave none behind
            self.judge.close(PATIENCE_S)
            raise

    def put(self, pair: Pair | Single) -> None:
        """Hand over the newest pair or lonely frame; what it displaces is dropped as 'busy'."""
        self._mailbox.put(pair)

    def lost(self, streams: Collection[str]) -> None:
        """Say in the labels whose camera is lost, where any have been said."""
        if streams and self._verdicts.labels:
            self._verdicts.lost(streams)

    def close(self) -> None:
        """End both threads after what they have in hand; a waiting pair counts as 'stopped'."""
        self._closing = True
        for name, thread in (('worker', self._mailbox), ('judge', self.judge)):
            if not thread.close(PATIENCE_S):
                self._health.complain(
                    name, f'the {name} has not ended after {PATIENCE_S:.0f} s: what it holds is '
                    'not freed, restart the process')
        if self._outputs.can_publish():
            self.lost(STREAMS)  # the latched labels are of no picture any more

    def _lost_pair(self, error: Exception) -> None:
        cause = 'out_of_memory' if is_out_of_memory(error) else 'internal_error'
        self._failed(cause, error, 'pairs')

    def _failed(self, cause: str, error: Exception, what: str = '') -> None:
        if self._outputs.can_publish():  # nothing can be, once ROS has shut down
            self._health.failed(cause, error, what)

    def _count_drop(self, pair: Pair | Single) -> None:
        self._health.count(f'dropped.pairs.{"stopped" if self._closing else "busy"}')
        if not (self._closing or self.pipeline.warming):
            self._health.busy.note(True)
