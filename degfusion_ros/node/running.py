# SPDX-License-Identifier: Apache-2.0
"""The two threads an active node has besides its executor: the worker and the judge."""

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

PATIENCE_S = 60.0  # for the frame in hand when the node stops
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
        verdicts = Verdicts(self.frugal, settings, outputs, health, gaps)
        self.judge = Judge(
            verdicts, rate_hz=lambda: settings['degradation.rate_hz'],
            scene_change=lambda: settings['degradation.scene_change'],
            on_error=lambda error: self._failed('judge_error', error))
        self.pipeline = Pipeline(
            settings, self.frugal, decoder, self.judge, verdicts, outputs, infos, health,
            warm_sizes)

        def work(pair: Pair | Single) -> None:
            with gaps:
                self.pipeline(pair)
        self._mailbox: Mailbox[Pair | Single] = Mailbox(
            work, on_drop=self._count_drop, name='worker',
            on_error=self._lost_pair, burst=BURST)

    def put(self, pair: Pair | Single) -> None:
        """Hand over the newest pair or lonely frame; what it displaces is dropped as 'busy'."""
        self._mailbox.put(pair)

    def close(self) -> None:
        """End both threads after what they have in hand; a waiting pair counts as 'stopped'."""
        self._closing = True
        if not self._mailbox.close(timeout_s=PATIENCE_S):
            self._health.complain('worker', f'the worker has not ended after {PATIENCE_S:.0f} s')
        self.judge.close()

    def _lost_pair(self, error: Exception) -> None:
        cause = 'out_of_memory' if is_out_of_memory(error) else 'internal_error'
        self._failed(f'dropped.pairs.{cause}', error)

    def _failed(self, key: str, error: Exception) -> None:
        if self._outputs.can_publish():  # nothing can be, once ROS has shut down
            self._health.failed(key, error)

    def _count_drop(self, pair: Pair | Single) -> None:
        self._health.count(f'dropped.pairs.{"stopped" if self._closing else "busy"}')
