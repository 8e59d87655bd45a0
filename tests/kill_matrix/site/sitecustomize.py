"""Every Python of a victim loads this: at the moment that the environment names it says so, and waits for its end.

The product knows nothing of it: what changes the world (files, commits, aliases, versions, results) is wrapped here,
in the driver and in Spark's Python workers alike.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nightjar import runner
from nightjar.lake import commit, files, ledger
from nightjar.lake.parquet import TableFileWriter
from nightjar.registry import models, tracking

MOMENT, MARKER = os.environ["KILL_MOMENT"], Path(os.environ["KILL_MARKER"])


def reached(moment: str) -> None:
    if moment == MOMENT and not MARKER.exists():
        MARKER.write_text(str(os.getpid()))
        time.sleep(600)


def wrap(owner: Any, name: str, before: tuple[str, ...], after: tuple[str, ...] = ()) -> None:
    """Make ``owner.name`` reach moments before and after it does what it does."""
    inner: Callable[..., Any] = getattr(owner, name)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        for moment in before:
            reached(moment)
        result = inner(*arguments, **named)
        for moment in after:
            reached(moment)
        return result

    setattr(owner, name, wrapped)


def count_commits() -> None:
    """Reach a moment where one table of several is committed and the next is not."""
    inner: Callable[..., Any] = commit._try_commit
    calls: list[int] = []

    def counted(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            reached(BETWEEN)
        return inner(*arguments, **named)

    commit._try_commit = counted


BETWEEN = "between two commits"
FIRST, AMONG, COMMIT = "before the first write", "among the files", "before the commit"
RESULT, END = "before the result is recorded", "before Airflow knows"

wrap(TableFileWriter, "_writer", (FIRST,), (AMONG,))
wrap(commit, "_try_commit", (FIRST, COMMIT), (AMONG,))
count_commits()
wrap(models, "set_champion", (FIRST, COMMIT), (AMONG,))
wrap(ledger, "record", (BETWEEN,))
wrap(tracking, "_log_run", (FIRST,), (AMONG,))
wrap(tracking, "_create_version", (COMMIT,))

write_text = files.write_text


def write_result(uri: str, text: str) -> None:
    is_result = uri.endswith("/result.json")
    for moment in (FIRST, COMMIT, RESULT) if is_result else ():
        reached(moment)
    write_text(uri, text)
    for moment in (AMONG, END) if is_result else ():
        reached(moment)


runner.files = type("files", (), {"write_text": staticmethod(write_result)})  # type: ignore[assignment]
