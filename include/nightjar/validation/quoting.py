"""Fields and quoting of one CSV record by RFC 4180, with regular expressions in linear time."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import accumulate, islice

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
NULLS = ("", "NA")
"""Fields that count as null, quoted or not."""

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
    """The expected form of a row.

    Attributes:
        header: Header line without its line end.
        columns: Number of fields.
        formats: Column position to the regular expression of its values, for typed columns.
    """

    header: bytes
    columns: int
    formats: dict[int, re.Pattern[bytes]] = field(default_factory=dict)

    def is_row(self, record: bytes, *, sure: bool = False) -> bool:
        """Return whether ``record`` has the right number of fields, each null or in its declared format.

        ``sure`` requires at least one non-null value of a typed column, as text columns alone accept any text.
        """
        if width_of(record) != self.columns:
            return False
        if not self.formats:
            return not sure
        fields = fields_of(record)
        values = [(pattern, fields[at]) for at, pattern in self.formats.items() if fields[at].decode() not in NULLS]
        return (bool(values) or not sure) and all(pattern.fullmatch(value) for pattern, value in values)

    def is_row_once_mended(self, line: bytes, opened: int) -> bool:
        """Return whether adding or removing one quote makes ``line`` a row by itself.

        Args:
            line: A line with an odd number of quotes.
            opened: Number (from 1) of the field whose opening quote may be lost.
        """
        return (
            self._is_row_with_a_quote_less(line)
            or self._is_row_once_opened(line, opened)
            or self._is_row_once_closed(line)
        )

    def _is_row_once_closed(self, line: bytes) -> bool:
        """Return whether ``line`` is a row once its open quoted field is closed."""
        prefix = _RECORD.match(line)
        end = prefix.end() if prefix else 0
        parts = line[end + 1 :].rsplit(b",", max(0, self.columns - (width_of(line[:end]) or 0)))
        return self.is_row(line[: end + 1] + b",".join([parts[0] + b'"', *parts[1:]]))

    def _is_row_once_opened(self, line: bytes, number: int) -> bool:
        """Return whether ``line`` is a row once a quote opens its field ``number`` (from 1)."""
        fields_before = list(islice(_FIELDS.finditer(line + b","), number - 1)) if number > 0 else []
        at = fields_before[-1].end() if fields_before else 0
        return len(fields_before) == number - 1 and self.is_row(line[:at] + b'"' + line[at:])

    def _is_row_with_a_quote_less(self, line: bytes) -> bool:
        """Return whether ``line`` is a row once a quote is removed from its first wrongly quoted field."""
        prefix = _RECORD.match(line)
        end = prefix.end() if prefix else 0
        begin = max((match.start() for match in _FIELDS.finditer(line[:end] + b",")), default=0)
        places = [quote.start() for quote in re.finditer(b'"', line[begin : end + 1])]
        tried = places if len(places) <= _TRIED_QUOTES else places[: _TRIED_QUOTES - 2] + places[-2:]
        return any(self.is_row(line[: begin + place] + line[begin + place + 1 :]) for place in tried)


def width_of(record: bytes) -> int | None:
    """Return the number of fields of a record; None when it breaks RFC 4180 or is more than one record."""
    if not _RECORD.fullmatch(record):
        return None
    plain = _QUOTED.sub(b"", record) if b'"' in record else record
    return plain.count(b",") + 1


def fields_of(record: bytes) -> list[bytes]:
    """Return the fields of a correctly quoted record."""
    matches = _FIELDS.findall(record + b",")
    return [quoted.replace(b'""', b'"') if quoted else plain for quoted, plain in matches]


def closing_quote(line: bytes) -> int | None:
    """Return the position of the quote that closes a field opened on an earlier line; None when there is none."""
    match = _CLOSING.match(line)
    if not match:
        return None
    rest = line[match.end() :]
    return match.end() - 1 if not rest or (rest[:1] == b"," and width_of(rest[1:]) is not None) else None


def rows_between_returns(line: bytes, columns: int) -> list[int]:
    """Return the start of each part of ``line`` between carriage returns when all parts are rows; otherwise empty.

    A text in a single column is never split: its parts would look like rows.
    """
    parts = line.split(b"\r")
    if columns == 1 or len(parts) == 1 or any(width_of(part) != columns for part in parts):
        return []
    lengths = [len(part) + 1 for part in parts]
    return [0, *accumulate(lengths[:-1])]


def has_line_end(text: bytes) -> bool:
    """Return whether ``text`` holds another line separator: form feed, next line, line separator and so on."""
    return _LINE_ENDS.search(text) is not None


def ends_with_line_end(text: bytes) -> bool:
    """Return whether ``text`` ends with such a separator."""
    return _LAST_LINE_END.search(text[-3:]) is not None


def read_header(line: bytes) -> tuple[str, ...] | None:
    """Return the names in a header line; None when its quoting is invalid."""
    return tuple(name.decode() for name in fields_of(line)) if width_of(line) is not None else None
