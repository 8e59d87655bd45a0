"""What is called wrong with a judged night, and what is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from tests.declarations import with_fields
from tests.nightjar.monitoring.performance.performance_nights import FIRST, HOLDOUT, JUDGED, Nights, draw

from nightjar.declaration.monitoring import Retraining
from nightjar.lake.lake import Lake
from nightjar.monitoring.performance.binary.summary import summarize
from nightjar.monitoring.performance.findings import MIN_NIGHTS, NIGHTS, find_problems
from nightjar.monitoring.performance.rows import PerformanceRow
from nightjar.monitoring.performance.table import (
    ALL,
    COUNTS_TABLE,
    PERFORMANCE_TABLE,
    judged_nights,
    performance_findings,
    read_performance,
)

NEUTRAL: dict[str, Any] = {
    **dict.fromkeys(field.name for field in fields(PerformanceRow)),
    "use_case": "shop", "slice": "", "slice_value": "", "rows": 1000, "landed_rows": 1000, "labelled_rows": 1000,
    "verdict": "judged", "dag_run_id": "r",
}  # fmt: skip


def row_of(metric: str, **known: Any) -> PerformanceRow:
    """A row with these fields, and neutral values in the others."""
    return PerformanceRow(**{**NEUTRAL, "metric": metric, **known})


def nights_of(figures: Sequence[dict[str, Any]], **changed: Any) -> list[dict[str, PerformanceRow]]:
    """Nights with these AUCs and excesses; intervals of a half width of 0.04."""
    made = []
    for i, entry in enumerate(figures):
        auc, excess = entry.get("auc", 0.7), entry.get("excess", -0.05)
        common = {"ds": FIRST + timedelta(days=i), "model_version": entry.get("version", "3"), "holdout": None}
        made.append({
            "auc": row_of("auc", **{**common, "holdout": HOLDOUT["auc"]}, value=auc, low=auc - 0.04, high=auc + 0.04),
            **{m: row_of(m, **common, value=0.5 + excess, baseline=0.5, excess=excess)
               for m in ("log_loss", "brier", "expected_cost")},
        } | changed)  # fmt: skip
    return made


def subjects(nights: Sequence[Any], use_case: Any = JUDGED, **more: Any) -> list[str]:
    found = find_problems(nights, use_case, night=FIRST, link="page", **more)
    return [f"{entry.severity} {entry.subject.removeprefix('shop ')}" for entry in found]


def test_single_nights_are_no_warning_and_several_that_agree_are() -> None:
    usual = [0.70, 0.73, 0.68, 0.75, 0.66, 0.72]
    assert subjects(nights_of([{"auc": value} for value in [*usual, 0.61]])) == []
    low = [0.62, 0.66, 0.6, 0.65, 0.63, 0.64, 0.66]
    assert subjects(nights_of([{"auc": value} for value in low])) == ["warn auc below the holdout"]
    assert subjects(nights_of([{"auc": value} for value in [*low, 0.70]])) == [], "the last night is well again"
    assert subjects(nights_of([{"auc": value} for value in low[-MIN_NIGHTS + 1 :]])) == [], "too few"


def test_a_constant_that_is_better_for_days_is_a_warning() -> None:
    for metric in ("log_loss", "brier", "expected_cost"):
        worse = nights_of([{"excess": value} for value in (0.02, 0.05, 0.03, 0.04, 0.06)])
        for night in worse:
            for other in {"log_loss", "brier", "expected_cost"} - {metric}:
                night[other] = replace(night[other], excess=-0.1)
        assert subjects(worse) == [f"warn {metric} above the baseline"]
    well_again = nights_of([{"excess": value} for value in (0.05, 0.06, 0.07, 0.06, 0.05, 0.06, -0.001)])
    assert subjects(well_again) == [], "the last night is well again"
    without_cost = nights_of([{"excess": 0.05}] * 5)
    del without_cost[-1]["expected_cost"], without_cost[0]["expected_cost"]
    assert subjects(without_cost) == ["warn log_loss above the baseline", "warn brier above the baseline"]
    mixed = nights_of([{"excess": value} for value in (0.3, -0.2, 0.4, -0.3, 0.2)])
    assert subjects(mixed) == []
    unknown = nights_of([{"excess": 0.05}] * 5)
    for night in unknown[:3]:
        for metric in ("log_loss", "brier", "expected_cost"):
            night[metric] = replace(night[metric], excess=None, baseline=None)
    assert subjects(unknown) == [], "nights without a baseline do not count"


def test_another_version_s_nights_are_not_held_against_this_one() -> None:
    before = [{"auc": value, "version": "2"} for value in (0.62, 0.66, 0.6, 0.65, 0.63)]
    assert subjects(nights_of([*before, {"auc": 0.67}, {"auc": 0.66}])) == []


def test_the_floor_is_that_of_the_whole_interval_of_one_night() -> None:
    assert subjects(nights_of([{"auc": 0.55}])) == ["breach auc below the floor"]
    assert subjects(nights_of([{"auc": 0.57}])) == [], "its interval reaches the floor of 0.6"
    assert subjects(nights_of([{"auc": 0.55}]), with_fields(JUDGED, monitoring={"retraining": None})) == []
    assert subjects(nights_of([{"auc": 0.55}]), with_fields(JUDGED, monitoring={"retraining": Retraining()})) == []
    (found,) = find_problems(nights_of([{"auc": 0.5}]), JUDGED, night=date(2013, 4, 4), link="page")
    assert found.severity_ratio == pytest.approx(0.5 / 0.4)
    assert found.what == "scores of 2013-04-01: the AUC is 0.500 (0.460 to 0.540), below the floor of 0.6"
    assert (found.kind, found.link, found.runbook) == ("performance", "page", "docs/runbooks/performance.md")
    whole = {"auc": row_of("auc", value=0.55, low=0.54, high=0.56)}
    assert subjects(nights_of([{"auc": 0.57}] * 2), judged=whole) == ["breach auc below the floor"]
    assert subjects([]) == []


def test_nights_whose_labels_are_all_alike_say_nothing_of_ranks() -> None:
    nights = nights_of([{"auc": 0.62}] * NIGHTS)
    nights[-1]["auc"] = replace(nights[-1]["auc"], value=None, low=None, high=None)
    assert subjects(nights) == []


def test_findings_are_of_the_night_that_was_judged_and_as_the_table_says(lake: Lake) -> None:
    random = np.random.default_rng(1)
    nights = Nights()
    for i in range(8):
        nights.add(FIRST + timedelta(days=i), {ALL: summarize(draw(random, 800, skill=0.0))})
    written = [FIRST + timedelta(days=i) for i in range(8)]
    for table, rows in ((PERFORMANCE_TABLE, nights.rows), (COUNTS_TABLE, nights.counts)):
        lake.table(table).replace(rows, written, use_case="shop", run_id="r")
    last = FIRST + timedelta(days=10)
    found = performance_findings(lake, JUDGED, last)
    looked = judged_nights(read_performance(lake, "shop", written), last)
    assert list(looked) == written
    assert found == find_problems(
        list(looked.values()), JUDGED, night=last, link=f"{lake}/reports/shop/{last}/performance.html"
    )
    assert [entry.subject for entry in found][:2] == ["shop auc below the floor", "shop auc below the holdout"]
    assert performance_findings(lake, JUDGED, last + timedelta(days=1)) == []
    early = performance_findings(lake, JUDGED, FIRST + timedelta(days=4))
    assert [entry.severity for entry in early] == ["breach"], "as it was known then: two nights"
    assert performance_findings(lake, replace(JUDGED, name="other"), last) == []
    assert lake.table(PERFORMANCE_TABLE).exists()


def test_without_a_table_nothing_is_found(lake: Lake) -> None:
    assert performance_findings(lake, JUDGED, FIRST) == []
