# SPDX-License-Identifier: Apache-2.0
"""What the tests here share: samples.py, the pictures of the imaging tests, a guidance."""

from pathlib import Path
import sys

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / 'imaging')]


@pytest.fixture
def guidance(tmp_path):
    """Return the path of a guidance checkpoint with random weights."""
    from safetensors.torch import save_file

    from degfusion_ros.models.guidance import Guidance
    guidance = Guidance()
    save_file(guidance.state_dict(), tmp_path / 'guidance.safetensors',
              {'kind': 'guidance', 'clip': guidance.clip_name})
    return tmp_path / 'guidance.safetensors'
