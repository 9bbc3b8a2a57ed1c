# SPDX-License-Identifier: Apache-2.0
"""Lets the tests here share samples.py, and the pictures of the imaging tests."""

from pathlib import Path
import sys

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / 'imaging')]
