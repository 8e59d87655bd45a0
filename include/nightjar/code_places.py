"""Find the line of code that caused an error."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

_NAMED_LINE = re.compile(r"(?P<file>/[^\n\"]+?\.py)(?:\", line |:)(?P<line>\d{1,9})")
"""Matches a line in Python tracebacks (also those of Spark's Python workers) and in Spark's query contexts."""


def place_of(error: BaseException) -> str:
    """Return ``<file>:<line>`` of the last line of a use case that led to ``error``.

    Spark raises later and elsewhere: only the message then names the faulty line. Without a line of a use case, return
    the deepest line of Nightjar, else the deepest line of all, else ``?``.
    """
    lines = [line for cause in _chain(error) for line in _lines_of(cause)]
    for packages in (("use_cases",), ("nightjar", "nightjar_spark", "nightjar_jobs")):
        named = [
            (within, number) for file, number in lines for package in packages if (within := _within(package, file))
        ]
        if named:
            return f"{named[-1][0]}:{named[-1][1]}"
    return f"{lines[-1][0].rsplit('/', 1)[-1]}:{lines[-1][1]}" if lines else "?"


def place_in_use_case(text: str) -> str | None:
    """Return ``use_cases/<file>:<line>`` of the last line of a use case in the traceback ``text``."""
    named = [(_within("use_cases", match["file"]), match["line"]) for match in _NAMED_LINE.finditer(text)]
    inside = [f"{file}:{line}" for file, line in named if file]
    return inside[-1] if inside else None


def _chain(error: BaseException) -> list[BaseException]:
    """Return the error's causes, the root cause first, and the error last."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.insert(0, current)
        current = current.__cause__ or current.__context__
    return chain


def _lines_of(error: BaseException) -> Iterator[tuple[str, int]]:
    for frame in traceback.extract_tb(error.__traceback__)[1:]:  # the first frame is the line that called the program
        yield frame.filename, frame.lineno or 0
    if isinstance(error, SyntaxError) and error.filename:
        yield error.filename, error.lineno or 0
    for match in _NAMED_LINE.finditer(str(error)):
        yield match["file"], int(match["line"])


def _within(package: str, file: str) -> str:
    """Return the path of ``file`` starting at ``package``; empty for a file of another package."""
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if Path(file).is_relative_to(folder):
            return f"{package}/{Path(file).relative_to(folder)}"
    return ""
