# SPDX-License-Identifier: Apache-2.0
"""Lets the tests of calibrate use the scenes of the imaging tests."""

from pathlib import Path
import sys

sys.path.insert(0, str(Path(__file__).parents[1] / 'imaging'))
