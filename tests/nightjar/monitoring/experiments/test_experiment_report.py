"""The experiment's page: what a person reads first, and that nothing in it is run or fetched."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from tests.nightjar.monitoring.experiments.test_experiments import EXPERIMENT, HALVES, late, simulate

from nightjar.declaration.experiment import Experiment, FixedHorizon, Sequential
from nightjar.declaration.problem import Cost
from nightjar.monitoring.experiments.analysis import analyse
from nightjar.monitoring.experiments.report import ExperimentReport, render
from nightjar.monitoring.reporting.origin import ReportOrigin

ORIGIN = ReportOrigin(git_commit="unknown", run_id="r", table_versions={"scores/flight_delay": 7})


def page(experiment: Experiment, *, challenger: float = 0.2, nights: int = 20, kept: float = 1.0, **more: Any) -> str:
    seen = simulate(1, nights=nights, units=1000, champion=late(0.2), challenger=late(challenger), kept=kept)
    report = ExperimentReport(
        title="Flights", night=date(2013, 4, 1) + timedelta(days=nights), experiment=experiment,
        analysis=analyse(experiment, seen), versions={"champion": ["3"], "challenger": ["4"]}, origin=ORIGIN, **more,
    )  # fmt: skip
    return render(report)


SEQUENTIAL = replace(HALVES, design=Sequential(effect=0.02))
FIXED = replace(HALVES, design=FixedHorizon(units=10_000))


@pytest.mark.parametrize(
    ("html", "headline"),
    [
        (page(SEQUENTIAL, challenger=0.1), "challenger is below champion in mean Brier score per unit, which is"),
        (page(SEQUENTIAL), "challenger shows no difference from champion so far."),
        (page(FIXED), "the horizon is reached, and challenger shows no difference from champion."),
        (page(SEQUENTIAL, challenger=0.1, kept=0.8), "units were lost or duplicated"),
        (page(SEQUENTIAL, nights=0), "no night of the experiment has labels."),
        (
            page(replace(SEQUENTIAL, metric="cost"), challenger=0.3, cost=Cost(missed=1, false_alarm=1)),
            "challenger is above champion in mean cost in USD per unit, which is worse.",
        ),
        (page(replace(SEQUENTIAL, metric="label"), challenger=0.3), "is above champion in mean label per unit."),
    ],
)  # fmt: skip
def test_the_verdict_comes_first_and_in_words(html: str, headline: str) -> None:
    assert headline in html.split("</h1>")[0]


def test_nights_that_do_not_count_and_versions_that_changed_are_said() -> None:
    excluded, versions = [date(2013, 4, 3), date(2013, 4, 5)], {"champion": ["3", "5"], "challenger": ["4"]}
    html = render(replace(_report(), excluded=excluded, versions=versions))
    assert "2 nights do not" in html
    assert "2013-04-03, 2013-04-05" in html
    assert "Versions 3, 5 scored champion" in html


def _report() -> ExperimentReport:
    seen = simulate(1, nights=20, units=1000, champion=late(0.2), challenger=late(0.2))
    return ExperimentReport(
        title="Flights <&>",
        night=date(2013, 4, 21),
        experiment=EXPERIMENT,
        analysis=analyse(EXPERIMENT, seen),
        origin=ORIGIN,
    )


def test_the_page_is_one_file_that_runs_nothing_and_escapes_what_it_shows() -> None:
    html = render(_report())
    assert "Flights &lt;&amp;&gt;" in html
    assert "<script" not in html
    assert "src=" not in html
    assert "default-src 'none'" in html
    assert render(_report()) == html
