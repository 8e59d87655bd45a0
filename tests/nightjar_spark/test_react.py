from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from tests.landed_nights import SHOP

from nightjar.contracts.experiment import CHAMPION
from nightjar.contracts.job import JobResult, JobSpec
from nightjar.contracts.monitoring import Retraining
from nightjar.lake import delta, files, ledger
from nightjar.monitoring.incident_records import INCIDENTS_TABLE
from nightjar.monitoring.records import DRIFT_TABLE, replace_rows
from nightjar.monitoring.warning_records import WARNINGS_TABLE
from nightjar.scoring.task import Part, Speaker
from nightjar_spark.react import REQUEST, react

NIGHT = date(2013, 4, 1)
WATCHED = replace(SHOP, retraining=Retraining(breaches=3, of_nights=7, cooldown_days=5))
PLAIN = {"string": "", "double": 0.0, "long": 0, "int": 0, "date": NIGHT}


def rows_of(schema: Any, night: date, *rows: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of a monitoring table: what is given, plain values for the rest."""
    plain = {column.name: PLAIN[column.type] for column in schema.columns if not column.nullable}
    return [{**plain, "ds": night, "use_case": "shop", **row} for row in rows]


class Lake:
    """A lake whose monitoring is written by hand, and `react` on it."""

    def __init__(self, root: str) -> None:
        self.root = root

    def drift(self, night: date, *, drifted: int = 8, watched: int = 10) -> None:
        rows = rows_of(
            DRIFT_TABLE,
            night,
            *({"column_name": f"c{i}", "psi": 1.0 - i / 20, "verdict": "drift" if i < drifted else "stable"}
              for i in range(watched)),
        )  # fmt: skip
        replace_rows(self.root, DRIFT_TABLE, rows, [night], use_case="shop", run_id="r")

    def warn(self, night: date, *, severity: str = "warn") -> None:
        row = {
            "table_name": "raw/orders", "column_name": "amount", "figure": "mean", "severity": severity,
            "observed": 90.0, "low": 40.0, "high": 60.0, "usual": 50.0, "what": "raw/orders.amount: mean 90",
        }  # fmt: skip
        rows = rows_of(WARNINGS_TABLE, night, row)
        replace_rows(self.root, WARNINGS_TABLE, rows, [night], use_case="shop", run_id="r")

    def react(self, night: date, last: date | None = None) -> JobResult:
        spec = JobSpec(
            program="react", use_case="shop", first_night=night, last_night=last or night, dag_id="shop_nightly",
            run_id=f"night__{night}", task_id="react", lake=self.root,
        )  # fmt: skip
        speaker = Speaker(name="shop", version="1", sha256="0", folder="there")
        audited = JobResult(status="succeeded", values={"parts": {CHAMPION: Part(speaker=speaker).to_dict()}})
        files.write_text(f"{spec.run_dir}/validate_scores/result.json", audited.to_json())
        return react(spec, WATCHED)

    def incidents(self, night: date) -> list[tuple[str, str, str]]:
        rows = delta.read_nights(self.root, INCIDENTS_TABLE.name, [night]).to_pylist()
        return sorted((row["kind"], row["subject"], row["state"]) for row in rows)

    def requests(self) -> list[date]:
        return [event["ds"] for event in ledger.read(self.root, event=REQUEST, use_case="shop").to_pylist()]


@pytest.fixture
def made(lake: str) -> Lake:
    return Lake(lake)


def test_a_quiet_night_has_no_incident_and_asks_for_nothing(made: Lake) -> None:
    result = made.react(NIGHT)
    assert (result.status, result.rows_out) == ("succeeded", 0)
    assert result.values["alerts"] == []
    assert result.values["retrain"]["request"] is False
    assert made.incidents(NIGHT) == []


def test_three_nights_of_drift_are_one_incident_and_one_request(made: Lake) -> None:
    told, asked = [], []
    for night in (NIGHT + timedelta(days=i) for i in range(5)):
        made.drift(night)
        result = made.react(night)
        told += result.values["alerts"]
        asked.append(result.values["retrain"]["request"])
    assert asked == [False, False, True, False, False]
    assert made.requests() == [NIGHT + timedelta(days=2)]
    (opened,) = told
    assert opened.startswith("NEW shop drift: 8 of 10 watched columns moved, 30% are tolerated; worst: c0 (1.00)")
    assert f"reports/shop/{NIGHT}/drift.html" in opened
    assert "docs/runbooks/drift.md" in opened


def test_a_night_that_runs_again_says_and_asks_the_same_once(made: Lake) -> None:
    nights = [NIGHT + timedelta(days=i) for i in range(3)]
    for night in nights:
        made.drift(night)
        made.react(night)
    first = made.react(nights[-1])
    again = made.react(nights[-1])
    assert first.values == again.values
    assert first.values["retrain"]["request"] is True
    assert made.requests() == [nights[-1]]
    assert made.incidents(nights[-1]) == [("drift", "features/shop", "open")]


def test_what_drifts_on_broken_data_asks_for_no_training(made: Lake) -> None:
    for night in (NIGHT + timedelta(days=i) for i in range(4)):
        made.drift(night)
        made.warn(night)
        result = made.react(night)
    decision = result.values["retrain"]
    assert decision["request"] is False
    assert decision["blocked_by"] == "broken data on 4 of them: mend the data first"
    assert made.requests() == []
    assert made.incidents(NIGHT + timedelta(days=3)) == [
        ("data", "raw/orders", "open"), ("drift", "features/shop", "open"),
    ]  # fmt: skip


def test_a_range_is_played_night_by_night_and_tells_of_its_last(made: Lake) -> None:
    nights = [NIGHT + timedelta(days=i) for i in range(4)]
    made.drift(nights[0])
    for night in nights[1:]:
        made.drift(night, drifted=0)
    result = made.react(nights[0], nights[-1])
    assert [made.incidents(night) for night in nights] == [
        [("drift", "features/shop", "opened")], [("drift", "features/shop", "open")],
        [("drift", "features/shop", "resolved")], [],
    ]  # fmt: skip
    assert result.values["alerts"] == []
    (resolved,) = made.react(nights[2]).values["alerts"]
    assert resolved.startswith("RESOLVED shop drift: features/shop | since 2013-04-01, 1 night")


def test_a_use_case_without_a_policy_asks_for_nothing(made: Lake) -> None:
    for night in (NIGHT + timedelta(days=i) for i in range(4)):
        made.drift(night)
    spec = JobSpec(
        program="react", use_case="shop", first_night=NIGHT, last_night=NIGHT + timedelta(days=3), dag_id="d",
        run_id="r", task_id="react", lake=made.root,
    )  # fmt: skip
    values = react(spec, SHOP).values
    assert json.loads(json.dumps(values))["retrain"]["request"] is False
    assert made.requests() == []
