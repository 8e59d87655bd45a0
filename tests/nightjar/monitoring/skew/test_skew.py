"""What differs between served and trained features, and what is said of it."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import REPOSITORY

from nightjar.lake.lake import Lake
from nightjar.monitoring.night_run import NightRun
from nightjar.monitoring.skew.table import (
    MAX_NAMED,
    ROWS,
    SKEW_TABLE,
    ColumnSkew,
    Difference,
    NightSkew,
    find_differences,
    not_judged_row,
    skew_findings,
    skew_rows,
)

NIGHT, SERVED = date(2013, 4, 8), date(2013, 4, 7)
VALUES = (
    st.none()
    | st.floats()
    | st.integers(-5, 5)
    | st.sampled_from(["a", ""])
    | st.just(datetime(2013, 4, 1, tzinfo=UTC))
)
TABLES = st.dictionaries(st.integers(0, 20), st.tuples(VALUES, VALUES), min_size=1)
Table = dict[int, tuple[Any, Any]]


def rows_of(table: Table) -> list[dict[str, Any]]:
    return [{"k": k, "x": x, "y": y} for k, (x, y) in table.items()]


def compared(left: Table, right: Table) -> dict[str, Difference]:
    return find_differences(rows_of(left), rows_of(right), key=["k"], columns=["x", "y"])


@given(TABLES, st.randoms(use_true_random=False))
def test_a_table_is_itself_whatever_the_order_of_its_rows(table: Table, random: Any) -> None:
    shuffled = list(table)
    random.shuffle(shuffled)
    assert not any(compared(table, {k: table[k] for k in shuffled}).values())


@given(TABLES, st.data())
def test_one_changed_value_is_found_in_its_row_and_column_alone(table: Table, data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(table)))
    found = compared(table, {**table, key: (object(), table[key][1])})
    assert {name: set(difference.keys) for name, difference in found.items()} == {
        ROWS: set(),
        "x": {(key,)},
        "y": set(),
    }


@given(TABLES, st.data())
def test_a_lost_row_is_a_row_that_differs_on_either_side(table: Table, data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(table)))
    fewer = {k: v for k, v in table.items() if k != key}
    for found in (compared(table, fewer), compared(fewer, table)):
        assert {name: set(difference.keys) for name, difference in found.items()} == {
            ROWS: {(key,)},
            "x": set(),
            "y": set(),
        }


def test_a_row_that_is_there_twice_is_a_row_that_differs() -> None:
    rows = rows_of({1: (1.0, 1.0), 2: (2.0, 2.0)})
    found = find_differences(rows, [*rows, rows[0]], key=["k"], columns=["x"])
    assert found[ROWS].keys == {(1,)}


@pytest.mark.parametrize(
    ("a", "b", "differs", "size"),
    [
        (math.nan, math.nan, False, None),
        (None, None, False, None),
        (None, math.nan, True, None),
        (0.1 + 0.2, 0.3, True, pytest.approx(5.6e-17, rel=0.1)),
        (math.inf, 1.0, True, None),
        (3, 5, True, 2),
        ("a", "b", True, None),
        (True, False, True, None),
        (None, 4.0, True, None),
    ],
)
def test_values_are_the_very_same_or_not(a: Any, b: Any, *, differs: bool, size: Any) -> None:
    difference = compared({1: (a, 0)}, {1: (b, 0)})["x"]
    assert (bool(difference), difference.max_abs) == (differs, size)


def test_two_differences_are_both_of_them() -> None:
    both = Difference(keys=frozenset({(1,)}), max_abs=2.0) | Difference(keys=frozenset({(1,), (2,)}), max_abs=None)
    assert both == Difference(keys=frozenset({(1,), (2,)}), max_abs=2.0)


def column(name: str, verdict: Any, rows: int = 0, cause: str = "") -> ColumnSkew:
    keys = Difference(keys=frozenset((i,) for i in range(rows)), max_abs=0.5 if rows else None)
    return ColumnSkew(name=name, differing=keys, stored=Difference(), cause=cause, verdict=verdict)


def keep(lake: Lake, *columns: ColumnSkew, use_case: str = "shop") -> None:
    skew = NightSkew(night=SERVED, features_version=3, rows=10, columns=columns)
    rows = skew_rows(skew, NightRun(night=NIGHT, use_case=use_case, run_id="r"))
    lake.table(SKEW_TABLE).replace(rows, [NIGHT], use_case=use_case, run_id="r")


def test_skew_is_a_breach_and_a_changed_history_a_warning_each_once(lake: Lake) -> None:
    keep(
        lake,
        column(ROWS, "same"),
        column("a", "skew", 3, "It peeks."),
        column("b", "skew", 10, "It peeks."),
        column("c", "history_changed", 1, "Landed again."),
    )
    keep(lake, column("z", "skew", 1), use_case="other")
    breach, warning = skew_findings(lake, "shop", NIGHT)
    assert (breach.severity, breach.kind, breach.night, breach.severity_ratio) == ("breach", "skew", NIGHT, 2.0)
    assert breach.what == (
        "Training reads other features than were served: a in 3 of 10 rows of 2013-04-07, by up to 0.5; "
        "b in 10 of 10 rows of 2013-04-07, by up to 0.5. It peeks."
    )
    assert (warning.severity, warning.severity_ratio) == ("warn", 1.1)
    assert breach.subject != warning.subject
    assert (REPOSITORY / breach.runbook).is_file()


def test_of_many_columns_a_few_are_named(lake: Lake) -> None:
    keep(lake, *(column(f"c{i}", "skew", 1) for i in range(MAX_NAMED + 1)))
    (finding,) = skew_findings(lake, "shop", NIGHT)
    assert "c4 in" in finding.what
    assert "c5 in" not in finding.what
    assert "; …" in finding.what


def test_nothing_found_where_nobody_looked_or_nothing_could_be_judged(lake: Lake) -> None:
    assert skew_findings(lake, "shop", NIGHT) == []
    row = not_judged_row("No earlier night was scored.", NightRun(night=NIGHT, use_case="shop", run_id="r"))
    lake.table(SKEW_TABLE).replace([row], [NIGHT], use_case="shop", run_id="r")
    assert skew_findings(lake, "shop", NIGHT) == []
