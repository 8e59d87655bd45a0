"""Check that a UBJSON file is complete before XGBoost parses it: its parser reads past the end and crashes.

UBJSON, draft 12: https://ubjson.org. XGBoost writes big-endian numbers, objects without counts, and arrays of one type
with a count (``[$d#L``).
"""

from __future__ import annotations

from nightjar.protocol.errors import ModelError

MAX_DEPTH = 32
"""Maximum nesting depth; XGBoost's own files have a depth of 8."""
_NUMBERS = {b"i": 1, b"U": 1, b"I": 2, b"l": 4, b"L": 8, b"d": 4, b"D": 8}
_COUNTS = {b"i", b"U", b"I", b"l", b"L"}
_CONSTANTS = {b"Z", b"T", b"F"}


def check_ubjson(data: bytes) -> None:
    """Check that ``data`` is one complete UBJSON object, nested at most :data:`MAX_DEPTH` deep.

    Raises:
        ModelError: naming the byte of the error.
    """
    reader = _Reader(data)
    try:
        if reader.take(1) != b"{":
            raise ValueError("it is not an object")
        reader.skip_object(1)
        if reader.position != len(data):
            raise ValueError("data follows its end")
    except ValueError as error:
        raise ModelError(
            f"the trees are not a complete UBJSON file: {error} (byte {reader.position:,} of {len(data):,})",
            where="boosting.ubj",
            fix="do not score with this model; restore it, or promote another version",
        ) from error


class _Reader:
    """A reader that never passes the end of the data."""

    def __init__(self, data: bytes) -> None:
        self.position = 0
        self._data = data

    def take(self, count: int) -> bytes:
        end = self.position + count
        if not self.position <= end <= len(self._data):
            raise ValueError(f"a length of {count:,} bytes exceeds the file")
        taken, self.position = self._data[self.position : end], end
        return taken

    def skip_object(self, depth: int) -> None:
        """Skip the rest of an object, after its ``{``."""
        if depth > MAX_DEPTH:
            raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
        while self._next() != b"}":
            self._skip_text()
            self._skip_value(self.take(1), depth)
        self.take(1)

    def _next(self) -> bytes:
        return self._data[self.position : self.position + 1]

    def _count(self) -> int:
        kind = self.take(1)
        if kind not in _COUNTS:
            raise ValueError(f"{kind!r} is not the type of a length")
        return int.from_bytes(self.take(_NUMBERS[kind]), "big", signed=kind != b"U")

    def _skip_text(self) -> None:
        self._skip(self._count())

    def _skip(self, count: int) -> None:
        if count < 0:
            raise ValueError(f"a length is {count}")
        self.take(count)

    def _skip_value(self, kind: bytes, depth: int) -> None:
        if kind in _NUMBERS:
            self.take(_NUMBERS[kind])
        elif kind == b"C":
            self.take(1)
        elif kind == b"S":
            self._skip_text()
        elif kind == b"{":
            self.skip_object(depth + 1)
        elif kind == b"[":
            self._skip_array(depth + 1)
        elif kind not in _CONSTANTS:
            raise ValueError(f"{kind!r} is not a type")

    def _skip_array(self, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
        if self._next() == b"$":
            self.take(1)
            size = _NUMBERS.get(kind := self.take(1))
            if size is None or self.take(1) != b"#":
                raise ValueError(f"an array of the type {kind!r} is not one of numbers with a count")
            self._skip(size * self._count())
            return
        if self._next() == b"#":
            self.take(1)
            for _ in range(self._count()):
                self._skip_value(self.take(1), depth)
            return
        while self._next() != b"]":
            self._skip_value(self.take(1), depth)
        self.take(1)
