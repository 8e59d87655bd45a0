"""Lines with an odd number of quotes: part of a quoted field over several lines, or with a stray quote."""

from __future__ import annotations

import numpy as np

from nightjar.validation.lines import AMBIGUOUS, BLANK, GOOD, LINE_END, QUOTING, WIDTH, Lines
from nightjar.validation.quoting import Layout, closing_quote, ends_with_line_end, width_of


class OddQuotes:
    """Decides the lines of a buffer with an odd number of quotes ("odd lines"), in order.

    Two odd lines form a record of several lines if the text between is quoted by RFC 4180 and the bytes allow only this
    reading: no line inside is a row by itself, and no record could begin at the last line. Otherwise all these lines
    are ambiguous.
    """

    def __init__(self, lines: Lines, layout: Layout, max_bytes: int, *, final: bool) -> None:
        self._lines = lines
        self._layout = layout
        self._max_bytes = max_bytes
        self._final = final
        self._odd: list[int] = np.flatnonzero(lines.odd).tolist()

    def decide(self) -> int:
        """Set the codes of the odd lines, and return the number of lines whose decision no later bytes can change."""
        at = 0
        while at < len(self._odd):
            lines = self._decide_odd(at)
            if not lines:
                return self._decided(self._odd[at])
            at += lines
        return self._decided(len(self._lines.codes))

    def _decide_odd(self, at: int) -> int:
        """Decide from the odd line ``at`` on.

        Returns:
            The number of odd lines decided; 0 when more of the file is needed.
        """
        lines, first = self._lines, self._odd[at]
        if lines.codes[first] == QUOTING:
            return self._reject(first)
        if at + 1 == len(self._odd):
            return 0 if self._waits(first) else self._reject(first)
        last = self._odd[at + 1]
        width = self._width(first, last)
        if width is None:
            return self._reject(first)
        if width == self._layout.columns:
            end = self._end_of_chain(at + 1)
            if end < 0:
                return 0
            if end > at + 1:
                self._reject_lost_opening(first)
                self._mark_ambiguous(first, self._odd[end])
                return end + 1 - at
        if any(self._is_row(line) for line in range(first + 1, last)):
            self._reject_lost_opening(first)
            self._mark_ambiguous(first, last)
            return 2
        code = GOOD if width == self._layout.columns else WIDTH
        if code == GOOD and ends_with_line_end(lines.record(last)):
            code = LINE_END
        lines.codes[first : last + 1] = code
        lines.begins[first + 1 : last + 1] = False
        return 2

    def _reject(self, line: int) -> int:
        """Leave the odd ``line`` rejected, and check whether it closes a quoted field whose opening quote is lost."""
        self._reject_lost_opening(line)
        return 1

    def _end_of_chain(self, at: int) -> int:
        """Return the last odd line from ``at`` on that forms a record with the next one; -1 when more bytes are needed.

        Such a chain has two readings: its first line begins a record, or has a stray quote and its second line begins
        one.
        """
        while self._lines.codes[self._odd[at]] != QUOTING:
            if at + 1 == len(self._odd):
                return -1 if self._waits(self._odd[at]) else at
            if self._width(self._odd[at], self._odd[at + 1]) != self._layout.columns:
                break
            at += 1
        return at

    def _waits(self, line: int) -> bool:
        """Return whether bytes after the buffer may still close a record that begins at ``line``."""
        return not self._final and len(self._lines.data) - int(self._lines.starts[line]) <= self._max_bytes

    def _width(self, first: int, last: int) -> int | None:
        start, stop = int(self._lines.starts[first]), int(self._lines.stops[last])
        return width_of(self._lines.data[start:stop]) if stop - start <= self._max_bytes else None

    def _is_row(self, line: int) -> bool:
        return bool(self._lines.codes[line] == GOOD) and self._layout.is_row(self._lines.record(line))

    def _mark_ambiguous(self, first: int, last: int) -> None:
        codes = self._lines.codes[first : last + 1]
        codes[codes != BLANK] = AMBIGUOUS
        self._lines.begins[first : last + 1] = True

    def _reject_lost_opening(self, stray: int) -> None:
        """When ``stray`` closes a quoted field whose opening quote is lost, reject the row that lost it.

        That row still has the right number of fields, but its last field is truncated. Nothing is rejected when a line
        in between may hold the opening quote as well, or when ``stray`` is a row apart from one quote.
        """
        text = self._lines.record(stray)
        closing = closing_quote(text)
        if closing is None:
            return
        after = width_of(text[closing + 2 :]) if closing + 1 < len(text) else 0
        needed = self._layout.columns - (after or 0)
        if self._layout.is_row_once_mended(text, needed):
            return
        codes, odd, begins = self._lines.codes, self._lines.odd, self._lines.begins
        for line in range(stray - 1, -1, -1):
            if codes[line] == GOOD and begins[line]:
                if needed > 0:
                    self._mark_ambiguous(line, self._lines.last_of(line))
                return
            if codes[line] not in (GOOD, BLANK) and (odd[line] or self._may_open(line, needed)):
                return

    def _may_open(self, line: int, needed: int) -> bool:
        width = width_of(self._lines.record(line))
        return width is None or width >= needed

    def _decided(self, count: int) -> int:
        """Return ``count``, or the index of the last row before it while later bytes may reveal a lost quote in it."""
        if self._final:
            return count
        codes, odd = self._lines.codes[:count], self._lines.odd[:count]
        good = np.flatnonzero((codes == GOOD) & self._lines.begins[:count])
        if not len(good):
            return count
        last = int(good[-1])
        explained = bool((odd[last:] & (codes[last:] != GOOD)).any())
        return count if explained or not self._waits(last) else last
