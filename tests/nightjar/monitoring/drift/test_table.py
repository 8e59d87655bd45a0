from __future__ import annotations

from dataclasses import asdict, replace
from datetime import date
from types import SimpleNamespace
from typing import Any

from nightjar.lake.lake import Lake
from nightjar.monitoring.drift.table import DRIFT_TABLE, drift_rows, read_past_nights
from nightjar.monitoring.drift.windows import ColumnWindows, Window
from nightjar.monitoring.night_run import NightRun

NIGHT = date(2013, 4, 1)


def write(lake: Lake, compared: Any, use_case: str, night: date = NIGHT, moved: int = 0) -> list[dict[str, Any]]:
    drift = compared.night(moved=moved)
    windows = dict.fromkeys(drift.by_name, ColumnWindows(recent=Window(nights=14, psi=0.02)))
    rows = drift_rows(drift, windows, NightRun(night=night, use_case=use_case, run_id="r1"), model_version="3")
    lake.table(DRIFT_TABLE).replace(rows, [night], use_case=use_case, run_id="r1")
    return [asdict(row) for row in rows]


def stored(lake: Lake, night: date = NIGHT) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = lake.table(DRIFT_TABLE).read_nights([night]).to_pylist()
    return sorted(rows, key=lambda row: (row["use_case"], row["column_name"]))


def test_a_row_per_column_with_its_thresholds(lake: Lake, compared: Any) -> None:
    rows = write(lake, compared, "flight_delay", moved=1)
    found = stored(lake)
    assert found == rows
    wind = next(row for row in found if row["column_name"] == "wind")
    assert (wind["verdict"], wind["max_psi"], wind["max_q"], wind["night_rows"]) == ("drift", 0.1, 0.01, 900)
    assert wind["psi"] == max(0.0, wind["raw_psi"] - wind["usual_psi"]) > 0.25
    assert (wind["recent_nights"], wind["recent_psi"], wind["week_nights"], wind["weekday_psi"]) == (
        14,
        0.02,
        None,
        None,
    )
    assert wind["wasserstein"] > 4  # the wind is 1.6 times 10 knots
    carrier = next(row for row in found if row["column_name"] == "carrier")
    assert (carrier["wasserstein"], carrier["ks"], carrier["new_categories"]) == (None, None, [])


def test_nights_from_before_a_column_was_measured_hold_null(lake: Lake, compared: Any) -> None:
    """The table is widened in place by the first night that writes more."""
    old = replace(DRIFT_TABLE, columns=DRIFT_TABLE.columns[:21])
    drift = compared.night()
    run = NightRun(night=NIGHT, use_case="a", run_id="r")
    rows = drift_rows(drift, dict.fromkeys(drift.by_name, ColumnWindows()), run, model_version="3")
    narrow: list[Any] = [SimpleNamespace(**{name: getattr(row, name) for name in old.column_names}) for row in rows]
    lake.table(old).replace(narrow, [NIGHT], use_case="a", run_id="r")
    write(lake, compared, "flight_delay", night=date(2013, 4, 2))
    assert {row["js_distance"] for row in stored(lake)} == {None}
    assert None not in {row["js_distance"] for row in stored(lake, date(2013, 4, 2))}


def test_a_rerun_replaces_its_own_part_of_its_night_only(lake: Lake, compared: Any) -> None:
    """Two use cases share the table, and each of them has other nights."""
    churn = write(lake, compared, "churn")
    earlier = write(lake, compared, "flight_delay", night=date(2013, 3, 31))
    write(lake, compared, "flight_delay")
    again = write(lake, compared, "flight_delay", moved=3)
    assert stored(lake) == [*churn, *again]
    assert stored(lake, date(2013, 3, 31)) == earlier


def test_read_past_nights_are_summed_up_oldest_first(lake: Lake, compared: Any) -> None:
    asked = [date(2013, 3, 30), date(2013, 3, 31), NIGHT]
    assert read_past_nights(lake, "flight_delay", asked, model_version="3") == []
    write(lake, compared, "flight_delay", moved=2)
    write(lake, compared, "flight_delay", night=date(2013, 3, 30))
    write(lake, compared, "churn", night=date(2013, 3, 31))
    found = read_past_nights(lake, "flight_delay", asked, model_version="3")
    assert [(night.night.day, night.watched, night.drifted) for night in found] == [(30, 5, 0), (1, 5, 2)]
    assert found[1].psi["wind"] > 0.25
    other = read_past_nights(lake, "flight_delay", asked, model_version="4")
    assert [(night.watched, night.drifted, night.psi) for night in other] == [(5, 0, {}), (5, 2, {})]
