from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from tests.declarations import with_fields
from tests.landed_nights import SHOP
from tests.program_results import neutral_result, own_fields

from nightjar.declaration.experiment import CHAMPION
from nightjar.declaration.monitoring import Retraining
from nightjar.lake import files, ledger
from nightjar.lake.lake import Lake
from nightjar.monitoring.data_quality.table import LANDING_TABLE, WARNINGS_TABLE
from nightjar.monitoring.drift.table import DRIFT_TABLE
from nightjar.monitoring.incidents.table import INCIDENTS_TABLE
from nightjar.monitoring.performance.table import PERFORMANCE_TABLE
from nightjar.monitoring.skew.table import SKEW_TABLE
from nightjar.protocol.documents import dump_json
from nightjar.protocol.job import JobSpec
from nightjar.protocol.results import ReactResult, ValidateScoresResult
from nightjar.protocol.scores import Part, ScoringModel
from nightjar.validation.judged import UNKNOWN_COLUMN
from nightjar_jobs.react import REQUEST, react

NIGHT = date(2013, 4, 1)
WATCHED = with_fields(SHOP, monitoring={"retraining": Retraining(breaches=3, of_nights=7, floor=0.6, cooldown_days=5)})
LAG = timedelta(days=SHOP.matured_after_nights)
PLAIN = {"string": "", "double": 0.0, "long": 0, "int": 0, "date": NIGHT}


def rows_of(schema: Any, night: date, *rows: Mapping[str, Any]) -> list[Any]:
    """Rows of a monitoring table: what is given, plain values for the rest."""
    plain = {column.name: PLAIN[column.type] for column in schema.columns if not column.nullable}
    return [SimpleNamespace(**{**plain, "ds": night, "use_case": "shop", **row}) for row in rows]


class ShopLake:
    """A lake whose monitoring is written by hand, and `react` on it."""

    def __init__(self, root: str) -> None:
        self.root = root

    def drift(self, night: date, *, drifted: int = 8, watched: int = 10, version: str = "1") -> None:
        """Record a checked night on which ``drifted`` columns moved."""
        rows = rows_of(
            DRIFT_TABLE,
            night,
            *({"column_name": f"c{i}", "psi": 1.0 - i / 20, "verdict": "drift" if i < drifted else "stable",
               "model_version": version}
              for i in range(watched)),
        )  # fmt: skip
        Lake(self.root).table(DRIFT_TABLE).replace(rows, [night], use_case="shop", run_id="r")
        landed = rows_of(LANDING_TABLE, night, {"table_name": "raw/orders", "column_name": "amount"})
        Lake(self.root).table(LANDING_TABLE).replace(landed, [night], use_case="shop", run_id="r")

    def judge(
        self, night: date, auc: float, *, high: float | None = None, version: str = "1", enough: bool = True
    ) -> None:
        """The night's scores were judged, on the night when its labels are due."""
        figures: dict[str, Any] = {"verdict": "judged", "judged_on": night + LAG, "model_version": version}
        if not enough:
            figures = {**figures, "verdict": "not_judged", "reason": "too few labels"}
        high = auc + 0.02 if high is None else high
        rows = rows_of(
            PERFORMANCE_TABLE,
            night,
            {**figures, "metric": "auc", "value": auc, "low": 2 * auc - high, "high": high},
            {**figures, "metric": "label_rate", "value": 0.2},
        )
        Lake(self.root).table(PERFORMANCE_TABLE).replace(rows, [night], use_case="shop", run_id="r")

    def warn(self, night: date, *, severity: str = "warn", figure: str = "mean") -> None:
        row = {
            "table_name": "raw/orders", "column_name": "amount", "figure": figure, "severity": severity,
            "observed": 90.0, "low": 40.0, "high": 60.0, "usual": 50.0, "what": "raw/orders.amount: mean 90",
        }  # fmt: skip
        rows = rows_of(WARNINGS_TABLE, night, row)
        Lake(self.root).table(WARNINGS_TABLE).replace(rows, [night], use_case="shop", run_id="r")

    def react(
        self, night: date, last: date | None = None, *, version: str = "1", history: bool = False,
        stands_in: str | None = None,
    ) -> ReactResult:  # fmt: skip
        spec = JobSpec(
            program="react", use_case="shop", first_night=night, last_night=last or night, dag_id="shop_nightly",
            run_id=f"night__{night}", task_id="react", lake=self.root,
            params={"history": history},
        )  # fmt: skip
        scoring_model = ScoringModel(
            name="shop", version=version, sha256="0", folder="there", fallback_reason=stands_in
        )
        audited = neutral_result(ValidateScoresResult, parts={CHAMPION: Part(scoring_model=scoring_model)})
        files.write_text(f"{spec.run_dir}/validate_scores/result.json", dump_json(audited))
        return react(spec, WATCHED)

    def incidents(self, night: date) -> list[tuple[str, str, str]]:
        rows = Lake(self.root).table(INCIDENTS_TABLE).read_nights([night]).to_pylist()
        return sorted((row["kind"], row["subject"], row["state"]) for row in rows)

    def requests(self) -> list[date]:
        return [event["ds"] for event in ledger.read(Lake(self.root), event=REQUEST, use_case="shop").to_pylist()]


@pytest.fixture
def made(lake: str) -> ShopLake:
    return ShopLake(lake)


def test_a_quiet_night_has_no_incident_and_asks_for_nothing(made: ShopLake) -> None:
    result = made.react(NIGHT)
    assert (result.status, result.rows_out) == ("succeeded", 0)
    assert result.notifications == ()
    assert result.retrain.request is False
    assert made.incidents(NIGHT) == []


def test_three_nights_of_drift_are_one_incident_and_one_request(made: ShopLake) -> None:
    texts, asked = [], []
    for night in (NIGHT + timedelta(days=i) for i in range(5)):
        made.drift(night)
        result = made.react(night)
        texts += [entry.text for entry in result.notifications]
        asked.append(result.retrain.request)
    assert asked == [False, False, True, False, False]
    assert made.requests() == [NIGHT + timedelta(days=2)]
    assert texts[0].startswith("shop drift: 8 of 10 monitored columns moved, 30% are tolerated; worst: c0 (1.00)")
    assert f"reports/shop/{NIGHT}/drift.html" in texts[0]
    assert "docs/runbooks/drift.md" in texts[0]
    assert "since 2013-04-01, 5 nights" in texts[4]


def test_a_night_that_runs_again_says_and_asks_the_same_once(made: ShopLake) -> None:
    nights = [NIGHT + timedelta(days=i) for i in range(3)]
    for night in nights:
        made.drift(night)
        made.react(night)
    first = made.react(nights[-1])
    again = made.react(nights[-1])
    assert own_fields(first) == own_fields(again)
    assert first.retrain.request is True
    assert made.requests() == [nights[-1]]
    assert made.incidents(nights[-1]) == [("drift", "features/shop", "open")]


def test_what_drifts_on_broken_data_asks_for_no_training(made: ShopLake) -> None:
    for night in (NIGHT + timedelta(days=i) for i in range(4)):
        made.drift(night)
        made.warn(night)
        result = made.react(night)
    decision = result.retrain
    assert decision.request is False
    assert decision.blocked_by == "data incident: the data of 4 of them were broken; repair them first"
    assert made.requests() == []
    assert made.incidents(NIGHT + timedelta(days=3)) == [("data", "raw/orders", "open")], "drift is reported with it"
    (notification,) = result.notifications
    assert "raw/orders.amount: mean 90; with it 8 of 10 monitored columns moved" in notification.text


def test_a_night_of_broken_data_is_no_breach_though_nobody_reacted_to_it(made: ShopLake) -> None:
    nights = [NIGHT + timedelta(days=i) for i in range(3)]
    for night in nights:
        made.drift(night)
    made.warn(nights[1])
    assert made.react(nights[0]).retrain.request is False
    assert made.react(nights[2]).retrain.request is False
    made.drift(nights[2] + timedelta(days=1))
    assert made.react(nights[2] + timedelta(days=1)).retrain.request is True


def test_what_a_stand_in_got_asks_for_nothing(made: ShopLake) -> None:
    for night in (NIGHT + timedelta(days=i) for i in range(4)):
        made.drift(night)
        result = made.react(night, stands_in="the champion was refused")
    assert result.retrain.request is False
    assert made.requests() == []
    assert made.react(night).retrain.request is True


def test_a_column_that_nobody_declared_is_told_of_and_keeps_nobody_from_training(made: ShopLake) -> None:
    for night in (NIGHT + timedelta(days=i) for i in range(3)):
        made.drift(night)
        made.warn(night, figure=UNKNOWN_COLUMN)
        result = made.react(night)
    assert made.incidents(night) == [("contract", "raw/orders", "open"), ("drift", "features/shop", "open")]
    assert result.retrain.request is True


def test_a_range_is_played_night_by_night_and_tells_of_its_last(made: ShopLake) -> None:
    nights = [NIGHT + timedelta(days=i) for i in range(4)]
    made.drift(nights[0])
    for night in nights[1:]:
        made.drift(night, drifted=0)
    result = made.react(nights[0], nights[-1])
    assert [made.incidents(night) for night in nights] == [
        [("drift", "features/shop", "opened")], [("drift", "features/shop", "open")],
        [("drift", "features/shop", "resolved")], [],
    ]  # fmt: skip
    assert result.notifications == ()
    (resolved,) = made.react(nights[2]).notifications
    assert resolved.resolved
    assert resolved.text.startswith("shop drift: features/shop; last: 8 of 10 monitored columns moved")


def test_a_backfill_keeps_incidents_and_asks_for_nothing(made: ShopLake) -> None:
    nights = [NIGHT + timedelta(days=i) for i in range(4)]
    for night in nights:
        made.drift(night)
    for night in reversed(nights):  # in whatever order
        decision = made.react(night, history=True).retrain
        assert decision.request is False
    assert made.requests() == []
    assert made.react(nights[-1], history=True).retrain.blocked_by == "the night is history"
    assert [made.incidents(night) for night in nights] == [[("drift", "features/shop", "opened")]] * 3 + [
        [("drift", "features/shop", "open")]
    ]
    assert made.react(nights[-1]).retrain.request is True, "the night itself, not as history"


def test_what_another_version_got_is_no_reason_to_replace_this_one(made: ShopLake) -> None:
    nights = [NIGHT + timedelta(days=i) for i in range(5)]
    for i, night in enumerate(nights):
        made.drift(night, version="1" if i < 2 else "2")
        made.judge(night - LAG, 0.4, version="1")
        decision = made.react(night, version="2").retrain
    assert decision.reason.startswith("3 of the last 7 nights were in breach (2013-04-03, 2013-04-04, 2013-04-05)")


def test_nights_that_were_judged_below_the_floor_ask_for_a_training(made: ShopLake) -> None:
    asked = []
    for night in (NIGHT + timedelta(days=i) for i in range(3)):
        made.judge(night - LAG, 0.5)
        result = made.react(night)
        asked.append(result.retrain.request)
    assert asked == [False, False, True]
    assert made.incidents(night) == [("performance", "shop auc below the floor", "open")]


def test_nights_that_were_judged_below_the_floor_on_broken_data_do_not(made: ShopLake) -> None:
    nights = [NIGHT + timedelta(days=i) for i in range(3)]
    for night in nights:
        made.warn(night - LAG)
        made.react(night - LAG)
        made.judge(night - LAG, 0.5)
    for night in nights:
        Lake(made.root).table(WARNINGS_TABLE).replace([], [night], use_case="shop", run_id="r")
        decision = made.react(night).retrain
    assert decision.blocked_by.startswith("data incident: the data of 3 of them were broken")
    assert made.requests() == []


@pytest.mark.parametrize("broken", [0, 1])
def test_an_auc_that_only_all_judged_nights_together_show_below_the_floor_asks_for_one(
    made: ShopLake, broken: int
) -> None:
    for i in range(broken):  # a night of broken data is not among them
        made.warn(NIGHT + timedelta(days=i) - LAG)
        made.react(NIGHT + timedelta(days=i) - LAG)
    for i, auc in enumerate((0.55, 0.56, 0.54, 0.55, 0.55)[: 4 + broken]):
        night = NIGHT + timedelta(days=i)
        made.judge(night - LAG, auc, high=0.65)
        decision = made.react(night).retrain
        assert decision.request is (i == 3 + broken)
    assert decision.reason.startswith("over the last judged nights the AUC is 0.550 (")
    assert not [entry for entry in made.incidents(night) if entry[0] == "performance"], "no night alone is below it"


def test_labels_that_are_late_do_not_end_an_incident(made: ShopLake) -> None:
    made.judge(NIGHT - LAG, 0.5)
    made.react(NIGHT)
    nights = [NIGHT + timedelta(days=i) for i in range(1, 6)]
    for night in nights[:3]:
        made.judge(night - LAG, 0.5, enough=False)
        made.react(night)
    (notification,) = made.react(nights[2]).notifications
    assert (notification.resolved, notification.found) == (False, False)
    for night in nights[3:]:
        made.judge(night - LAG, 0.7)
        made.react(night)
    assert made.incidents(nights[-1]) == [("performance", "shop auc below the floor", "resolved")]


def test_skew_ends_when_two_looks_found_none(made: ShopLake) -> None:
    def look(night: date, verdict: str) -> list[tuple[str, str, str]]:
        row = {"verdict": verdict, "rows": 9, "differing_rows": 9, "cause": "because"}
        rows = rows_of(SKEW_TABLE, night, row)
        Lake(made.root).table(SKEW_TABLE).replace(rows, [night], use_case="shop", run_id="r")
        made.react(night)
        return made.incidents(night)

    verdicts = ["skew", "not_judged", "same", "not_judged", "same"]
    states = [look(NIGHT + timedelta(days=i), verdict)[0][2] for i, verdict in enumerate(verdicts)]
    assert states == ["opened", "open", "open", "open", "resolved"]


def test_a_use_case_without_a_policy_asks_for_nothing(made: ShopLake) -> None:
    for night in (NIGHT + timedelta(days=i) for i in range(4)):
        made.drift(night)
    spec = JobSpec(
        program="react", use_case="shop", first_night=NIGHT, last_night=NIGHT + timedelta(days=3), dag_id="d",
        run_id="r", task_id="react", lake=made.root,
    )  # fmt: skip
    assert react(spec, SHOP).retrain.request is False
    assert made.requests() == []
