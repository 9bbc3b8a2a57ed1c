# SPDX-License-Identifier: Apache-2.0
"""The parameters on a running node: declared from the table, checked, read by name."""

from array import array

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from degfusion_ros.node.parameters import CONFIGURE, ENTRIES, Entry, OF_ROS, START, TABLE


class Settings:
    """Read as settings['sync.max_dt_s']: always the value that holds now."""

    def __init__(self, node: Node):
        """Declare every parameter; a wrong initial value is kept in `refused`, not raised."""
        self.refused: dict[str, str] = {}  # name -> why
        self.configured = False  # set by the node: CONFIGURE parameters are fixed meanwhile
        self._node = node
        for entry in TABLE:
            self._declare(entry)
        node.add_on_set_parameters_callback(self._check)
        if hasattr(node, 'add_pre_set_parameters_callback'):  # not in Humble
            node.add_pre_set_parameters_callback(_integers_to_doubles)

    def __getitem__(self, name: str):
        return self._node.get_parameter(name).value

    def check(self) -> None:
        """Raise ValueError while a refused initial value has not been replaced by a right one."""
        if self.refused:
            raise ValueError('; '.join(self.refused.values()))

    def group(self, prefix: str) -> tuple:
        """Return the values of a group, such as 'thermal', in the table's order."""
        values = (self[name] for name in ENTRIES if name.startswith(prefix + '.'))
        return tuple(tuple(v) if isinstance(v, (list, array)) else v for v in values)

    def unknown(self) -> list[str]:
        """Return names that a YAML file or the command line gave and that no entry has."""
        given = getattr(self._node, '_parameter_overrides', {})
        return [name for name in given if name not in ENTRIES and not name.startswith(OF_ROS)]

    def idle_qos(self) -> list[str]:
        """Return the QoS overrides that no topic has taken, of a node with all its topics."""
        given = getattr(self._node, '_parameter_overrides', {})
        return [name for name in given
                if name.startswith('qos_overrides.') and not self._node.has_parameter(name)]

    def _declare(self, entry: Entry) -> None:
        # A first declaration without a type takes whatever was given, without raising.
        given = self._node.declare_parameter(
            entry.name, entry.default, ParameterDescriptor(dynamic_typing=True)).value
        self._node.undeclare_parameter(entry.name)
        try:
            value = entry.accept(given)
        except ValueError as error:
            self.refused[entry.name] = str(error)
            value = entry.default
        self._node.declare_parameter(entry.name, value, _descriptor(entry), ignore_override=True)

    def _check(self, parameters: list[Parameter]) -> SetParametersResult:
        for parameter in parameters:
            entry = ENTRIES.get(parameter.name)
            if entry is None:  # use_sim_time, QoS overrides
                continue
            if entry.change == CONFIGURE and self.configured:
                reason = f'{entry.name} is {CONFIGURE}: clean up first'
                return SetParametersResult(successful=False, reason=reason)
            try:
                entry.accept(parameter.value)
            except ValueError as error:
                return SetParametersResult(successful=False, reason=str(error))
        for parameter in parameters:
            self.refused.pop(parameter.name, None)
        return SetParametersResult(successful=True)


def _integers_to_doubles(parameters: list[Parameter]) -> list[Parameter]:
    """Take `ros2 param set … 2` for 2.0, which rclpy refuses."""
    return [
        Parameter(p.name, value=ENTRIES[p.name].cast(p.value)) if p.name in ENTRIES else p
        for p in parameters]


def _descriptor(entry: Entry) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(
        description=entry.about, read_only=entry.change == START,
        additional_constraints=f'{entry.allowed()}; {entry.change}')
    if entry.range and isinstance(entry.default, float):
        low, high = entry.range
        descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    elif entry.range and isinstance(entry.default, int):
        low, high = entry.range
        descriptor.integer_range = [IntegerRange(from_value=low, to_value=high)]
    return descriptor
