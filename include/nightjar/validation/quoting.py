"""What RFC 4180 says of one record: its fields, or that its quoting is wrong. Regular expressions in linear time."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import accumulate, islice

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
NULLS = ("", "NA")
"""Fields without a value, quoted or not."""

_FIELD = rb'(?:"(?:[^"]++|"")*+"|[^",\r\n]*+)'
_RECORD = re.compile(_FIELD + rb"(?:," + _FIELD + rb")*+")
_FIELDS = re.compile(rb'(?:"((?:[^"]++|"")*+)"|([^",\r\n]*+)),')
_QUOTED = re.compile(rb'"(?:[^"]++|"")*+"')
_LINE_ENDS = re.compile(rb"\x0b|\x0c|\x1c|\x1d|\x1e|\xc2\x85|\xe2\x80\xa8|\xe2\x80\xa9")
_LAST_LINE_END = re.compile(rb"(?:" + _LINE_ENDS.pattern + rb")\Z")
_TRIED_QUOTES = 16
_CLOSING = re.compile(rb'(?:[^"]++|"")*+"')


@dataclass(frozen=True)
class Layout:
    """What a row of a file looks like.

    Attributes:
        header: The header line, without its end.
        columns: Number of its fields.
        formats: Position of each column with a declared format to the regular expression of its values.
    """

    header: bytes
    columns: int
    formats: dict[int, re.Pattern[bytes]] = field(default_factory=dict)

    def is_row(self, record: bytes, *, sure: bool = False) -> bool:
        """Whether ``record`` has the header's fields, with values of the declared formats or none.

        ``sure`` asks for at least one value of a declared format: without any, text in as many fields looks the same.
        """
        if width_of(record) != self.columns:
            return False
        if not self.formats:
            return not sure
        fields = fields_of(record)
        values = [(pattern, fields[at]) for at, pattern in self.formats.items() if fields[at].decode() not in NULLS]
        return (bool(values) or not sure) and all(pattern.fullmatch(value) for pattern, value in values)

    def is_row_once_mended(self, line: bytes, opened: int) -> bool:
        """Whether one quote more or less makes ``line`` a row by itself.

        Args:
            line: A line with an odd number of quotes.
            opened: Number of the field (the first is 1) whose opening quote may be lost.
        """
        return (
            self._is_row_with_a_quote_less(line)
            or self._is_row_once_opened(line, opened)
            or self._is_row_once_closed(line)
        )

    def _is_row_once_closed(self, line: bytes) -> bool:
        """Whether ``line`` is a row once the quoted field that it leaves open is closed."""
        found = _RECORD.match(line)
        end = found.end() if found else 0
        parts = line[end + 1 :].rsplit(b",", max(0, self.columns - (width_of(line[:end]) or 0)))
        return self.is_row(line[: end + 1] + b",".join([parts[0] + b'"', *parts[1:]]))

    def _is_row_once_opened(self, line: bytes, number: int) -> bool:
        """Whether ``line`` is a row once its field ``number`` (the first is 1) is opened by a quote."""
        before = list(islice(_FIELDS.finditer(line + b","), number - 1)) if number > 0 else []
        at = before[-1].end() if before else 0
        return len(before) == number - 1 and self.is_row(line[:at] + b'"' + line[at:])

    def _is_row_with_a_quote_less(self, line: bytes) -> bool:
        """Whether ``line`` is a row once one quote is left out: of the first field whose quoting is wrong."""
        found = _RECORD.match(line)
        end = found.end() if found else 0
        begin = max((one.start() for one in _FIELDS.finditer(line[:end] + b",")), default=0)
        places = [quote.start() for quote in re.finditer(b'"', line[begin : end + 1])]
        tried = places if len(places) <= _TRIED_QUOTES else places[: _TRIED_QUOTES - 2] + places[-2:]
        return any(self.is_row(line[: begin + place] + line[begin + place + 1 :]) for place in tried)


def width_of(record: bytes) -> int | None:
    """Number of fields of a record; None where its quoting breaks RFC 4180 or it is more than one line."""
    if not _RECORD.fullmatch(record):
        return None
    plain = _QUOTED.sub(b"", record) if b'"' in record else record
    return plain.count(b",") + 1


def fields_of(record: bytes) -> list[bytes]:
    """The fields of a record whose quoting is right."""
    found = _FIELDS.findall(record + b",")
    return [quoted.replace(b'""', b'"') if quoted else plain for quoted, plain in found]


def closing_quote(line: bytes) -> int | None:
    """Position of the quote that ends a field begun on an earlier line; None where ``line`` cannot end one."""
    found = _CLOSING.match(line)
    if not found:
        return None
    rest = line[found.end() :]
    return found.end() - 1 if not rest or (rest[:1] == b"," and width_of(rest[1:]) is not None) else None


def rows_between_returns(line: bytes, columns: int) -> list[int]:
    """Where the parts of ``line`` between carriage returns begin, when each of them is a row; otherwise nothing.

    A text of one column is never taken apart: nobody could tell its parts from rows.
    """
    parts = line.split(b"\r")
    if columns == 1 or len(parts) == 1 or any(width_of(part) != columns for part in parts):
        return []
    lengths = [len(part) + 1 for part in parts]
    return [0, *accumulate(lengths[:-1])]


def has_line_end(text: bytes) -> bool:
    """Whether ``text`` holds a character that ends lines elsewhere: form feed, next line, line separator and others."""
    return _LINE_ENDS.search(text) is not None


def ends_with_line_end(text: bytes) -> bool:
    """Whether the last character of ``text`` is such a one."""
    return _LAST_LINE_END.search(text[-3:]) is not None


def read_header(line: bytes) -> tuple[str, ...] | None:
    """The names in a header line; None where its quoting is wrong."""
    return tuple(name.decode() for name in fields_of(line)) if width_of(line) is not None else None
