# SPDX-License-Identifier: Apache-2.0
"""Lets the tests here share launched.py."""

from pathlib import Path
import sys

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from launched import describe  # noqa: E402


@pytest.fixture
def described(request, monkeypatch):
    file, given = request.param if isinstance(request.param, tuple) else (request.param, {})
    return describe(monkeypatch, file, given)
