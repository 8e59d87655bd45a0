from __future__ import annotations

import time
from datetime import UTC, date, datetime
from itertools import product

import pyarrow as pa
import pytest

from nightjar.declaration.tables import ColumnType
from nightjar.validation.formats import parse

VALUES: list[tuple[ColumnType, str | None, object]] = [
    ("int", "12", 12),
    ("int", "+12", 12),
    ("int", "-2147483648", -2147483648),
    ("int", "007", 7),
    ("long", "3000000000", 3_000_000_000),
    ("long", "-9223372036854775808", -9223372036854775808),
    ("double", "1e3", 1000.0),
    ("double", "+1.5", 1.5),
    ("double", ".5", 0.5),
    ("double", "3.", 3.0),
    ("double", "1.7976931348623157e308", 1.7976931348623157e308),
    ("double", "1e-999", 0.0),
    ("boolean", "true", True),
    ("boolean", "False", False),
    ("boolean", "TRUE", True),
    ("date", "2013-04-01", date(2013, 4, 1)),
    ("date", "2012-02-29", date(2012, 2, 29)),
    ("date", "9999-12-31", date(9999, 12, 31)),
    ("date", "0001-01-01", date(1, 1, 1)),
    ("timestamp", "2013-04-01T05:00:00Z", datetime(2013, 4, 1, 5, tzinfo=UTC)),
    ("timestamp", "2013-04-01T05:00:00-04:00", datetime(2013, 4, 1, 9, tzinfo=UTC)),
    ("timestamp", "2013-04-01T05:00:00+0530", datetime(2013, 3, 31, 23, 30, tzinfo=UTC)),
    ("timestamp", "2013-04-01T05:00-04", datetime(2013, 4, 1, 9, tzinfo=UTC)),
    ("timestamp", "2013-04-01 05:00:00", datetime(2013, 4, 1, 5, tzinfo=UTC)),
    ("timestamp", "2013-04-01 05:00:07.25", datetime(2013, 4, 1, 5, 0, 7, 250000, tzinfo=UTC)),
    ("timestamp", "2013-04-01", datetime(2013, 4, 1, tzinfo=UTC)),
    ("timestamp", "1969-12-31T23:59:59.999999Z", datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
    ("timestamp", "9999-12-31T23:59:59.9999999", datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
    ("string", "x", "x"),
    ("string", " padded ", " padded "),
    ("int", None, None),
    ("timestamp", None, None),
]
NO_VALUES: dict[ColumnType, tuple[str, ...]] = {
    "int": (
        "12.5",
        "2147483648",
        "-2147483649",
        "1_000",
        "１２",
        " 1",
        "1 ",
        "1\n",
        "1\0",
        "0x1F",
        "1L",
        "1e3",
        "+",
        "٣",
    ),
    "long": ("9223372036854775808", "99999999999999999999", "1.0", "12L"),
    "double": (
        *("12D", "1.5f", "1.5F", "1d", "0x1p3", "1\0", " 1 ", "1_000", "1,5", "NaN", "nan", "-Infinity", "inf"),
        *("1e400", "-1e999", ".", "1e", "e3", "1.5e+", "１.５", "1\u2028", "1 000", "$1", "1%", "+-1"),
    ),
    "boolean": ("t", "f", "yes", "no", "y", "1", "0", "on", "true ", "truе"),
    "date": (
        *("01.04.2013", "2013-02-30", "2013-02-29", "2013-13-01", "2013-00-01", "2013-04-00", "2013-1-1", "20130401"),
        *("2013-04-01T00:00:00", "0000-01-01", "10000-01-01", "+2013-04-01", " 2013-04-01", "２０１３-04-01"),
    ),
    "timestamp": (
        *("12:30", "2013-02-30T05:00:00Z", "2013-01-01T25:00", "2013-01-01T24:00:00", "2013-01-01T00"),
        *("2013-01-01T00:00:60", "2013-01-01T00:00:00+19:00", "2013-01-01T00:00:00+18:30", "2013-01-01T00:00:00+05:60"),
        *("2013-01-01T00:00:00 UTC", "2013-01-01T00:00:00Europe/Paris", "2013-01-01T00:00:00.1234567890", "1364792400"),
        *("2013-01-01T00:00:00.", "2013-01-01t00:00", "2013-01-01  00:00", "0001-01-01T00:00:00+05:00", "2013-01-01Z"),
        "9999-12-31T23:59:59-05:00",
    ),
}


@pytest.mark.parametrize(("kind", "text", "value"), VALUES)
def test_parse_text_of_the_declared_format_gives_its_value(kind: ColumnType, text: str | None, value: object) -> None:
    assert parse(pa.array(["", text, "x"], pa.string()).slice(1, 1), kind).to_pylist() == [value]


@pytest.mark.parametrize("kind", list(NO_VALUES))
def test_parse_any_other_text_gives_no_value(kind: ColumnType) -> None:
    texts = pa.array(NO_VALUES[kind], pa.string())
    found = {text: value for text, value in zip(texts.to_pylist(), parse(texts, kind).to_pylist(), strict=True)}
    assert {text: value for text, value in found.items() if value is not None} == {}


def test_parse_one_number_out_of_range_leaves_the_others() -> None:
    texts = pa.array(["1.5", "1e400", "9" * 30, "x", None])
    assert parse(texts, "double").to_pylist() == [1.5, None, 1e30, None, None]
    assert parse(pa.array(["7", "9" * 19, "-8"]), "long").to_pylist() == [7, None, -8]


def test_parse_timestamps_agrees_with_python_for_every_minute_of_two_days() -> None:
    minutes = product((28, 29), range(24), range(60), ("Z", "-04:00", "+05:30"))
    texts = [f"2012-02-{day}T{hour:02d}:{minute:02d}:{minute:02d}{zone}" for day, hour, minute, zone in minutes]
    assert parse(pa.array(texts), "timestamp").to_pylist() == [
        datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC) for text in texts
    ]


def test_parse_takes_linear_time_in_the_length_of_a_text() -> None:
    began = time.process_time()
    assert parse(pa.array(["1" * 4_000_000 + "x", "." * 4_000_000]), "double").to_pylist() == [None, None]
    assert time.process_time() - began < 2
