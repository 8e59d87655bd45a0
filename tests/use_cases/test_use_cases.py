"""What holds between use cases: they share the lake, so no two may write the same raw table."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import use_cases
from nightjar.declaration.use_case import load_use_case


def test_every_raw_table_belongs_to_one_use_case() -> None:
    folders = [path.parent.name for root in use_cases.__path__ for path in Path(root).glob("*/use_case.py")]
    assert "flight_delay" in folders
    raw = Counter(source.table.name for name in folders for source in load_use_case(name).data.sources)
    assert [name for name, writers in raw.items() if writers > 1] == []
