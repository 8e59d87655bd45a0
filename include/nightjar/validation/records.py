"""Split the bytes of a CSV file into records and rejected lines: RFC 4180, one pass, bounded memory.

A record is a line, or several where a quoted field holds line breaks. Each has exactly the header's number of fields.
A line that breaks this is rejected, and reading begins again, outside quotes, at the next line. A line with an even
number of quotes cannot carry a record on when it is read from outside, so no line is read more than three times.

A stray quote may make lines that are rows look like the inside of one field. Where the bytes leave that open, all lines
in doubt are rejected: see :mod:`nightjar.validation.doubt`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from nightjar.validation.doubt import Doubt
from nightjar.validation.lines import BELOW, BLANK, GOOD, PROBLEMS, Lines
from nightjar.validation.quoting import Layout

MAX_RECORD_BYTES = 4 << 20
"""Most bytes of a record, and of a line."""


@dataclass(frozen=True)
class RejectedLine:
    """A line that is no record.

    Attributes:
        number: Its number in the file; the header is line 1.
        problem: What is wrong with it.
        text: The line, without its end.
    """

    number: int
    problem: str
    text: str


@dataclass(frozen=True)
class Piece:
    """Some whole lines of a file: ``records`` records as bytes, each with its line end, and the rejected lines."""

    data: bytes
    records: int
    rejected: list[RejectedLine]


def split_records(chunks: Iterable[bytes], layout: Layout) -> Iterator[Piece]:
    """Split what follows the header line.

    Args:
        chunks: The bytes below the header, in pieces of any size; valid UTF-8 as a whole.
        layout: The header's fields, and what tells a row from text.
    """
    splitter = _Splitter(layout)
    carried = b""
    for chunk in chunks:
        data = carried + chunk
        piece, used = splitter.split(data, final=False)
        carried = data[used:]
        yield piece
    if carried:
        yield splitter.split(carried, final=True)[0]


class _Splitter:
    """Reads buffer after buffer; remembers the line number, and whether a blank line has ended the table."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._number = 2
        self._after_blank = False
        self._ended = False

    def split(self, data: bytes, *, final: bool) -> tuple[Piece, int]:
        """Return the records and rejected lines of ``data``, and how many of its bytes they take."""
        lines = Lines(data, self._layout, final=final)
        if not len(lines.starts):
            return Piece(b"", 0, []), 0
        decided = Doubt(lines, self._layout, MAX_RECORD_BYTES, final=final).decide()
        whole = decided == len(lines.starts)
        passed = (int(lines.numbers[-1]) + 1) if whole else int(lines.numbers[decided])
        used = int(lines.nexts[-1]) if whole else int(lines.starts[decided])
        lines.cut(decided)
        lines.reject_bad_text()
        self._end_table(lines)
        piece = Piece(*self._good(lines), self._rejected(lines))
        self._number += passed
        return piece, used

    def _end_table(self, lines: Lines) -> None:
        """Below a blank line a row must show that it is one; otherwise another table begins there."""
        blank = np.flatnonzero(lines.codes == BLANK)
        if self._after_blank:
            blank = np.concatenate([[-1], blank])
        count = len(lines.codes)
        for line in blank if not self._ended else ():
            below = int(line) + 1
            if below < count and lines.codes[below] != BLANK and not self._is_row(lines, below):
                self._ended = True
                lines.codes[below:][lines.codes[below:] != BLANK] = BELOW
                break
        else:
            if self._ended:
                lines.codes[lines.codes != BLANK] = BELOW
        if count:
            self._after_blank = bool(lines.codes[-1] == BLANK)

    def _is_row(self, lines: Lines, line: int) -> bool:
        return bool(lines.codes[line] == GOOD) and self._layout.is_row(lines.record(line), sure=True)

    def _good(self, lines: Lines) -> tuple[bytes, int]:
        """The bytes of all good lines, and how many records they are."""
        good = lines.codes == GOOD
        records = int(np.count_nonzero(good & lines.begins))
        if good.all():
            data = lines.data[int(lines.starts[0]) : int(lines.nexts[-1])] if len(good) else b""
        else:
            edges = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]])))
            spans = zip(lines.starts[edges[::2]].tolist(), lines.nexts[edges[1::2] - 1].tolist(), strict=True)
            data = b"".join(_ended(lines.data[start:stop]) for start, stop in spans)
        return _ended(data), records

    def _rejected(self, lines: Lines) -> list[RejectedLine]:
        return [
            RejectedLine(
                number=self._number + int(lines.numbers[line]),
                problem=PROBLEMS[int(lines.codes[line])],
                text=lines.record(line).decode(),
            )
            for line in np.flatnonzero((lines.codes > BLANK) & lines.begins).tolist()
        ]


def _ended(data: bytes) -> bytes:
    return data if not data or data.endswith(b"\n") else data + b"\n"
