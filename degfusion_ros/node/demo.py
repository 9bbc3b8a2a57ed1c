# SPDX-License-Identifier: Apache-2.0
"""One flight: the real node in its own process, a bag played to it, its outputs recorded."""

from collections.abc import Callable
from dataclasses import dataclass
import os
from pathlib import Path
import threading
import time

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from degfusion_ros import bags
from degfusion_ros.node.player import Player
from degfusion_ros.node.process import isolate, NodeProcess
from degfusion_ros.node.recorder import Recorder, Verdict

START_S = 180.0  # for the node to load its model, the first time from a cold disk
MATCH_S = 30.0  # for discovery
DRAIN_S = 20.0  # for the last pairs to come back


class DemoError(RuntimeError):
    """A flight that could not take off or came down; one line says why."""


@dataclass(frozen=True)
class Flight:
    """What was sent, what came back and what the node says; times are monotonic ns."""

    sent: dict[str, dict[int, int]]  # stream -> header stamp -> published
    fused: dict[int, int]  # header stamp -> arrived
    verdicts: list[Verdict]
    pictures: list[tuple[int, str]]  # header stamp, file name
    node: dict[str, str]  # the node's last status


def fly(bag: Path, topics: tuple[str, str], output: Path, parameters: dict[str, object],
        on_state: Callable[[str], None], on_progress: Callable[[float, str], None],
        rate: float = 1.0, parameter_file: Path | None = None,
        reference: str = 'visible') -> Flight:
    """
    Play a bag through the node; writes output/fused.mcap, output/frames/ and output/node.log.

    topics: the bag's visible and thermal image topics. on_state: told what is going on before and
    after. on_progress: told the share played and the counts so far. reference: the stream whose
    frames wait for partners. Raises DemoError, BagError.
    """
    isolate()
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node('degfusion_demo')
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    spinner = threading.Thread(target=executor.spin, name='spin', daemon=True)
    try:
        player = Player(node, bag, *topics)
        parameters = {'autostart': True, **parameters, **{
            f'input.{name}.transport': kind for name, kind in player.transport.items()}}
        with bags.Writer(output / 'fused.mcap') as writer, \
                NodeProcess(parameters, output / 'node.log', parameter_file) as process:
            # The node shall have the processor first, as on a robot where nobody records.
            os.nice(5)
            recorder = Recorder(node, writer, output / 'frames')
            spinner.start()
            try:
                _take_off(player, recorder, process, on_state)
                _play(bag, player, recorder, process, rate, on_progress)
                on_state('waiting for the last pairs')
                _drain(player, recorder, process, reference)
            finally:
                executor.shutdown()
                spinner.join()
        return Flight(player.sent, recorder.fused, recorder.verdicts, recorder.pictures,
                      recorder.values)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


def _take_off(player: Player, recorder: Recorder, process: NodeProcess,
              on_state: Callable[[str], None]) -> None:
    on_state('starting the fusion node')

    def active() -> bool:
        if recorder.state:
            on_state(f'fusion node: {recorder.state}')
        if recorder.state.startswith('cannot'):
            raise DemoError(f'the fusion node {recorder.state}')
        return recorder.state.startswith('waiting')

    _wait(active, START_S, 'the fusion node to become active', process, recorder)
    on_state('waiting for all topics to be connected')
    _wait(lambda: player.matched() and recorder.matched(), MATCH_S,
          'the topics to be connected', process, recorder)


def _play(bag: Path, player: Player, recorder: Recorder, process: NodeProcess, rate: float,
          on_progress: Callable[[float, str], None]) -> None:
    first, last = bags.span_ns(bag)
    now = [first, time.monotonic_ns()]
    recorder.bag_time = lambda: now[0] + round((time.monotonic_ns() - now[1]) * rate)

    def told(time_ns: int) -> None:
        now[:] = [time_ns, time.monotonic_ns()]
        _check(process, recorder)
        labels = recorder.verdicts[-1].labels if recorder.verdicts else {}
        words = '  '.join(f'{name}: {", ".join(found)}' for name, found in labels.items())
        on_progress((time_ns - first) / max(last - first, 1),
                    f'{len(recorder.fused)} of {len(player.sent["visible"])} fused  {words}')

    player.play(rate, told)


def _drain(player: Player, recorder: Recorder, process: NodeProcess, reference: str) -> None:
    """Wait until two statuses in a row say that nothing is under way and all has come back."""
    before: dict[str, str] = {}

    def settled() -> bool:
        nonlocal before
        values = recorder.values
        if values is before:
            return False
        keys = [k for k in values if k.startswith(('received', 'dropped', 'fused', 'pairs'))]
        still = all(values.get(k) == before.get(k) for k in keys)
        idle = all(int(values.get(k, 0)) == 0 for k in
                   ('in_progress', f'waiting.{reference}'))
        before = values
        return still and idle and len(recorder.fused) >= int(values.get('fused', 0))

    try:
        _wait(settled, DRAIN_S, 'the last pairs', process, recorder)
    except DemoError:
        _check(process, recorder)  # what has not come back is counted, and is no failure by itself


def _wait(condition: Callable[[], bool], seconds: float, what: str, process: NodeProcess,
          recorder: Recorder) -> None:
    end = time.monotonic() + seconds
    while not condition():
        _check(process, recorder)
        if time.monotonic() > end:
            raise DemoError(f'waited {seconds:.0f} s in vain for {what}; '
                            f'the node said: {recorder.state or "nothing"} (see {process.log})')
        time.sleep(0.05)


def _check(process: NodeProcess, recorder: Recorder) -> None:
    ended = process.ended()
    if ended is not None:
        raise DemoError(f'the fusion node ended with {ended} (see {process.log})')
    if recorder.error is not None:
        raise recorder.error
