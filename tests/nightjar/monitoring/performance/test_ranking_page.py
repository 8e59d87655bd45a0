"""The page of a ranking: quality of the order, and which items are listed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from tests.nightjar.monitoring.drift.test_report import Page
from tests.nightjar.monitoring.performance.performance_nights import FIRST
from tests.nightjar.monitoring.performance.test_performance_report import of_night, of_week, text

from nightjar.declaration.use_case import load_use_case
from nightjar.monitoring.performance.pages import Pages
from nightjar.monitoring.performance.problem import ScoredRows
from nightjar.monitoring.performance.registry import performance_problem
from nightjar.monitoring.performance.report import render, render_week
from nightjar.monitoring.performance.table import ALL, ScoredNight, count_rows, performance_rows
from nightjar.monitoring.reporting.origin import ReportOrigin
from nightjar.problems.ranking.metrics import ranks_of

USE_CASE = load_use_case("risky_flights")
ORIGINS = ("EWR", "JFK", "LGA")
OF_ORIGIN = 40
HOLDOUT = {
    "holdout_ndcg": 0.9, "holdout_catalogue_coverage": 0.61, "holdout_novelty": 6.4, "holdout_relevant": 150.0,
    "holdout_rows": 1000.0,
}  # fmt: skip
NIGHTS = 12


LAST = FIRST + timedelta(days=NIGHTS + 2)
"""Night on which the last one is judged."""


def scored(random: np.random.Generator, night: int) -> ScoredRows:
    """Forty flights of each origin: the first 60 numbers are flown from all, and those of LGA are its own."""
    groups = np.repeat(np.arange(3), OF_ORIGIN)
    numbers = np.concatenate([random.permutation(60)[:OF_ORIGIN] for _ in ORIGINS]) + 1000.0 * (groups == 2)
    risk = random.normal(size=len(groups))
    relevance = np.clip(np.floor(risk + random.normal(0, 0.3, len(risk))), 0, 3)
    columns = {
        "rank": ranks_of(groups, risk).astype(float), "item_group": groups + 3.0 * night, "item": numbers,
    }  # fmt: skip
    labels = np.where(random.random(len(risk)) < 0.02, np.nan, relevance)
    return ScoredRows(columns=columns, labels=labels, landed=np.ones(len(risk), bool))


Drawn = list[ScoredRows]


@pytest.fixture(scope="module")
def nights() -> Drawn:
    random = np.random.default_rng(3)
    return [scored(random, number) for number in range(NIGHTS)]


@pytest.fixture(scope="module")
def pages(nights: Drawn) -> Pages:
    problem, origins = performance_problem(USE_CASE.problem), np.repeat(np.arange(3), OF_ORIGIN)
    rows: list[Any] = []
    counts: list[Any] = []
    for number, drawn in enumerate(nights):
        night = FIRST + timedelta(days=number)
        made = ScoredNight(
            night=night, model_version="3", baseline={"relevant_share": 0.16}, judged_on=night + timedelta(days=3),
            holdout=problem.holdout_metrics(HOLDOUT, "holdout_"),
            summaries={
                ALL: problem.summarize(drawn, np.zeros(len(origins), np.int64))[0],
                **{("origin", ORIGINS[code]): part for code, part in problem.summarize(drawn, origins).items()},
            },
        )  # fmt: skip
        rows += performance_rows(made, USE_CASE, run_id="r")
        counts += count_rows(made, USE_CASE, run_id="r")
    origin = ReportOrigin(git_commit="0123456789abcdef", run_id="scheduled", table_versions={"scores/shop": 61})
    return Pages(use_case=USE_CASE, rows=rows, counts=counts, origin=origin)


def coverage_of(nights: Drawn) -> float:
    """Share of the items that are among the first ten."""
    listed = {item for night in nights for item in night.columns["item"][night.columns["rank"] <= 10]}
    return len(listed) / len({item for night in nights for item in night.columns["item"]})


def test_a_night_shows_coverage_and_novelty_without_those_of_the_longer_holdout(pages: Pages, nights: Drawn) -> None:
    report = of_night(pages, LAST)
    html = render(report)
    words = text(html)
    assert len(Page(html).all("caption")) == len(Page(html).all("table"))
    coverage, novelty = report.figures["catalogue_coverage"], report.figures["novelty"]
    assert coverage.value == coverage_of(nights[-1:])
    assert novelty.value is not None
    assert (
        f"share of all items that are among the first 10 of a group at least once {100 * coverage.value:.0f}" in words
    )
    assert f"mean of −log2 of their shares {novelty.value:.3g}\u202fbits".replace("\u202f", " ") in words
    assert (coverage.holdout, novelty.holdout) == (None, None)
    assert report.figures["ndcg"].holdout == 0.9
    assert report.figures["relevant_share"].holdout == 0.15
    assert "an item that has 1 in 1,024 of the rows counts 10 bits" in words


def test_a_week_counts_items_over_its_nights(pages: Pages, nights: Drawn) -> None:
    report = of_week(pages, LAST)
    assert report.figures["catalogue_coverage"].value == coverage_of(nights[-7:]) > coverage_of(nights[-1:])
    assert "Catalogue coverage" in text(render_week(report))
