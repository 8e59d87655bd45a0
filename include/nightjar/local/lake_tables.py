"""The Delta tables and views of a local lake that readers get, and those left out, with the reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from itertools import groupby
from pathlib import Path

from nightjar.declaration.use_case import load_use_case
from nightjar.declaration.views import View, latest_scores
from nightjar.protocol.errors import ConfigurationError, NightjarError


@dataclass(frozen=True, kw_only=True)
class LakeTable:
    """A folder with a Delta log: ``<lake>/<schema>/<name>``."""

    schema: str
    name: str
    folder: Path

    @property
    def path(self) -> str:
        """Path below the lake's root."""
        return f"{self.schema}/{self.name}"


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A table or view that readers do not get.

    Attributes:
        path: Path below the lake's root, or ``<schema>/<view>`` of a view.
        reason: One-line reason.
    """

    path: str
    reason: str

    @classmethod
    def because(cls, path: str, error: BaseException) -> LeftOut:
        """Build it from the first line of an error."""
        text = error.what if isinstance(error, NightjarError) else f"{type(error).__name__}: {error}"
        return cls(path=path, reason=text.strip().split("\n")[0][:300])

    def __str__(self) -> str:
        text = f"left out {self.path}: {self.reason}"
        return "".join(
            sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text
        )  # one line, whatever the name


def find_tables(lake: Path) -> tuple[list[LakeTable], list[LeftOut]]:
    """Return the Delta tables below the lake's root, sorted, and those hidden by another table.

    SQL names are case-insensitive. Of names that differ by case alone, the lower-case one is offered, as declared
    tables are lower-case; without one, the first in code point order.

    Raises:
        ConfigurationError: when the lake has no table.
    """
    logs = [log for log in lake.glob("*/*/_delta_log") if not log.parts[-3].startswith("_")]
    tables = [LakeTable(schema=log.parts[-3], name=log.parts[-2], folder=log.parent) for log in logs]
    if not tables:
        raise ConfigurationError("the lake has no table yet", where=str(lake), fix="fill it with `make run`")
    offered, left_out = [], []
    for lower, group in groupby(sorted(tables, key=_precedence), key=lambda table: table.path.lower()):
        first, *others = group
        offered.append(first)
        left_out += [
            LeftOut(path=table.path, reason=f"its name differs from {first.path} by case alone ({lower} in SQL)")
            for table in others
        ]
    return offered, left_out


def find_views(tables: Iterable[LakeTable]) -> tuple[list[View], list[LeftOut]]:
    """Return the views on ``tables``, and those that cannot be created; only a declared use case has one."""
    existing = {table.path.lower() for table in tables}
    views, left_out = [], []
    for table in tables:
        if table.schema != "scores" or not _is_declared(table.name):
            continue
        try:
            view = latest_scores(load_use_case(table.name))
        except Exception as error:  # the declaration is user code and may raise anything
            left_out.append(LeftOut.because(f"{table.path}_latest", error))
            continue
        if f"{view.schema}/{view.name}" in existing:
            left_out.append(LeftOut(path=f"{view.schema}/{view.name}", reason="a table has the name of this view"))
        else:
            views.append(view)
    return views, left_out


def _precedence(table: LakeTable) -> tuple[str, bool, str]:
    return table.path.lower(), table.path != table.path.lower(), table.path


def _is_declared(name: str) -> bool:
    return any((Path(root) / name / "use_case.py").is_file() for root in import_module("use_cases").__path__)
