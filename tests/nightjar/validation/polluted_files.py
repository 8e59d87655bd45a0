"""Random clean files of a source system, and one pollution of each, for a property test."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Sequence
from dataclasses import dataclass

from nightjar.declaration.tables import Column

TEXTS = (
    *("plain", "two words", "with, comma", ", begins so", "ends so,", 'a "quoted" word', '"', '""', "5' 10\"", "'", ""),
    *("NA", "N/A", "null", " ", "  padded  ", "Zürich", "東京", "😀", "x\u2028y", "a\u0085b", "tab\there"),
    *('48\\"', "$78.07", "1,234", "#", "=1+1", "a;b", "-", "0x1F"),
)
LINES_OF_TEXT = ("line one\nline two", "\nbegins so", "ends so\n", 'a "quoted"\nword, and more', "x\n\ny")
TYPED = {
    "int": ("0", "-7", "+12", "007", "NA", ""),
    "double": ("1.5", "-2e3", ".5", "3.", "NA"),
    "date": ("2013-04-01", ""),
}
POLLUTIONS = ("separator_more", "separator_less", "quote_more", "quote_less", "line_end", "header_again", "table_below")
LINE_ENDS = ("\r", "\r\n", "\n", "\n\r", "\r\r\n", "\u2028", "\u0085", "\x0b", "\x0c", "")


@dataclass(frozen=True)
class CleanFile:
    """Rows as a source system holds them, and the lines that it writes: the header first, each with its end."""

    columns: tuple[Column, ...]
    rows: list[tuple[str, ...]]
    lines: list[str]
    byte_order_mark: bool

    @property
    def has_lines_in_fields(self) -> bool:
        return any("\n" in value for row in self.rows for value in row)

    def data(self, lines: Sequence[str] | None = None) -> bytes:
        text = "".join(self.lines if lines is None else lines)
        return (b"\xef\xbb\xbf" if self.byte_order_mark else b"") + text.encode()


def clean_file(chance: random.Random, *, lines_in_fields: bool) -> CleanFile:
    """A file of a random shape, quoting, line end and content."""
    kinds = [chance.choice(["string", *TYPED]) for _ in range(chance.randint(1, 5))]
    if lines_in_fields:
        kinds[0] = chance.choice(list(TYPED))
        kinds.append("string")
    columns = tuple(Column(f"c{i}", kind, "Anything.") for i, kind in enumerate(kinds))  # type: ignore[arg-type]
    texts = TEXTS + LINES_OF_TEXT * 3 if lines_in_fields else TEXTS
    if len(kinds) == 1:  # another kind of line end looks like text
        texts = tuple(text for text in texts if len(text.splitlines()) < 2)
    rows = [
        tuple(chance.choice(texts if kind == "string" else TYPED[kind]) for kind in kinds)
        for _ in range(chance.randint(1, 12))
    ]
    quoting = chance.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    end = chance.choice(["\n", "\r\n"])
    lines = [_line(row, quoting, end) for row in ([column.name for column in columns], *rows)]
    if chance.random() < 0.2:
        lines[-1] = lines[-1].removesuffix(end)
    return CleanFile(columns, rows, lines, chance.random() < 0.2)


def _line(row: Sequence[str], quoting: int, end: str) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, quoting=quoting, lineterminator=end).writerow(row)  # type: ignore[arg-type]
    return buffer.getvalue()


def pollute(file: CleanFile, kind: str, chance: random.Random) -> tuple[list[str], int]:
    """The file's lines with one pollution, and which of them it is in; below the header."""
    lines = list(file.lines)
    at = chance.randrange(1, len(lines))
    if kind in ("separator_more", "quote_more"):
        mark = "," if kind == "separator_more" else '"'
        place = chance.randint(0, len(lines[at].rstrip("\r\n")))
        lines[at] = lines[at][:place] + mark + lines[at][place:]
    elif kind in ("separator_less", "quote_less"):
        mark = "," if kind == "separator_less" else '"'
        places = [place for place, character in enumerate(lines[at]) if character == mark]
        if places:
            place = chance.choice(places)
            lines[at] = lines[at][:place] + lines[at][place + 1 :]
    elif kind == "line_end":
        lines[at] = lines[at].rstrip("\r\n") + chance.choice(LINE_ENDS if len(file.columns) > 1 else LINE_ENDS[:-1])
    elif kind == "header_again":
        lines.insert(at, lines[0])
    else:
        lines.append(_table_below(file, chance))
        at = len(lines) - 1
    return lines, at


def _table_below(file: CleanFile, chance: random.Random) -> str:
    """Another table: below a blank line, or of another width."""
    blank = chance.random() < 0.5
    width = len(file.columns) + (0 if blank else chance.choice([1, 2]))
    numbers = ([str(chance.randint(0, 99)) for _ in range(width)] for _ in range(3))
    rows = [[f"other{i}" for i in range(width)], *numbers]
    start = "\n" if file.lines[-1].endswith("\n") else "\n\n"
    return (start if blank else start[1:]) + "".join(_line(row, csv.QUOTE_MINIMAL, "\n") for row in rows)
