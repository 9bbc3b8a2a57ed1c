# SPDX-License-Identifier: Apache-2.0
"""Lets the tests here share scenes.py."""

from pathlib import Path
import sys

sys.path.insert(0, str(Path(__file__).parent))
