"""A landed night to corrupt: its files as text tables or bytes, and its manifest."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

FILES = ("flights.csv", "schedule.csv", "weather.csv", "planes.csv", "airports.csv", "airlines.csv")


class Landed:
    """A copy of a clean night's folder."""

    def __init__(self, clean: Path, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(clean, folder)
        self.folder = folder
        self.day_before = clean.parent / (pd.Timestamp(clean.name) - pd.Timedelta(days=1)).date().isoformat()
        self.random = np.random.default_rng(20130515)

    def table(self, file: str) -> pd.DataFrame:
        """The file's fields as they stand, all text."""
        return pd.read_csv(io.BytesIO(self.bytes(file)), dtype=str, keep_default_na=False)

    def write(self, file: str, table: pd.DataFrame, **how: str) -> None:
        """Replace the file, and update the manifest."""
        self.write_bytes(file, table.to_csv(index=False, lineterminator=how.pop("lines", "\n"), **how).encode())

    def change(self, file: str, change: Callable[[pd.DataFrame], pd.DataFrame | None]) -> None:
        """Replace the file by what ``change`` makes of its table (in place, or returned)."""
        table = self.table(file)
        changed = change(table)
        self.write(file, table if changed is None else changed)

    def column(self, file: str, name: str, change: Callable[[pd.Series], object], *, share: float = 1.0) -> None:
        """Replace a column's values that are not NA, in that share of the file's rows."""

        def apply(table: pd.DataFrame) -> None:
            rows = self.some(table, share)
            rows = rows[table.loc[rows, name] != "NA"]
            table.loc[rows, name] = change(table.loc[rows, name])

        self.change(file, apply)

    def some(self, table: pd.DataFrame, share: float) -> pd.Index:
        """That share of the rows, drawn from a fixed seed."""
        return table.index[np.sort(self.random.permutation(len(table))[: round(share * len(table))])]

    def bytes(self, file: str) -> bytes:
        return (self.folder / file).read_bytes()

    def write_bytes(self, file: str, data: bytes, *, honest: bool = True) -> None:
        """Replace the file, and update the manifest when ``honest``."""
        (self.folder / file).write_bytes(data)
        if honest:
            manifest = json.loads((self.folder / "manifest.json").read_text())
            rows = sum(1 for _ in csv.reader(io.StringIO(data.decode(errors="replace"), newline=""))) - 1
            manifest[file] = {"rows": max(0, rows), "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            (self.folder / "manifest.json").write_text(json.dumps(manifest))


def scaled(factor: float, decimals: int = 0) -> Callable[[pd.Series], object]:
    """Numbers times ``factor``."""
    return lambda values: (values.astype(float) * factor).round(decimals).map(lambda x: f"{x:.{decimals}f}")


def times(hours: float) -> Callable[[pd.Series], object]:
    """ISO timestamps, shifted by hours."""

    def later(values: pd.Series) -> pd.Series:
        return (pd.to_datetime(values, utc=True) + pd.Timedelta(hours=hours)).dt.strftime("%Y-%m-%dT%H:%M:%SZ")

    return later
