# SPDX-License-Identifier: Apache-2.0
"""
The node's parameters, one table: declarations, checks and config/fusion.yaml come from it.

Write config/fusion.yaml anew with `python -m degfusion_ros.node.parameters > config/fusion.yaml`.
"""

import re
from typing import NamedTuple

from degfusion_ros.imaging.encodings import THERMAL_ENCODINGS, VISIBLE_ENCODINGS
from degfusion_ros.imaging.errors import MAX_SIDE
from degfusion_ros.imaging.registration import SMALLEST_SIDE
from degfusion_ros.imaging.thermal import NARROWEST

SIZE = r'[1-9]\d{0,5}x[1-9]\d{0,5}'  # WIDTHxHEIGHT
SIDES = SMALLEST_SIDE, MAX_SIDE

START = 'fixed once the node runs'
CONFIGURE = 'taken at configure'
ANY = 'any time'


class Entry(NamedTuple):
    """
    One parameter: a list of two numbers is a low and a high end.

    `range` is of the number, of both ends, or of every number in a text of the `pattern`.
    """

    name: str
    default: bool | int | float | str | list
    about: str
    range: tuple | None = None
    unit: str = ''
    choices: tuple = ()
    pattern: str = ''  # a regular expression for what may stand instead of a choice
    change: str = CONFIGURE
    apart: bool = False  # low and high must differ
    narrowest: float = 0.0  # low and high are further apart, unless they are the same

    def allowed(self) -> str:
        """Return in words what the parameter may be."""
        unit = f' {self.unit}' if self.unit else ''
        if isinstance(self.default, bool):
            return 'true or false'
        if isinstance(self.default, list):
            order = '<' if self.apart else '<='
            width = f', the same or more than {self.narrowest} apart' if self.narrowest else ''
            return (f'[low, high] with {self.range[0]} <= low {order} high <= {self.range[1]}'
                    f'{unit}{width}')
        if self.range and not self.pattern:
            kind = 'an integer' if isinstance(self.default, int) else 'a number'
            return f'{kind} from {self.range[0]} to {self.range[1]}{unit}'
        words = list(self.choices) + ([self.unit] if self.pattern else [])
        sides = f' from {self.range[0]} to {self.range[1]} a side' if self.range else ''
        return 'one of ' + ', '.join(words) + sides if words else 'a text'

    def cast(self, value: object) -> object:
        """Return whole numbers as floats where the parameter is one: 2 is as good as 2.0."""
        if isinstance(self.default, list) and _is_list(value):
            return [float(v) if _is_number(v) else v for v in value]
        return float(value) if isinstance(self.default, float) and _is_number(value) else value

    def accept(self, value: object) -> bool | int | float | str | list:
        """Return `value` in the parameter's own type; raise ValueError naming what is allowed."""
        value = self.cast(value)
        if type(value) is not type(self.default) or not self._holds(value):
            raise ValueError(f'{self.name} must be {self.allowed()}, not {value!r}')
        return value

    def _holds(self, value) -> bool:
        if isinstance(value, list):
            low, high = self.range
            return (len(value) == 2 and all(isinstance(v, float) for v in value)
                    and low <= value[0] <= value[1] <= high
                    and not (self.apart and value[0] == value[1])
                    and (value[0] == value[1] or value[0] < value[1] - self.narrowest))
        if self.pattern:
            return value in self.choices or self._fits(value)
        if self.range:
            return self.range[0] <= value <= self.range[1]
        return not self.choices or value in self.choices

    def _fits(self, value: str) -> bool:
        return bool(re.fullmatch(self.pattern, value)) and (not self.range or all(
            self.range[0] <= int(number) <= self.range[1] for number in re.findall(r'\d+', value)))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_list(value: object) -> bool:
    return not isinstance(value, (str, bytes)) and hasattr(value, '__iter__')


TABLE = (
    Entry('autostart', False,
          "Configure and activate without being asked; the launch files' argument of this name "
          '(true) overrides it.', change=START),

    Entry('model.name', 'dgmoe', 'A shipped model, or the path of a .safetensors file.'),
    Entry('model.device', 'auto', 'Where it runs; auto takes the GPU where there is one.',
          choices=('auto', 'cpu', 'cuda'), pattern=r'cuda:\d+', unit='cuda:N'),
    Entry('model.precision', 'auto', 'Arithmetic; auto takes the fastest the device is good at.',
          choices=('auto', 'float32', 'bfloat16', 'float16')),
    Entry('model.engine', 'auto',
          'What computes the frames; auto: openvino on a CPU where installed, else torch.',
          choices=('auto', 'torch', 'openvino', 'onnxruntime')),
    Entry('model.providers', 'cpu',
          'Where onnxruntime computes; what tensorrt or cuda cannot do falls to cuda, then cpu.',
          choices=('cpu', 'cuda', 'tensorrt')),
    Entry('model.warm_up_size', '640x512',
          'Frame size to warm up for at configure; first: the size of the first pair, then.',
          SIDES, 'WIDTHxHEIGHT', choices=('first',), pattern=SIZE),

    Entry('sync.policy', 'nearest',
          "nearest: the nearest stamp after a bounded wait; the others are message_filters'.",
          choices=('nearest', 'exact', 'approximate')),
    Entry('sync.reference', 'visible', 'The stream whose frames and stamps the output follows.',
          choices=('visible', 'thermal')),
    Entry('sync.max_dt_s', 0.05, 'Stamps further apart than this are never a pair.',
          (0.0, 5.0), 's'),
    Entry('sync.wait_s', 0.15,
          'How long a reference frame waits for its partner at most; for the policy nearest alone.',
          (0.0, 5.0), 's'),
    Entry('sync.offset_visible_s', 0.0, "Added to the visible camera's stamps before pairing.",
          (-10.0, 10.0), 's'),
    Entry('sync.offset_thermal_s', 0.0, "Added to the thermal camera's stamps before pairing.",
          (-10.0, 10.0), 's'),
    Entry('sync.hold_s', 0.3,
          'Use the last partner again for as long (a slower camera, a shutter closing); 0: no; '
          'for the policy nearest alone.',
          (0.0, 10.0), 's'),
    Entry('sync.lost_after_s', 0.3,
          'Without a partner for as long a camera goes on alone, restored, on the fused topic; '
          'longer than its period; 0: never.',
          (0.0, 60.0), 's'),
    Entry('sync.frozen_after_s', 1.3,
          'The same pixels for longer are a dead camera (longer than a shutter closes); with '
          'use_sim_time, in both cameras at once, a scene at rest; 0: never.',
          (0.0, 60.0), 's'),
    Entry('sync.skew_warn_s', 0.15, 'Warn of stamps that lie further apart than this.',
          (0.0, 60.0), 's', change=ANY),
    Entry('sync.drift_warn_ppm', 100.0, 'Warn of clocks that part faster than this.',
          (1.0, 1e6), 'ppm', change=ANY),
    Entry('sync.queue_size', 16, 'Frames of one stream that may wait for a partner.',
          (1, 1000), 'frames'),

    Entry('degradation.rate_hz', 2.0,
          'How often the newest pair is judged; 0: only on request and on a change of scene.',
          (0.0, 30.0), 'Hz', change=ANY),
    Entry('degradation.smoothing', 0.75,
          'Share of the last judgement kept in what steers the network: against flicker; a change '
          'of scene forgets it.', (0.0, 0.95), change=ANY),
    Entry('degradation.hysteresis', [0.15, 0.25],
          'Severities below which a label goes and from which it comes.',
          (0.0, 1.0), change=ANY),
    Entry('degradation.count', 2, 'Judgements in a row before a label comes or goes.',
          (1, 50), 'judgements', change=ANY),
    Entry('degradation.scene_change', 0.1,
          'Judge at once when the thumbnails differ by this on average; 0: never.',
          (0.0, 1.0), 'of full scale', change=ANY),

    Entry('thermal.window', [0.0, 0.0],
          'Raw values (counts, kelvin or Celsius) that become black and white; '
          'twice the same: by percentile, 8 bit as it is.',
          (-1e6, 1e6), change=ANY, narrowest=NARROWEST),
    Entry('thermal.percentile', [1.0, 99.0],
          'Percentiles that become black and white, of 16 bit and float frames.',
          (0.0, 100.0), '%', change=ANY, apart=True),
    Entry('thermal.smoothing', 0.9,
          "Share of the percentiles' last window kept in the next: against flicker.",
          (0.0, 0.999), change=ANY),
    Entry('thermal.crop_top_px', 0, 'Telemetry rows to cut off the top.',
          (0, 1000), 'rows', change=ANY),
    Entry('thermal.crop_bottom_px', 0, 'Telemetry rows to cut off the bottom.',
          (0, 1000), 'rows', change=ANY),
    Entry('thermal.invert', False, 'The camera sends black for hot.', change=ANY),
    Entry('thermal.sensor_bits', 0,
          "Scale 16 bit frames by the sensor's range, 0 to 2^bits - 1; 0: by percentile.",
          (0, 16), 'bits', change=ANY),

    Entry('registration.file', '',
          'YAML of the calibrate command that maps thermal to visible; empty: aligned already.'),
    Entry('registration.warn_share', 0.02,
          'Warn when thermal lies off visible by more than this share of the width; 0: never.',
          (0.0, 0.5), 'of the width', change=ANY),

    Entry('output.size', 'visible', 'Size of the fused image.',
          SIDES, 'WIDTHxHEIGHT', choices=('visible', 'thermal'), pattern=SIZE),
    Entry('output.mosaic_rate_hz', 2.0,
          'How often the mosaic is made while somebody looks; it needs both restored pictures.',
          (0.1, 100.0), 'Hz', change=ANY),
    Entry('output.jpeg_quality', 90,
          'Of ~/fused/image/compressed and the like, made while somebody listens.',
          (1, 100), change=ANY),
    Entry('output.colour', 'rgb8', 'Encoding of the fused image.',
          choices=('rgb8', 'bgr8', 'mono8'), change=ANY),

    Entry('input.visible.transport', 'raw',
          'compressed subscribes to <topic>/compressed; topic: the name without that.',
          choices=('raw', 'compressed')),
    Entry('input.visible.encoding', 'auto', 'What a frame holds if its own encoding is wrong.',
          choices=('auto', *VISIBLE_ENCODINGS), change=ANY),
    Entry('input.thermal.transport', 'raw',
          'compressed subscribes to <topic>/compressed; topic: the name without that.',
          choices=('raw', 'compressed')),
    Entry('input.thermal.encoding', 'auto', 'What a frame holds if its own encoding is wrong.',
          choices=('auto', *THERMAL_ENCODINGS), change=ANY),
)

ENTRIES = {entry.name: entry for entry in TABLE}
DEFAULTS = {entry.name: entry.default for entry in TABLE}
OF_ROS = ('use_sim_time', 'qos_overrides.', 'start_type_description_service')  # any node's


def to_yaml() -> str:
    """Return the text of config/fusion.yaml: every parameter, its default and what it means."""
    lines = [
        '# Parameters of fusion_node, each with its default. Anything left out keeps it.',
        '# Written from degfusion_ros/node/parameters.py; a test holds both together.',
        '# QoS can be overridden by topic, here or on the command line, for instance:',
        '#   qos_overrides./visible/image_raw.subscription.reliability: reliable',
        '# The topic is named as it is after remapping, with its namespace, and with /compressed',
        '# behind it where input.*.transport says so.',
        '/**:', '  ros__parameters:']
    above = []
    for entry in TABLE:
        *groups, name = entry.name.split('.')
        if groups != above:
            shared = sum(a == b for a, b in zip(groups, above, strict=False))
            lines += [''] * (not shared) + [
                f'{"  " * (2 + depth)}{groups[depth]}:' for depth in range(shared, len(groups))]
            above = groups
        pad = '  ' * (2 + len(groups))
        lines += [f'{pad}# {entry.about}', f'{pad}# {entry.allowed()}; {entry.change}']
        lines += [f'{pad}{name}: {_scalar(entry.default)}']
    return '\n'.join(lines) + '\n'


def _scalar(value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}'" if isinstance(value, str) else str(value)


if __name__ == '__main__':
    print(to_yaml(), end='')
