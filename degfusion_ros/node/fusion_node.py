# SPDX-License-Identifier: Apache-2.0
"""
The fusion node: a managed node that wires inputs, worker, judge and outputs together.

Threads: the executor takes messages in and pairs them; a worker fuses the newest pair; the judge
looks at the newest pair a few times a second. Publishing is safe from any of them.
"""

import gc
import signal
import sys
import traceback

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
import rclpy
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from std_srvs.srv import SetBool, Trigger

from degfusion_ros.imaging.registration import Registration
from degfusion_ros.node import diagnostics
from degfusion_ros.node.frames import Decoder
from degfusion_ros.node.health import Health
from degfusion_ros.node.inputs import Inputs
from degfusion_ros.node.loading import Load, load_and_warm_up, load_fuser
from degfusion_ros.node.memory import give_gpu_back
from degfusion_ros.node.outputs import Outputs
from degfusion_ros.node.qos import mismatches
from degfusion_ros.node.running import Running
from degfusion_ros.node.settings import Settings
from degfusion_ros.node.transitions import refuse_wrong_transitions

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
# One that comes back after a crash, and that nobody brings to work, must not look healthy.
IDLE = {'unconfigured': 'configure and activate it', 'inactive': 'activate it',
        'finalized': 'restart the process'}


class FusionNode(LifecycleNode):
    """
    Pairs visible and thermal images, fuses them, restores both, labels what degrades them.

    `load` makes the fuser of the parameters model.name, device, precision, engine and providers:
    Fuser.load unless told otherwise.
    """

    def __init__(self, load: Load = load_fuser, **options):
        super().__init__('fusion_node', **options)
        refuse_wrong_transitions(self)
        self._load = load
        self._settings = Settings(self)
        for name in self._settings.unknown():
            self.get_logger().warning(f'parameter {name} is unknown and without effect')
        self._state = 'unconfigured'
        self._fuser = self._inputs = self._outputs = self._health = self._decoder = None
        self._running: Running | None = None  # while active
        self._infos = {}  # camera_info by stream, kept: many drivers send it once
        self.create_service(SetBool, '~/enable', self._enable)
        self.create_service(Trigger, '~/refresh_degradation', self._refresh)
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._told = None  # the gist of the last status
        self._beat = self.create_timer(1.0, self._publish_diagnostics, clock=steady)
        self._glance = self.create_timer(0.1, self._publish_news, clock=steady)
        # The handle must live as long as the clock: a jump without it is a crash.
        self._jump_handle = self.get_clock().create_jump_callback(
            JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1)),
            post_callback=self._time_jumped)
        if self._settings['autostart']:
            self._starter = self.create_timer(0.0, self._start, clock=steady)

    # ---- lifecycle ----

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load and warm up the model, open the output topics."""
        try:
            self._settings.check()
            self._health = Health(self.get_logger())
            self._outputs = Outputs(self, self._settings)
            self._inputs = Inputs(
                self, self._settings, self._health, lambda pair: self._running.put(pair),
                self._infos)
            file = self._settings['registration.file']
            registration = Registration.load(file) if file else Registration.identity()
            self._decoder = Decoder(self._settings, registration)
            self._state = f'warming up: loading model {self._settings["model.name"]}'
            self.get_logger().info(self._state)
            self._fuser, self._warm_sizes = load_and_warm_up(
                self._load, self._settings, self._publish_diagnostics,
                lambda text: self._health.complain('warm_up', text))
        except Exception as error:  # whatever it is, the process lives and can be told better
            traceback.clear_frames(error.__traceback__)  # they hold what has been loaded
            self._free()
            return self._fail('configure', error)
        self.get_logger().info(
            f'model {self._fuser.name} runs on {self._fuser.device} in {self._fuser.precision}')
        self._settings.configured = True
        self._state = 'inactive'
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the threads and subscribe."""
        try:
            result = super().on_activate(state)
            self._decoder.reset()
            self._running = Running(
                self._settings, self._fuser, self._decoder, self._outputs, self._inputs.infos,
                self._health, self._warm_sizes)
            self._inputs.open()
        except Exception as error:  # a QoS override that is none, no thread to be had
            self._stop()
            super().on_deactivate(state)
            return self._fail('activate', error)
        for name in self._settings.idle_qos():
            self.get_logger().warning(
                f'parameter {name} is without effect: the node has no such topic, named as it is '
                f'after remapping ({", ".join(self._inputs.topics.values())}), or no such setting '
                'of it (history, depth, reliability)')
        self._state = 'active'
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe and end the threads after what they have in hand."""
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the model and take the output topics away."""
        result = super().on_cleanup(state)
        self._free()
        return result

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and free everything."""
        self.close()
        self._state = 'finalized'
        return SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Go back to unconfigured."""
        self.close()
        return SUCCESS

    def close(self) -> None:
        """Stop the threads and free everything; may be called in any state, and again."""
        self._stop()
        self._free()

    # ---- the parts ----

    def _stop(self) -> None:
        if self._running is None:
            return
        self._state = 'inactive'
        self._inputs.close()
        self._running.close()
        self._running = None

    def _free(self) -> None:
        for part in (self._inputs, self._outputs):
            if part is not None:
                part.destroy()
        self._fuser = self._inputs = self._outputs = self._health = self._decoder = None
        self._settings.configured = False
        self._state = 'unconfigured'
        gc.collect()  # a network's parts know each other
        give_gpu_back()

    def _fail(self, what: str, error: Exception) -> TransitionCallbackReturn:
        foreseen = isinstance(error, (ValueError, RuntimeError, OSError, ImportError))
        reason = ' '.join((str(error) if foreseen else repr(error)).split())
        told = f'cannot {what}: {reason}'
        self.get_logger().error(told)
        if not foreseen:
            self.get_logger().error(''.join(traceback.format_exception(error)))
        self._state = told
        return FAILURE

    # ---- callbacks of the executor ----

    def _start(self) -> None:
        self.destroy_timer(self._starter)
        if self.trigger_configure() == SUCCESS:
            self.trigger_activate()

    def _enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        if self._inputs is None:
            response.message = f'the node is not configured ({self._state})'
            return response
        self._inputs.pause(not request.data)
        response.success = True
        response.message = 'running' if request.data else 'paused'
        return response

    def _refresh(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self._running is not None
        response.message = f'the node is not active ({self._state})'
        if self._running is not None:
            self._running.judge.request()
            response.message = 'the next pair will be judged'
        return response

    def _time_jumped(self, jump: object) -> None:
        if self._inputs is not None:
            self._inputs.rewind()
            self._decoder.reset()

    def _publish_news(self) -> None:
        """Say at once what has changed: the next beat may be a second away."""
        if self._running is None:
            return
        self._running.lost(diagnostics.lost_streams(self._inputs, self._health))
        if self._gist(*self._active_state()) != self._told:
            self._publish_diagnostics()

    def _active_state(self) -> tuple[bytes, str]:
        return diagnostics.active_state(self, self._inputs, self._health, self._running)

    def _gist(self, level: bytes, state: str) -> tuple:
        return diagnostics.gist(level, state, diagnostics.degraded_mode(self._inputs))

    def _publish_diagnostics(self) -> None:
        if not self.context.ok():  # told to end while loading
            return
        level, state, values = DiagnosticStatus.OK, self._state, {}
        age, troubles = None, mismatches(self)
        if state.startswith('cannot'):
            level = DiagnosticStatus.ERROR
        elif state in IDLE:
            level, state = DiagnosticStatus.WARN, f'{state}, not fusing: {IDLE[state]}'
        if self._running is not None:
            age = self._running.judge.age_s()
            level, state = self._active_state()
            self._told = self._gist(level, state)
            troubles += self._running.frugal.troubles()
        if troubles:
            level, state = max(level, DiagnosticStatus.WARN), '; '.join([state, *troubles])
        if self._fuser is not None:
            values = {
                'model': self._fuser.name, 'device': self._fuser.device,
                'precision': self._fuser.precision, 'ran_by': self._fuser.way,
                'vector_age_s': 'none yet' if age is None else f'{age:.2f}',
                **diagnostics.values(self._inputs, self._health)}
        self._diagnostics.publish(diagnostics.status_message(
            self, level, state, values.get('device', ''), values))


def main(args: list[str] | None = None) -> int:
    """Run the node until it is told to end; returns the exit status."""
    try:
        rclpy.init(args=args)
        node = FusionNode()
    except RuntimeError as error:  # wrong arguments, a network or an enclave that is not there
        rclpy.try_shutdown()
        print(f'fusion_node cannot start: {" ".join(str(error).split())}', file=sys.stderr)
        return 1
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Exception:
        if rclpy.ok():  # told to end in the midst of a transition, nothing can be published
            raise
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # launch sends Ctrl-C twice
        executor.shutdown()
        node.close()
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
