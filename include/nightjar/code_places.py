"""The line of code that an error comes from, as a person who mends it wants it named."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

_NAMED_LINE = re.compile(r"(?P<file>/[^\n\"]+?\.py)(?:\", line |:)(?P<line>\d{1,9})")
"""A line as Python's tracebacks name it (also those of Spark's Python workers), or as Spark's query contexts do."""


def place_of(error: BaseException) -> str:
    """Return ``<file>:<line>`` of the last line of a use case that led to ``error``.

    Spark raises much later than, and far from, the line that is wrong; that line is then named in the message alone.
    Without any line of a use case, the deepest one of Nightjar, or else of all, is returned; ``?`` when there is none.
    """
    lines = [line for one in _chain(error) for line in _lines_of(one)]
    for packages in (("use_cases",), ("nightjar", "nightjar_spark", "nightjar_jobs")):
        named = [
            (within, number) for file, number in lines for package in packages if (within := _within(package, file))
        ]
        if named:
            return f"{named[-1][0]}:{named[-1][1]}"
    return f"{lines[-1][0].rsplit('/', 1)[-1]}:{lines[-1][1]}" if lines else "?"


def place_in_use_case(text: str) -> str | None:
    """Return ``use_cases/<file>:<line>`` of the last line of a use case that ``text``, a traceback, names."""
    named = [(_within("use_cases", found["file"]), found["line"]) for found in _NAMED_LINE.finditer(text)]
    inside = [f"{file}:{line}" for file, line in named if file]
    return inside[-1] if inside else None


def _chain(error: BaseException) -> list[BaseException]:
    """The error's causes, the first one first, and the error last."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.insert(0, current)
        current = current.__cause__ or current.__context__
    return chain


def _lines_of(error: BaseException) -> Iterator[tuple[str, int]]:
    for frame in traceback.extract_tb(error.__traceback__)[1:]:  # the first is the line that waited for it
        yield frame.filename, frame.lineno or 0
    if isinstance(error, SyntaxError) and error.filename:
        yield error.filename, error.lineno or 0
    for found in _NAMED_LINE.finditer(str(error)):
        yield found["file"], int(found["line"])


def _within(package: str, file: str) -> str:
    """The path of ``file`` from ``package`` on; empty for a file of another package."""
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if Path(file).is_relative_to(folder):
            return f"{package}/{Path(file).relative_to(folder)}"
    return ""
