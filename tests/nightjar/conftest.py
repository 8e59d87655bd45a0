"""Fixtures of the library's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from nightjar.lake.lake import Lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty lake; programs' tests have its URI under this name, as a spec carries it."""
    folder = tmp_path / "lake"
    folder.mkdir()
    return Lake(str(folder))
