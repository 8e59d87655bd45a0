"""The pages of numbers and of classes: what a person reads first, and that the parts of each type are there."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from xml.etree import ElementTree

import pytest
from tests.nightjar.monitoring.drift.test_report import Page
from tests.nightjar.monitoring.performance.problem_type_nights import KINDS, LAST, MINUTES, pages_of
from tests.nightjar.monitoring.performance.test_performance_report import of_night, of_week, text

from nightjar.declaration.use_case import UseCase
from nightjar.monitoring.performance.pages import Pages
from nightjar.monitoring.performance.report import render, render_week
from nightjar.monitoring.performance.wording import changes, describe_onset

Html = Callable[[Pages], str]
BOTH = pytest.mark.parametrize("html", [lambda p: render(of_night(p)), lambda p: render_week(of_week(p))])


@pytest.fixture(scope="module")
def numbers() -> Pages:
    return pages_of(MINUTES)


@pytest.fixture(scope="module")
def classes() -> Pages:
    return pages_of(KINDS)


@BOTH
@pytest.mark.parametrize("use_case", [MINUTES, KINDS], ids=["numbers", "classes"])
def test_pages_are_well_formed_and_tables_have_captions(use_case: UseCase, html: Html) -> None:
    for off in (0.0, 1.0):
        made = html(pages_of(use_case, off=off * (9 if use_case is MINUTES else 1), nights=14, count=400))
        page = Page(made)
        assert len(page.all("caption")) == len(page.all("table"))
        identifiers = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
        assert len(set(identifiers)) == len(identifiers)
        assert all(attrs["aria-labelledby"] in identifiers for _, attrs in page.elements if "aria-labelledby" in attrs)
        assert "AUC" not in text(made)
        for plot in re.findall(r"<svg.*?</svg>", made, flags=re.DOTALL):
            root = ElementTree.fromstring(plot)
            width, height = map(float, (root.get("viewBox") or "").split()[2:])
            for element in root.iter():
                for name, limit in (("x1", width), ("x2", width), ("cx", width), ("y1", height), ("cy", height)):
                    assert -0.05 <= float(element.get(name, "0")) <= limit + 0.05, plot
                assert "nan" not in "".join(element.attrib.values())


@BOTH
def test_a_page_of_numbers_has_error_bias_coverage_and_groups(numbers: Pages, html: Html) -> None:
    words = text(html(numbers))
    assert re.search(r"Holds: the mean absolute error is 4\.\d+.min, (in line with|below|above) the 4\.9 of the", words)
    assert re.search(r"Mean absolute error 4\.\d+.min is \d+.% below the baseline’s \d+\.?\d*.min", words)
    assert "neither too high nor too low on average" in words or "too high on average" in words
    assert re.search(r"\d+.% of the labels lie between the outermost quantiles", words)
    assert "Predicted and observed" in words
    assert re.search(r"In \d+ of 10 groups of similar predictions the mean label agrees", words)
    assert "Calibration" not in words


def test_a_page_of_numbers_states_that_nothing_is_estimated(numbers: Pages) -> None:
    words = text(render(of_night(numbers)))
    assert "900 scores; there are no labels yet. Errors of a regression cannot be estimated" in words
    assert "Estimated from" not in words
    then = LAST - timedelta(days=5)
    early = of_night(numbers, then)
    assert {row.reason for row in early.estimated.values()} == {numbers.problem.no_estimate}
    assert all(row.value is None for row in early.estimated.values()), "judged later, and not known then"


def test_numbers_that_went_bad_are_above_the_ceiling_since_a_day() -> None:
    broken = pages_of(MINUTES, off=9.0)
    report = of_night(broken)
    words = text(render(report))
    assert re.search(
        r"Above the ceiling: the mean absolute error is 9\.\d+.min, and its whole interval lies above", words
    )
    assert "the ceiling of 7" in words
    assert re.search(r"Predictions are \d\.\d+.min too low on average", words)
    assert re.search(r"Above 4\.9.min since 15 April: the last 8 judged nights\.", describe_onset(report))
    assert [finding.subject for finding in report.findings] == [
        "shop mae above the ceiling",
        "shop mae above the holdout",
    ]
    assert report.findings[1].what.startswith(
        "scores of 2013-04-22: over the last 7 judged nights the mean absolute error in min is 9."
    )
    assert report.findings[1].what.endswith("clearly above the 4.9 of the holdout")


@BOTH
def test_a_page_of_classes_has_their_confusion(classes: Pages, html: Html) -> None:
    made = html(classes)
    words = text(made)
    assert re.search(r"Holds: the accuracy is 0\.\d{3}, (in line with|below|above) the 0\.620 of the holdout", words)
    assert "True class" in words
    assert "Estimated before the labels landed: Accuracy 0." in words
    report = of_night(classes)
    rows = sum(sum(line) for line in report.detail.counts)
    assert rows == report.figures["accuracy"].labelled_rows
    assert "Predicted and observed" not in words


def test_classes_that_went_bad_are_below_the_floor() -> None:
    report = of_night(pages_of(KINDS, off=1.0))
    words = text(render(report))
    assert re.search(r"Below the floor: the accuracy is 0\.\d{3}, and its whole interval lies below the floor", words)
    assert any("expected from the scores" in sentence for sentence in changes(report))
    assert "shop log_loss above the baseline" in [finding.subject for finding in report.findings]
    assert "shop accuracy below the holdout" in [finding.subject for finding in report.findings]
