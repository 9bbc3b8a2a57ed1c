# SPDX-License-Identifier: Apache-2.0
"""A transition asked for in the wrong state is refused, where rclpy lets it end the process."""

from lifecycle_msgs.srv import ChangeState
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode


def refuse_wrong_transitions(node: LifecycleNode) -> None:
    """
    Make the node's change_state service answer a transition that its state does not have.

    rclpy (Humble to Kilted) raises RCLError in the executor instead: any client could end the
    node by asking twice for the same transition.
    """
    service = next(s for s in node.services if s.srv_type is ChangeState)
    change = service.callback

    def guarded(request: ChangeState.Request,
                response: ChangeState.Response) -> ChangeState.Response:
        try:
            return change(request, response)
        except rclpy_implementation.RCLError:
            if not node.context.ok():  # told to end in the midst of it
                raise
            asked = request.transition
            node.get_logger().warning(
                f'transition {asked.label or asked.id} refused: not possible in this state')
            response.success = False
            return response

    service.callback = guarded
