"""Files of state are private to their owner; files of the repository are not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nightjar.local.__main__ import main


@pytest.mark.parametrize(
    ("command", "mask"), [("query", 0o077), ("night", 0o077), ("new-use-case", 0o022), ("grafana", 0o022)]
)
def test_state_is_private_and_sources_are_not(
    command: str, mask: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nightjar.local.__main__._dispatch_table", lambda *_: {command: lambda: None})
    monkeypatch.setattr("nightjar.local.__main__._end_with_make", lambda _: None)  # leave pytest's signals alone
    before = os.umask(0o022)
    try:
        assert main([command], {"NIGHTJAR_VAR": str(tmp_path)}) == 0
        assert os.umask(0o022) == mask
    finally:
        os.umask(before)
