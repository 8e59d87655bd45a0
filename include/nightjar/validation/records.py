"""Split the bytes of a CSV file into records and rejected lines: RFC 4180, one pass, bounded memory.

A record is one line, or several lines when a quoted field holds line breaks, with exactly the header's number of
fields. A line that breaks this is rejected, and reading resumes outside quotes at the next line. A line with an even
number of quotes cannot continue a record when read from outside quotes, so no line is read more than three times.

A stray quote can make rows look like the inside of one field. When the bytes are ambiguous, all lines concerned are
rejected: see :mod:`nightjar.validation.odd_quotes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from nightjar.validation.lines import BELOW, BLANK, GOOD, PROBLEMS, Lines
from nightjar.validation.odd_quotes import OddQuotes
from nightjar.validation.quoting import Layout

MAX_RECORD_BYTES = 4 << 20
"""Maximum bytes of a record, and of a line."""


@dataclass(frozen=True)
class RejectedLine:
    """A line that is not a record.

    Attributes:
        number: Line number in the file; the header is line 1.
        problem: Description of the problem.
        text: The line without its line end.
    """

    number: int
    problem: str
    text: str


@dataclass(frozen=True)
class Piece:
    """Consecutive whole lines of a file: the bytes of ``records`` records with line ends, and the rejected lines."""

    data: bytes
    records: int
    rejected: list[RejectedLine]


def split_records(chunks: Iterable[bytes], layout: Layout) -> Iterator[Piece]:
    """Split the bytes after the header line into records and rejected lines.

    Args:
        chunks: The bytes, in pieces of any size; valid UTF-8 as a whole.
        layout: Expected form of a row.
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
    """Splits buffer after buffer, tracking the line number and whether a blank line has ended the table."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._number = 2
        self._after_blank = False
        self._ended = False

    def split(self, data: bytes, *, final: bool) -> tuple[Piece, int]:
        """Return the records and rejected lines of ``data``, and the number of bytes consumed."""
        lines = Lines(data, self._layout, final=final)
        if not len(lines.starts):
            return Piece(b"", 0, []), 0
        decided = OddQuotes(lines, self._layout, MAX_RECORD_BYTES, final=final).decide()
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
        """After a blank line, reject the rest unless the next line is certainly a row: another table begins there."""
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
        """Return the bytes of all good lines, and the number of records in them."""
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
