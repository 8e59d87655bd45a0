from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator

import pytest

from nightjar.validation.lines import AMBIGUOUS, BELOW, HEADER, LINE_END, NOT_TEXT, PROBLEMS, QUOTING, UNCLOSED, WIDTH
from nightjar.validation.quoting import Layout, fields_of, width_of
from nightjar.validation.records import split_records

TYPED = Layout(header=b"a,b,c", columns=3, formats={0: re.compile(rb"[0-9]+")})
TEXT = Layout(header=b"a,b,c", columns=3)


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def split(text: str, layout: Layout = TEXT, size: int = 1 << 20) -> tuple[str, list[tuple[int, str, str]]]:
    found = list(split_records(pieces(text.encode(), size), layout))
    good = b"".join(piece.data for piece in found).decode()
    return good, [(line.number, line.problem, line.text) for piece in found for line in piece.rejected]


@pytest.mark.parametrize(
    ("text", "good", "rejected"),
    [
        ("1,2,3\n4,5,6", "1,2,3\n4,5,6\n", []),
        ("1,2,3\r\n\r\n4,5,6\n\n", "1,2,3\r\n4,5,6\n", []),
        ('1,"a\nb",3\n4,5,6\n', '1,"a\nb",3\n4,5,6\n', []),
        ("1,2\n4,5,6\n7,8,9,0\n", "4,5,6\n", [(2, WIDTH, "1,2"), (4, WIDTH, "7,8,9,0")]),
        ('1,$78.07"All, Round",3\n4,5,6\n', "4,5,6\n", [(2, QUOTING, '1,$78.07"All, Round",3')]),
        ('1,"2"x,3\n1,48\\",2\n4,5,6\n', "4,5,6\n", [(2, QUOTING, '1,"2"x,3'), (3, QUOTING, '1,48\\",2')]),
        ('1,"2,3\n4,5,6\n', "4,5,6\n", [(2, UNCLOSED, '1,"2,3')]),
        ('1,"2,3\n4,"5",6\n', '4,"5",6\n', [(2, UNCLOSED, '1,"2,3')]),
        ("1,2,3\na,b,c\n4,5,6\n", "1,2,3\n4,5,6\n", [(3, HEADER, "a,b,c")]),
        ("1,\0,3\n\ufeff4,5,6\n7,8,9\n", "7,8,9\n", [(2, NOT_TEXT, "1,\0,3"), (3, NOT_TEXT, "\ufeff4,5,6")]),
        ("1,2,3\r4,5,6\n", "4,5,6\n", [(2, LINE_END, "1,2,3\r")]),
        ("1,2,3\u2028\n4,5,6\n", "4,5,6\n", [(2, LINE_END, "1,2,3\u2028")]),
        ("1,2\u20283,4\n", "1,2\u20283,4\n", []),
        ("1,2,3\n\n4,5,6\n", "1,2,3\n4,5,6\n", []),
        ("1,2,3\n\nx,y,z\n4,5,6\n", "1,2,3\n", [(4, BELOW, "x,y,z"), (5, BELOW, "4,5,6")]),
    ],
)
def test_lines_are_records_or_rejected_by_number_and_problem(
    text: str, good: str, rejected: list[tuple[int, int, str]]
) -> None:
    layout = Layout(header=b"a,b,c", columns=text.split("\n", 1)[0].count(",") + 1) if "\u20283" in text else TYPED
    for size in (1, 3, 7, 1 << 20):
        assert split(text, layout, size) == (good, [(number, PROBLEMS[code], line) for number, code, line in rejected])


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(['1,abc,"3', "4,5,6", '7,"'], id="a row lies between two stray quotes"),
        pytest.param(["1,abc,line one", "end", 'last"'], id="the opening quote is lost and the first line is a row"),
        pytest.param(['1,x,"', '2,"', '",4'], id="two ways to pair the quotes"),
    ],
)
def test_no_line_is_a_row_where_the_bytes_can_be_read_in_two_ways(lines: list[str]) -> None:
    good, rejected = split("".join(f"{line}\n" for line in [*lines, "8,8,8"]))
    assert good == "8,8,8\n"
    assert [line for _, _, line in rejected] == lines
    assert PROBLEMS[AMBIGUOUS] in {problem for _, problem, _ in rejected}


@pytest.mark.parametrize(
    "pattern",
    [b'"', b'"\n', b'x"\n', b'1,"2,3\n', b"\r", b'1,2"\r', b"1,2,3\r4,5,6\n", b'"\n"\n', b"\n1,2,x\n"],
)
@pytest.mark.parametrize("layout", [TYPED, TEXT], ids=["typed", "text"])
def test_time_grows_with_the_bytes_alone(pattern: bytes, layout: Layout) -> None:
    def seconds(size: int) -> float:
        data = pattern * (size // len(pattern))
        began = time.process_time()
        for _ in split_records(pieces(data, 1 << 18), layout):
            pass
        return time.process_time() - began

    assert seconds(1 << 15) < 2  # the first call also pays for imports
    assert seconds(1 << 17) < 4


def test_width_and_fields_are_those_of_rfc_4180() -> None:
    table = {b"": [b""], b",": [b"", b""], b'"a,""b""",c': [b'a,"b"', b"c"], b'""': [b""], b'"\n",x': [b"\n", b"x"]}
    assert {record: fields_of(record) for record in table} == table
    assert {record: width_of(record) for record in table} == {record: len(fields) for record, fields in table.items()}
    assert [width_of(record) for record in (b'a"b', b'"a"b', b'"a', b"a\nb", b'"a""', b' "a"')] == [None] * 6


def test_random_bytes_are_all_records_or_rejected_whatever_the_pieces() -> None:
    chance = random.Random(4180)
    for _ in range(300):
        text = "".join(chance.choice('1ab,,,"\n\n\r') for _ in range(chance.randint(1, 60)))
        whole = split(text)
        assert split(text, size=chance.randint(1, 20)) == whole
        kept = whole[0].count("\n") + sum(line.count("\n") + 1 for _, _, line in whole[1])
        assert kept >= sum(1 for line in text.split("\n") if line.strip("\r"))
