from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from xml.etree import ElementTree

import pytest

from nightjar.monitoring.drift.comparison import ColumnDrift
from nightjar.monitoring.drift.onset import describe_domain, describe_onset, week_summary
from nightjar.monitoring.drift.plots import psi_plot
from nightjar.monitoring.drift.report import Report
from nightjar.monitoring.drift.table import PastNight
from nightjar.monitoring.drift.windows import ColumnWindows, Window

NIGHT = date(2013, 4, 5)  # a Friday


def history(*psis: float) -> list[PastNight]:
    """Nights up to the one before NIGHT."""
    first = NIGHT - timedelta(days=len(psis))
    return [PastNight(night=first + timedelta(days=i), psi={"wind": psi}) for i, psi in enumerate(psis)]


@pytest.fixture
def wind(compared: Any) -> ColumnDrift:
    """A column that has moved."""
    column: ColumnDrift = compared.night(moved=1).by_name["wind"]
    assert column.psi > 0.25
    return column


def window(psi: float) -> Window:
    return Window(nights=4, psi=psi)


@pytest.mark.parametrize(
    ("psis", "expected"),
    [
        ((), []),
        ((0.1, 0.1), ["New tonight: PSI was below the limit on the night before."]),
        (
            (0.1, 0.9, 0.1),
            ["Back tonight: PSI was below the limit on the night before, and above it on 1 of the 3 before."],
        ),
        ((0.9, 0.1, 0.4, 0.3), ["Since 3 April: 3 nights in a row."]),
        ((0.9, 0.4), ["Since at least 3 April: 3 nights in a row."]),
    ],
)
def test_the_nights_in_a_row(wind: ColumnDrift, psis: tuple[float, ...], expected: list[str]) -> None:
    assert describe_onset(wind, ColumnWindows(), history(*psis), NIGHT, 0.25) == expected


def test_nights_that_nobody_looked_at_are_not_said_to_have_drifted(wind: ColumnDrift) -> None:
    old, gap = history(0.1, 0.4, 0.3, 0.3), history(0.1, 0.4)
    assert describe_onset(wind, ColumnWindows(), [*old[:2], old[3]], NIGHT, 0.25) == [
        "Since 2 April: all 3 compared nights."
    ]
    assert describe_onset(wind, ColumnWindows(), gap[:1], NIGHT, 0.25) == [
        "New tonight: PSI was below the limit on 3 April, the last compared night."
    ]


def test_nights_against_another_models_training_set_say_nothing(wind: ColumnDrift) -> None:
    earlier = [replace(night, psi={}) for night in history(0.4, 0.4, 0.4)[:2]]
    assert describe_onset(wind, ColumnWindows(), earlier, NIGHT, 0.25) == []
    assert describe_onset(wind, ColumnWindows(), [*earlier, *history(0.4)], NIGHT, 0.25) == [
        "Since at least 4 April: 2 nights in a row."
    ]


def test_a_change_that_crept_over_the_limit_is_not_called_new_and_old_at_once(wind: ColumnDrift) -> None:
    sentences = describe_onset(wind, ColumnWindows(recent=window(0.02)), history(0.2, 0.2), NIGHT, 0.25)
    assert sentences[1] == "It looks like the 4 nights before: it was near the limit already."
    sentences = describe_onset(wind, ColumnWindows(recent=window(0.02)), history(0.9, 0.2), NIGHT, 0.25)
    assert sentences[1] == "It looks like the 4 nights before: the change is not new."


def test_a_column_that_has_not_moved_says_when_it_had(wind: ColumnDrift) -> None:
    still = replace(wind, psi=0.05)
    windows = ColumnWindows(recent=window(0.6))
    assert describe_onset(still, windows, history(0.4, 0.1), NIGHT, 0.25) == [
        "PSI was above 0.25 on 1 of the 2 nights before."
    ]
    assert describe_onset(still, windows, history(0.1, 0.1), NIGHT, 0.25) == []


def test_the_nights_before(wind: ColumnDrift) -> None:
    def describe(**windows: Window) -> str:
        return " ".join(describe_onset(wind, ColumnWindows(**windows), [], NIGHT, 0.25))

    assert describe(recent=window(0.02)) == "It looks like the 4 nights before: the change is not new."
    assert describe(recent=window(0.6)) == "It is unlike the 4 nights before too (PSI 0.60 against them)."
    assert describe(recent=window(0.6), weekday=window(0.03)).endswith("It looks like the last 4 Fridays.")
    assert describe(weekday=window(0.03)) == ""


def test_the_week_counts_watched_columns(report: Report) -> None:
    assert week_summary(report.windows, report.drift) == "1 of 1"
    assert week_summary(dict.fromkeys(report.drift.by_name, ColumnWindows()), report.drift) == ""


def test_what_the_classifier_found(report: Report) -> None:
    domain = report.domain
    assert domain is not None
    assert "columns together mostly separate" in describe_domain(domain)
    assert "any tested night of training (AUC 0.74)" in describe_domain(domain)
    assert "not more often than for training\u2019s own nights (AUC up to 0.90)" in describe_domain(
        replace(domain, usual_auc=0.9)
    )
    assert describe_domain(replace(domain, usual_auc=None)).startswith(
        "All columns together mostly separate a night\u2019s row"
    )


def test_psi_over_time_ends_with_this_night_and_has_the_limit(wind: ColumnDrift) -> None:
    drawn = psi_plot(wind, history(0.1, 0.4), 0.25)
    root = ElementTree.fromstring(drawn)
    assert [mark.get("class") for mark in root] == ["then", "now moved", "now moved", "limit"]
    assert (root.get("aria-label") or "").startswith("PSI of wind, the last 3 nights: 0.10, 0.40, ")
    assert psi_plot(wind, history(0.1), 0.25) == ""
