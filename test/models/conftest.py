# SPDX-License-Identifier: Apache-2.0
"""Make steered.py importable by this folder's tests."""

from pathlib import Path
import sys

sys.path.insert(0, str(Path(__file__).parent))
