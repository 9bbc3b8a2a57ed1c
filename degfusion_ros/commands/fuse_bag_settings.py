# SPDX-License-Identifier: Apache-2.0
"""`fuse-bag`: the node's parameters, from the file that the node itself is given."""

import argparse
from pathlib import Path

from degfusion_ros.commands import parameter_file
from degfusion_ros.node.parameters import DEFAULTS

# the command's option -> the parameter that it overrides
OPTIONS = {'max_dt': 'sync.max_dt_s', 'smoothing': 'degradation.smoothing',
           'registration': 'registration.file', 'model': 'model.name',
           'device': 'model.device', 'precision': 'model.precision'}


def settings(args: argparse.Namespace) -> dict[str, object]:
    """
    Return {parameter: value} of `args.params` (None: no file) and the options, defaults filled in.

    Raises SettingsError. A parameter that the node does not have is told on stderr.
    """
    found = dict(DEFAULTS)
    if args.params:
        found |= parameter_file.read(args.params, args.name, 'fuse-bag')
    for option, name in OPTIONS.items():
        value = getattr(args, option)
        if value is not None:
            found[name] = str(value) if isinstance(value, Path) else value
    if args.refresh is not None:
        found['degradation.rate_hz'] = 1 / args.refresh if args.refresh else float('inf')
    return found
