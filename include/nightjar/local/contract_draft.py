"""``make contract-draft``: propose a contract from the rows of a table, for a person to review."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from nightjar.lake.active_files import active_files
from nightjar.lake.lake import Lake
from nightjar.lake.rows import read_rows
from nightjar.protocol.errors import ConfigurationError
from nightjar.protocol.names import check_identifier

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

NIGHTS = 60
"""Maximum number of latest nights to read."""
LISTED_VALUES = 20
"""A text column with at most this many values becomes a set; with more, a pattern is tried."""
KEY_COLUMNS = 6
"""Maximum number of columns in a key."""
MIN_NIGHTS = 7
"""Minimum number of nights for a volume rule."""
_NOT_LANDED = {"ds", "source_file", "landed_at"}
_HEAD = '''"""Draft of a contract from {rows:,} rows of {nights} nights of {table}.

Review each line before you copy it to `sources.py`. Ranges are the observed ones plus half their width on each side.
Units, comments, rules across columns, and the freshness of a night (`fresh`) are yours to write.
"""

from nightjar.declaration.rules import {imports}
from nightjar.declaration.tables import DS, Column, TableSchema
from nightjar.declaration.data import Source

'''


def write_draft(lake: Lake, table: str, folder: Path) -> Path:
    """Draft the contract of a table, print it, and write it to ``<folder>/<table>.py``; return the file.

    Raises:
        ConfigurationError: for an invalid table name, or a table without rows.
        LakeError: when the table does not exist.
    """
    parts = table.split("/")
    if len(parts) != 2:
        raise ConfigurationError(
            f"{table!r} is not a table", where="TABLE", fix="say `TABLE=raw/<name>`; see `make query`"
        )
    for part in parts:
        check_identifier(part, field="TABLE")
    opened = lake.open_table(table)
    if "ds" not in opened.metadata().partition_columns:
        raise ConfigurationError(
            f"{table} is not partitioned by ds", where="TABLE", fix="name a table of nights; see `make query`"
        )
    nights = sorted({file.partition["ds"] for file in active_files(opened, {})})[-NIGHTS:]
    if not nights:
        raise ConfigurationError(f"{table} has no rows", where="TABLE", fix="ingest some nights, then draft again")
    rows = read_rows(opened, partitions={"ds": nights})
    text = draft(table, rows)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{parts[1]}.py"
    file.write_text(text)
    print(text)
    print(f"written: {file}")
    return file


def draft(table: str, rows: pa.Table) -> str:
    """Return the contract as Python: a :class:`~nightjar.declaration.data.Source` whose rules all ``rows`` keep."""
    import pyarrow as pa

    frame = rows.to_pandas()
    columns = [name for name in rows.column_names if name not in _NOT_LANDED]
    single = [name for name in columns if not pa.types.is_nested(rows.schema.field(name).type)]
    key = find_key(frame, single)
    rules = [rule for name in single for rule in _row_rules(frame[name], name, in_key=name in key)]
    night_rules = list(_night_rules(frame, columns))
    name = table.split("/")[1]
    calls = sorted({rule.split("(")[0] for rule in (*rules, *night_rules)})
    lines = [
        _HEAD.format(rows=len(frame), nights=frame["ds"].nunique(), table=table, imports=", ".join(calls) or "Rule"),
        f"{name.upper()} = Source(",
        f'    file="{name}.csv",',
        "    table=TableSchema(",
        f'        name="{table}",',
        '        comment="?",',
        f"        key={key!r},",
        "        columns=(",
        "            DS,",
        *(f'            Column({column!r}, "{_type(rows.schema.field(column).type)}", "?"),' for column in columns),
        '            Column("source_file", "string", "Landed file that held the row.", nullable=False),',
        '            Column("landed_at", "timestamp", "When that file landed (UTC).", nullable=False),',
        "        ),",
        "    ),",
        "    rules=(",
        *(f"        {rule}," for rule in rules),
        "    ),",
        "    night_rules=(",
        *(f"        {rule}," for rule in night_rules),
        "    ),",
        ")",
    ]
    return "\n".join(lines) + "\n"


def find_key(frame: pd.DataFrame, columns: Sequence[str]) -> tuple[str, ...]:
    """Return the smallest set of columns that identifies a night's rows, preferring many values; empty if none does."""
    import pandas as pd

    fit = [c for c in columns if frame[c].notna().all() and not pd.api.types.is_float_dtype(frame[c])]
    fit = sorted(fit, key=lambda name: (-frame[name].nunique(), columns.index(name)))
    for size in range(1, min(KEY_COLUMNS, len(fit)) + 1):
        for chosen in combinations(fit, size):
            if not frame.duplicated(["ds", *chosen]).any():
                return tuple(sorted(chosen, key=columns.index))
    return ()


def shape(values: Sequence[str]) -> str:
    """Return a pattern of digits and capitals that matches all values, with their length range; empty if none does."""
    shapes = {re.sub(r"[0-9]", "9", re.sub(r"[A-Z]", "A", value)) for value in values}
    letters = {char for text in shapes for char in text}
    if not letters or not letters <= {"9", "A"}:
        return ""
    symbols = "".join(part for char, part in (("9", "0-9"), ("A", "A-Z")) if char in letters)
    low, high = min(map(len, values)), max(map(len, values))
    return f"[{symbols}]{{{low}}}" if low == high else f"[{symbols}]{{{low},{high}}}"


def _row_rules(values: pd.Series, name: str, *, in_key: bool) -> Iterator[str]:
    """Yield the rules that every row keeps."""
    import pandas as pd

    present = values.dropna()
    if values.notna().all() and not in_key:
        yield f"not_null({name!r})"
    if present.empty:
        return
    if pd.api.types.is_numeric_dtype(present) and not pd.api.types.is_bool_dtype(present):
        low, high = _wider(float(present.min()), float(present.max()))
        yield f'between({name!r}, {low:g}, {high:g}, unit="?")'
    elif isinstance(present.iloc[0], str):
        distinct = sorted(present.unique())
        if len(distinct) <= LISTED_VALUES and len(present) > 5 * len(distinct):
            yield f"one_of({name!r}, {tuple(distinct)!r})"
        elif pattern := shape(distinct):
            yield f'matches({name!r}, {pattern!r}, like="?")'


def _night_rules(frame: pd.DataFrame, columns: Sequence[str]) -> Iterator[str]:
    """Yield the rules that every night keeps."""
    by_night = frame.groupby("ds")
    rows = by_night.size()
    if len(rows) >= MIN_NIGHTS:
        low, high = rows.min() / rows.median(), rows.max() / rows.median()
        yield f"volume({max(0.1, math.floor(8 * low) / 10):g}, {math.ceil(12 * high) / 10:g})"
    for name in columns:
        share = by_night[name].apply(lambda values: values.isna().mean()).max()
        if 0 < share < 0.5:
            yield f"nulls_at_most({name!r}, {min(1.0, math.ceil(20 * share) / 10):g})"


def _wider(low: float, high: float) -> tuple[float, float]:
    """Widen a range by half its width on each side, rounded outwards to two digits; bounds keep their sign."""
    margin = 0.5 * (high - low) or max(1.0, abs(high))
    wide_low = low - margin if low < 0 else max(0.0, low - margin)
    wide_high = high + margin if high > 0 else min(0.0, high + margin)
    return _outwards(wide_low, math.floor), _outwards(wide_high, math.ceil)


def _outwards(value: float, towards: object) -> float:
    if value == 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    rounded: float = towards(value / unit) * unit  # type: ignore[operator]
    return float(f"{rounded:.6g}")


def _type(kind: pa.DataType) -> str:
    import pyarrow as pa

    if kind == pa.list_(pa.string()):
        return "array<string>"
    named = {pa.int32(): "int", pa.int64(): "long", pa.float64(): "double", pa.bool_(): "boolean", pa.date32(): "date"}
    return "timestamp" if pa.types.is_timestamp(kind) else named.get(kind, "string")
