"""Declared text formats of column types: each text is matched as a whole, then converted, vectorised.

No engine's cast is used, as each one reads ``12D``, ``t``, ``1_000`` or ``12:30`` differently.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from nightjar.declaration.tables import ColumnType

_DATE = r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,9})?)?"
_OFFSET = r"(?:Z|[+-](?:0[0-9]|1[0-7])(?::?[0-5][0-9])?|[+-]18(?::?00)?)"
PATTERNS: dict[ColumnType, str] = {
    "int": r"[+-]?[0-9]{1,19}",
    "long": r"[+-]?[0-9]{1,19}",
    "double": r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?",
    "boolean": r"[Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]",
    "date": _DATE,
    "timestamp": rf"{_DATE}(?:[T ]{_TIME}{_OFFSET}?)?",
}
"""Column type to the regular expression of a whole value."""
MIN_MICROSECONDS, MAX_MICROSECONDS = -62_135_596_800_000_000, 253_402_300_799_999_999
"""The first and last microsecond of the years 1 to 9999, since 1970 (UTC)."""
_MICROSECONDS_A_DAY = 86_400_000_000
Integers = npt.NDArray[np.int64]


def parse(text: pa.StringArray, kind: ColumnType) -> pa.Array:
    """Return the values of ``text``; null where it is null or invalid for the type.

    Args:
        text: Fields as text from the file.
        kind: Declared type. Integers or doubles out of range, dates that do not exist, and timestamps outside the years
            1 to 9999 (UTC) are invalid.
    """
    if kind == "string":
        return text
    fits = pc.fill_null(pc.match_substring_regex(text, rf"\A(?:{PATTERNS[kind]})\z"), False)
    return _PARSERS[kind](pc.if_else(fits, text, pa.scalar(None, pa.string())))


def _parse_integers(text: pa.StringArray, low: int, high: int, target: pa.DataType) -> pa.Array:
    numbers = _convert(pc.utf8_ltrim(text, "+"), pa.int64(), lambda value: _within(int(value), -(2**63), 2**63 - 1))
    inside = pc.and_(pc.greater_equal(numbers, low), pc.less_equal(numbers, high))
    return pc.if_else(inside, numbers, pa.scalar(None, pa.int64())).cast(target)


def _within(number: int, low: int, high: int) -> int | None:
    return number if low <= number <= high else None


def _parse_doubles(text: pa.StringArray) -> pa.Array:
    numbers = _convert(pc.utf8_ltrim(text, "+"), pa.float64(), float)
    return pc.if_else(pc.is_finite(numbers), numbers, pa.scalar(None, pa.float64()))


def _convert(text: pa.StringArray, target: pa.DataType, each: Callable[[str], float | None]) -> pa.Array:
    """Cast the whole array; when Arrow rejects a value, convert the values one by one."""
    try:
        return text.cast(target)
    except pa.ArrowInvalid:
        return pa.array([None if value is None else each(value) for value in text.to_pylist()], target)


def _parse_booleans(text: pa.StringArray) -> pa.Array:
    return pc.equal(pc.ascii_lower(text), "true")


def _parse_dates(text: pa.StringArray) -> pa.Array:
    characters = _Characters(text)
    days, valid = characters.days()
    return characters.scatter(days.astype(np.int32), valid, pa.int32()).cast(pa.date32())


def _parse_timestamps(text: pa.StringArray) -> pa.Array:
    """Parse timestamps: UTC without an offset, midnight for a date alone, truncated to microseconds."""
    characters = _Characters(text)
    days, valid = characters.days()
    micros = days * _MICROSECONDS_A_DAY + characters.microseconds() - characters.offset_minutes() * 60_000_000
    valid &= (micros >= MIN_MICROSECONDS) & (micros <= MAX_MICROSECONDS)
    return characters.scatter(micros, valid, pa.int64()).cast(pa.timestamp("us", tz="UTC"))


_PARSERS: dict[ColumnType, Callable[[pa.StringArray], pa.Array]] = {
    "int": lambda text: _parse_integers(text, -(2**31), 2**31 - 1, pa.int32()),
    "long": lambda text: _parse_integers(text, -(2**63), 2**63 - 1, pa.int64()),
    "double": _parse_doubles,
    "boolean": _parse_booleans,
    "date": _parse_dates,
    "timestamp": _parse_timestamps,
}


class _Characters:
    """Characters, by position, of texts that match the date or timestamp pattern; nulls are left out."""

    def __init__(self, text: pa.StringArray) -> None:
        self._rows = len(text)
        self._at = np.flatnonzero(text.is_valid().to_numpy(zero_copy_only=False))
        present = text.drop_null()
        offsets = np.frombuffer(present.buffers()[1], np.int32)[present.offset : present.offset + len(present) + 1]
        data = present.buffers()[2]
        self._data = np.frombuffer(data or b"", np.uint8)
        self._start = offsets[:-1].astype(np.int64)
        self._length = np.diff(offsets).astype(np.int64)

    def days(self) -> tuple[Integers, npt.NDArray[np.bool_]]:
        """Return days since 1970, and whether each date exists."""
        year, month, day = self._number(0, 4), self._number(5, 2), self._number(8, 2)
        months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
        first = months.astype("datetime64[D]").astype(np.int64)
        following = (months + 1).astype("datetime64[D]").astype(np.int64)
        return first + day - 1, (year >= 1) & (day <= following - first)

    def microseconds(self) -> Integers:
        """Return microseconds since midnight; 0 for a date alone."""
        has_time = self._length > 10
        has_seconds = self._is(16, ":")
        micros = np.where(has_time, self._number(11, 2) * 3600 + self._number(14, 2) * 60, 0) * 1_000_000
        micros += np.where(has_seconds, self._number(17, 2), 0) * 1_000_000
        within = has_seconds & self._is(19, ".")
        for place, worth in enumerate((100_000, 10_000, 1_000, 100, 10, 1)):
            digit = self._character(20 + place) - ord("0")
            within &= (digit >= 0) & (digit <= 9)
            micros += np.where(within, digit, 0) * worth
        return micros

    def offset_minutes(self) -> Integers:
        """Return minutes ahead of UTC."""
        minutes = np.zeros(len(self._length), np.int64)
        for length, minute_at in ((3, None), (5, 3), (6, 4)):
            sign_at = self._length - length
            sign = self._at_position(sign_at)
            has_offset = (sign_at >= 16) & ((sign == ord("+")) | (sign == ord("-")))
            size = self._two_digits(sign_at + 1) * 60
            if minute_at is not None:
                size += self._two_digits(sign_at + minute_at)
            minutes = np.where(has_offset, np.where(sign == ord("-"), -size, size), minutes)
        return minutes

    def scatter(self, values: npt.NDArray[np.integer], valid: npt.NDArray[np.bool_], kind: pa.DataType) -> pa.Array:
        """Return an array over all rows, with ``values`` where ``valid`` and null elsewhere."""
        whole, null = np.zeros(self._rows, values.dtype), np.ones(self._rows, np.bool_)
        whole[self._at], null[self._at] = values, ~valid
        return pa.array(whole, kind, mask=null)

    def _number(self, position: int, digits: int) -> Integers:
        number = np.zeros(len(self._length), np.int64)
        for place in range(digits):
            number = number * 10 + self._character(position + place) - ord("0")
        return number

    def _two_digits(self, positions: Integers) -> Integers:
        return (self._at_position(positions) - ord("0")) * 10 + self._at_position(positions + 1) - ord("0")

    def _is(self, position: int, character: str) -> npt.NDArray[np.bool_]:
        equal: npt.NDArray[np.bool_] = self._character(position) == ord(character)
        return equal

    def _character(self, position: int) -> Integers:
        return self._at_position(np.full(len(self._length), position))

    def _at_position(self, positions: Integers) -> Integers:
        """Return each text's character at its position; 0 beyond the text."""
        inside = (positions >= 0) & (positions < self._length)
        characters = np.zeros(len(positions), np.int64)
        characters[inside] = self._data[(self._start + positions)[inside]]
        return characters
