"""The lines of a CSV buffer, classified one by one as if each began outside quotes; vectorised over bytes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nightjar.validation.quoting import BYTE_ORDER_MARK, Layout, ends_with_line_end, has_line_end, rows_between_returns

_COMMA, _QUOTE, _LF, _CR = b',"\n\r'
_LAST_BYTES = list(b"\x0b\x0c\x1c\x1d\x1e\x85\xa8\xa9")
GOOD, BLANK, WIDTH, QUOTING, UNCLOSED, AMBIGUOUS, LINE_END, NOT_TEXT, HEADER, BELOW = range(10)
"""Codes of a line: part of a record, blank, or one of the :data:`PROBLEMS`."""
PROBLEMS = {
    WIDTH: "the line has another number of fields than the header",
    QUOTING: "a quote stands inside an unquoted field, or text follows a closing quote",
    UNCLOSED: "a quoted field is not closed",
    AMBIGUOUS: "a quote is missing or stray: the line may be a row, or text inside a quoted field",
    LINE_END: "the line ends with another character than a line feed",
    NOT_TEXT: "the line holds a NUL byte or a byte order mark",
    HEADER: "the line repeats the header",
    BELOW: "the line lies below a blank line that ends the table",
}
Positions = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Lines:
    """Lines of a buffer.

    Attributes:
        data: The buffer.
        starts: Start of each line.
        stops: End of its text, before a line feed or CRLF.
        nexts: Start of the next line.
        numbers: Number of line feeds before each line.
        codes: Code of each line: :data:`GOOD`, :data:`BLANK` or a problem.
        odd: Whether it has an odd number of quotes: it begins or ends a field over several lines, or is invalid.
        begins: Whether a record or a rejected line begins there; false for the further lines of a record.
    """

    def __init__(self, data: bytes, layout: Layout, *, final: bool) -> None:
        self.data = data
        self._layout = layout
        self._bytes = np.frombuffer(data, np.uint8)
        self._find_lines(final=final)
        self.codes = np.zeros(len(self.starts), np.int8)
        self.odd = np.zeros(len(self.starts), np.bool_)
        self.begins = np.ones(len(self.starts), np.bool_)
        if len(self.starts):
            self._decide()

    def record(self, line: int) -> bytes:
        """Return the text of the record, or rejected line, that begins at ``line``."""
        return self.data[int(self.starts[line]) : int(self.stops[self.last_of(line)])]

    def last_of(self, line: int) -> int:
        """Return the last line of the record that begins at ``line``."""
        last = line
        while last + 1 < len(self.begins) and not self.begins[last + 1]:
            last += 1
        return last

    def cut(self, count: int) -> None:
        """Keep the first ``count`` lines."""
        for name in ("starts", "stops", "nexts", "numbers", "codes", "odd", "begins"):
            setattr(self, name, getattr(self, name)[:count])

    def reject_bad_text(self) -> None:
        """Reject every record that holds a NUL byte or a byte order mark."""
        positions = [*_find_positions(self.data, b"\0"), *_find_positions(self.data, BYTE_ORDER_MARK)]
        if not positions:
            return
        lines = np.unique(np.searchsorted(self.nexts, positions, side="right"))
        records = np.cumsum(self.begins)
        lines = lines[lines < len(records)]
        self.codes[np.isin(records, records[lines]) & (self.codes == GOOD)] = NOT_TEXT

    def _find_lines(self, *, final: bool) -> None:
        ends = np.flatnonzero(self._bytes == _LF)
        self.nexts = ends + 1
        if final and not self.data.endswith(b"\n"):
            ends, self.nexts = np.append(ends, len(self.data)), np.append(self.nexts, len(self.data))
        self.starts = np.concatenate([[0], self.nexts[:-1]]) if len(ends) else self.nexts
        with_return = (self._bytes[ends - 1] == _CR) & (ends > self.starts) & (self.nexts > ends)
        self.stops = ends - with_return
        self.numbers = np.arange(len(ends))

    def _decide(self) -> None:
        size = int(self.nexts[-1])
        text = self._bytes[:size]
        quotes, commas = np.flatnonzero(text == _QUOTE), np.flatnonzero(text == _COMMA)
        quoting = _Quoting(self, quotes)
        widths = np.bincount(self._line_of(commas[~quoting.hides(commas)]), minlength=len(self.starts)) + 1
        self.codes[widths != self._layout.columns] = WIDTH
        self._find_line_ends(text, quoting)
        self.codes[quoting.wrong] = QUOTING
        self.odd = quoting.odd
        self.codes[self.odd & (self.codes != QUOTING)] = UNCLOSED
        self.codes[self.starts == self.stops] = BLANK
        self._find_other_line_ends()
        self._find_headers()
        self._separate()

    def _line_of(self, positions: Positions) -> Positions:
        return np.searchsorted(self.nexts, positions, side="right")

    def _find_line_ends(self, text: npt.NDArray[np.uint8], quoting: _Quoting) -> None:
        """Mark lines with a carriage return outside quotes that no line feed follows."""
        if b"\r" in self.data:
            returns = np.flatnonzero(text == _CR)
            lines = self._line_of(returns)
            alone = (returns < self.stops[lines]) & ~quoting.hides(returns)
            self.codes[lines[alone]] = LINE_END

    def _find_other_line_ends(self) -> None:
        """Mark lines that end with a character that ends lines elsewhere; a text of one column may not hold any."""
        last = self._bytes[np.maximum(self.stops - 1, 0)]
        suspects = (self.codes == GOOD) & np.isin(last, _LAST_BYTES)
        test = ends_with_line_end
        if self._layout.columns == 1:
            suspects = (self.codes == GOOD) & (last != _QUOTE) & has_line_end(self.data)
            test = has_line_end
        for line in np.flatnonzero(suspects).tolist():
            if test(self.record(line)):
                self.codes[line] = LINE_END

    def _find_headers(self) -> None:
        header = self._layout.header
        alike = np.flatnonzero((self.stops - self.starts == len(header)) & (self.codes == GOOD))
        for line in alike.tolist():
            if self.data.startswith(header, int(self.starts[line])):
                self.codes[line] = HEADER

    def _separate(self) -> None:
        """Take lines apart at carriage returns: where all parts are rows, only the last ended as it should."""
        found: list[tuple[int, list[int]]] = []
        for line in np.flatnonzero(self.codes == LINE_END).tolist():
            begins = rows_between_returns(self.record(line), self._layout.columns)
            if begins:
                found.append((line, [int(self.starts[line]) + at for at in begins[1:]]))
        if not found:
            return
        where = np.array([line + 1 for line, begins in found for _ in begins])
        starts = np.array([start for _, begins in found for start in begins])
        self._insert(where, starts, [line for line, _ in found])

    def _insert(self, where: Positions, starts: Positions, lines: list[int]) -> None:
        """Insert lines that begin at ``starts`` before those at ``where``; the last part of each line is good."""
        whole = self.nexts[lines]
        codes = np.insert(self.codes, where, LINE_END)
        self.numbers = np.insert(self.numbers, where, self.numbers[where - 1])
        self.odd = np.insert(self.odd, where, False)
        self.starts = np.insert(self.starts, where, starts)
        self.stops = np.insert(self.stops, where, self.stops[where - 1])
        self.nexts = np.insert(self.nexts, where, self.nexts[where - 1])
        parted = np.flatnonzero(self.starts[1:] < self.nexts[:-1])
        self.nexts[parted] = self.starts[parted + 1]
        self.stops[parted] = self.starts[parted + 1]
        codes[np.flatnonzero(np.isin(self.nexts, whole))] = GOOD
        self.codes, self.begins = codes, np.ones(len(codes), np.bool_)


class _Quoting:
    """The quotes of a buffer, each counted within its line.

    Attributes:
        odd: Whether a line has an odd number of quotes.
        wrong: Lines with a quote that neither begins nor ends a field, nor is half of a doubled one.
    """

    def __init__(self, lines: Lines, quotes: Positions) -> None:
        self._lines = lines
        self._quotes = quotes
        self._before = np.searchsorted(quotes, lines.starts)
        counts = np.diff(np.append(self._before, len(quotes)))
        self.odd: Flags = counts % 2 == 1
        self.wrong: Positions = self._wrong(np.repeat(np.arange(len(counts)), counts))

    def hides(self, positions: Positions) -> Flags:
        """Whether each position lies inside quotes, when its line begins outside."""
        before = np.searchsorted(self._quotes, positions)
        if self.odd.any():
            before = before - self._before[np.searchsorted(self._lines.nexts, positions, side="right")]
        hidden: Flags = before % 2 == 1
        return hidden

    def _wrong(self, line: Positions) -> Positions:
        if not len(self._quotes):
            return line
        text = np.frombuffer(self._lines.data, np.uint8)
        at = self._quotes
        opens = (np.arange(len(at)) - self._before[line]) % 2 == 0
        previous, following = text[at - 1], text[np.minimum(at + 1, len(text) - 1)]
        begins_field = (at == self._lines.starts[line]) | (previous == _COMMA) | (previous == _QUOTE)
        ends_field = (at + 1 == self._lines.stops[line]) | (following == _COMMA) | (following == _QUOTE)
        return np.unique(line[np.where(opens, ~begins_field, ~ends_field)])


def _find_positions(data: bytes, what: bytes) -> list[int]:
    """Positions of ``what`` in ``data``."""
    positions, at = [], data.find(what)
    while at >= 0:
        positions.append(at)
        at = data.find(what, at + 1)
    return positions
