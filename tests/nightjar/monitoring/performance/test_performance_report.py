"""The pages on performance: what a person reads first, what is known on which night, and that nothing is fetched."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest
from tests.declarations import with_fields
from tests.nightjar.monitoring.conftest import HOSTILE
from tests.nightjar.monitoring.drift.test_report import Page, luminance
from tests.nightjar.monitoring.performance.performance_nights import CARRIERS, FIRST, JUDGED, Nights, draw, summaries

from nightjar.monitoring.performance.binary.metrics import measure
from nightjar.monitoring.performance.binary.problem import histogram
from nightjar.monitoring.performance.binary.summary import Summary, merge, summarize
from nightjar.monitoring.performance.pages import Pages
from nightjar.monitoring.performance.plots import ticks
from nightjar.monitoring.performance.report import render, render_week
from nightjar.monitoring.performance.report_data import PerformanceReport
from nightjar.monitoring.performance.wording import changes, describe_onset, describe_slices

LAST = FIRST + timedelta(days=24)
JUDGED_NIGHT = LAST - timedelta(days=3)


def pages(*, skill: float = 1.0, shift: float = 0.0, bad: str = "", nights: int = 25, seed: int = 5) -> Pages:
    """Nights of which the last eight judged ones are as asked for, and the last three wait for their labels."""
    random, made = np.random.default_rng(seed), Nights()
    for i in range(nights):
        tail = i >= nights - 11
        found = summaries(
            random, 900, skill=skill if tail else 1.0, shift=(shift if tail else 0) + random.normal(0, 0.2),
            bad=bad if tail else "",
        )  # fmt: skip
        made.add(FIRST + timedelta(days=i), found, judged=i < nights - 3)
    return made.pages()


@pytest.fixture(scope="module")
def good() -> Pages:
    return pages()


@pytest.fixture(scope="module")
def broken() -> Pages:
    return pages(skill=-0.1)


def of_night(given: Pages, night: date = LAST) -> PerformanceReport:
    return given.of_night(night, night - timedelta(days=3), link="page")


def of_week(given: Pages, night: date = LAST) -> PerformanceReport:
    return given.of_week(night, link="page")


def text(html: str) -> str:
    return " ".join(Page(html).text.split())


BOTH = pytest.mark.parametrize("html", [lambda p: render(of_night(p)), lambda p: render_week(of_week(p))])
Html = Callable[[Pages], str]


@BOTH
def test_the_page_is_well_formed_and_says_the_verdict_first(good: Pages, html: Html) -> None:
    page = Page(html(good))
    headings = [name for name, _ in page.elements if re.fullmatch("h[1-6]", name)]
    assert headings[0] == "h1"
    assert headings.count("h1") == 1
    assert not any(int(b[1]) > int(a[1]) + 1 for a, b in pairwise(headings))
    words = " ".join(page.text.split())
    assert re.search(r"Holds: the AUC is 0\.\d{3}, (in line with|above|below) the 0\.722 of the holdout", words)
    assert words.index("Holds:") < words.index("What changed") < words.index("By origin") < words.index("Since when")
    assert words.index("By origin") < words.index("By carrier"), "as declared"
    landmarks = [name for name, _ in page.elements if name in {"header", "main", "footer"}]
    assert landmarks[0] == "header"
    assert {"main", "footer"} <= set(landmarks)


@BOTH
def test_the_plots_are_well_formed_and_speak(broken: Pages, html: Html) -> None:
    plots = re.findall(r"<svg.*?</svg>", html(broken), flags=re.DOTALL)
    assert len(plots) >= 7
    for plot in plots:
        root = ElementTree.fromstring(plot)
        assert root.get("aria-hidden") == "true" or (root.get("role") == "img" and root.get("aria-label"))
        width, height = map(float, (root.get("viewBox") or "").split()[2:])
        for element in root.iter():
            for name, limit in (("x", width), ("x1", width), ("x2", width), ("cx", width),
                                ("y", height), ("y1", height), ("y2", height), ("cy", height)):  # fmt: skip
                assert -0.05 <= float(element.get(name, "0")) <= limit + 0.05, plot
            assert "nan" not in "".join(element.attrib.values())


@BOTH
def test_nothing_is_loaded_from_elsewhere_and_names_stay_text(good: Pages, html: Html) -> None:
    hostile = replace(good, use_case=replace(good.use_case, title=f"Flights {HOSTILE}"))
    hostile = replace(hostile, rows=[
        replace(row, slice_value=HOSTILE) if row.slice_value == "UA" else row for row in hostile.rows
    ], counts=[
        replace(row, slice_value=HOSTILE) if row.slice_value == "UA" else row for row in hostile.counts
    ])  # fmt: skip
    made = html(hostile)
    page = Page(made)
    assert "<script>alert" not in made
    assert "&lt;script&gt;alert" in made
    assert len(page.all("script")) == 1
    assert not page.all("link") + page.all("img") + page.all("iframe") + page.all("object")
    assert all("src" not in attrs for _, attrs in page.elements)
    assert "url(" not in made
    policy = next(attrs for attrs in page.all("meta") if attrs.get("http-equiv") == "Content-Security-Policy")
    assert (policy["content"] or "").startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-")
    assert made.startswith("<!doctype html>")
    assert html(hostile) == made


@BOTH
def test_tables_have_captions_and_regions_have_names(good: Pages, html: Html) -> None:
    page = Page(html(good))
    assert len(page.all("caption")) == len(page.all("table")) == 3
    assert all(attrs.get("scope") in {"col", "row"} for attrs in page.all("th"))
    regions = [attrs for attrs in page.all("div") if attrs.get("role") == "region"]
    assert all(
        attrs.get("tabindex") == "0" and ("aria-label" in attrs or "aria-labelledby" in attrs) for attrs in regions
    )
    identifiers = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(set(identifiers)) == len(identifiers)
    assert all(attrs["aria-labelledby"] in identifiers for _, attrs in page.elements if "aria-labelledby" in attrs)
    assert all((attrs["href"] or "").removeprefix("#") in identifiers for attrs in page.all("a"))


def test_a_broken_model_is_said_to_be_so_where_and_since_when(broken: Pages) -> None:
    report = of_night(broken)
    words = text(render(report))
    assert "Below the floor: the AUC is" in words
    assert "clearly below the 0.722 of the holdout" in words
    assert "What to do: docs/runbooks/performance.md" in words
    assert re.search(r"Below 0\.722 since 1[56] April: the last [78] judged nights\.", describe_onset(report))
    assert any("too low" in sentence or "too high" in sentence for sentence in changes(report))
    week = text(render_week(of_week(broken)))
    assert "Below the floor" in week
    assert "Its AUC is below that of all 3 weeks before." in week


def test_a_slice_that_the_model_knows_nothing_of_stands_out() -> None:
    report = of_week(pages(bad="EWR", seed=2))
    assert any(
        re.match(r"EWR: AUC 0\.\d{3} \(.*\), clearly below all rows\.", slice_sentence)
        for slice_sentence in describe_slices(report, "origin")
    )
    assert not any(slice_sentence.startswith(("JFK", "LGA")) for slice_sentence in describe_slices(report, "origin"))
    assert 'class="below"' in render_week(report)


def test_tonight_is_an_estimate_and_marked_as_one(good: Pages) -> None:
    html = render(of_night(good))
    words = text(html)
    assert re.search(r"Scores of Thursday, 25 April\s*estimate\s*AUC\s*0\.", words)
    assert "there are no labels yet" in words
    assert html.count('class="badge"') == 1
    history = re.search(r'aria-label="(AUC by night: [^"]*)"', html)
    assert history is not None
    assert len(re.findall(r"2013-04-2[345]: estimated 0\.\d{3}", history[1])) == 3
    assert "2013-04-22: 0." in history[1]


def test_an_earlier_night_s_page_shows_what_was_known_then(good: Pages) -> None:
    """Made again later, also after its nights were judged, it is the same page."""
    then = LAST - timedelta(days=7)
    early = Nights()
    early.rows = [row for row in good.rows if row.ds <= then - timedelta(days=3)]
    early.rows += [
        replace(row, value=None, low=None, high=None, estimate_error=None, baseline=None, excess=None,
                excess_low=None, excess_high=None, judged_on=None, verdict="estimated", reason=None)
        for row in good.rows
        if then - timedelta(days=3) < row.ds <= then and row.estimate is not None
    ]  # fmt: skip
    early.counts = [row for row in good.counts if row.judged_on <= then]
    assert render(of_night(good, then)) == render(of_night(early.pages(), then))
    assert render_week(of_week(good, then)) == render_week(of_week(early.pages(), then))


def test_the_week_is_the_rows_of_its_nights_together(good: Pages) -> None:
    report = of_week(good)
    nights = [JUDGED_NIGHT - timedelta(days=i) for i in range(6, -1, -1)]
    assert list(report.nights) == nights
    held = [row for row in good.counts if row.ds in nights and not row.slice]
    pooled = merge([Summary.from_json(row.summary) for row in held])
    expected = measure(pooled, confidence=0.95, declared=JUDGED.problem, baseline_rate=0.22)
    for metric, measured in expected.items():
        assert measured.interval is not None
        assert report.figures[metric].value == measured.interval.value
    assert report.figures["auc"].labelled_rows == pooled.labelled
    judged = {rows["auc"].slice_value for rows in report.of_slice("carrier")}
    assert len(judged) > len(of_night(good).of_slice("carrier")), "a week has the rows for smaller slices"
    assert judged | set(report.too_small("carrier")) <= set(CARRIERS)
    assert [point.night for point in report.history] == [LAST - timedelta(days=3 + 7 * i) for i in (3, 2, 1, 0)]
    assert "The last 7 judged nights, pooled" in text(render_week(report))


def test_nothing_to_judge_yet_and_not_judged_are_no_good_news() -> None:
    made = Nights()
    made.add(FIRST, summaries(np.random.default_rng(1), 900), judged=False)
    report = made.pages().of_night(FIRST, None, link="page")
    html = render(report)
    assert "Not evaluated yet: no night has mature labels." in text(html)
    assert '<body class="unknown">' in html
    assert "Scores of Monday, 1 April" in text(html)
    week = render_week(made.pages().of_week(FIRST, link="page"))
    assert "Not evaluated yet:" in text(week)
    late = Nights()
    late.add(FIRST, {}, judged=True)
    html = render(late.pages().of_night(FIRST + timedelta(days=3), FIRST, link="page"))
    assert "Not judged: no scores of this night are published." in text(html)
    assert '<body class="unknown">' in html


def test_versions_and_missing_figures_are_noted() -> None:
    random, made = np.random.default_rng(1), Nights()
    made.add(FIRST, {("", ""): summarize(draw(random, 900))}, model_version="3,4", holdout={})
    made.add(
        FIRST + timedelta(days=1),
        {("", ""): summarize(draw(random, 900))},
        holdout={},
        baseline=None,
        estimates={},
    )
    notes = [of_night(made.pages(), FIRST + timedelta(days=i)).notes for i in (3, 4)]
    assert notes[0] == ["Versions 3, 4 scored these rows, so they are not compared with a holdout."]
    assert notes[1][0].startswith("The ledger has no holdout metrics of version 3")
    words = text(render(of_night(made.pages(), FIRST + timedelta(days=4))))
    assert "better than chance" in words
    assert "baseline" not in words.split("What changed")[1].split("Since when")[0].split("Calibration")[0]
    assert of_week(made.pages(), FIRST + timedelta(days=4)).notes == [
        "Versions 3, 4 scored these rows, so they are not compared with a holdout."
    ]


def test_the_histogram_holds_all_labelled_rows() -> None:
    rows = draw(np.random.default_rng(2), 1000)
    bars = histogram(summarize(rows))
    assert sum(count for count, _ in bars) == 1000
    assert sum(hits for _, hits in bars) == rows.labels.sum()
    assert all(hits <= count for count, hits in bars)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.25, 0.5, 0.75, 1.0]), (0.61, 0.79, [0.65, 0.7, 0.75]), (27, 64, [30, 40, 50, 60]), (3, 3, [3])],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


@pytest.mark.parametrize("scheme", [0, 1])
def test_text_contrast_is_aa_on_every_page(good: Pages, scheme: int) -> None:
    html = render(of_night(good))
    roots = [
        dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block)) for block in re.findall(r":root \{(.*?)\}", html, re.DOTALL)
    ]
    washes = re.findall(r"body\.unknown \{ --wash: (#[0-9a-f]{6})", html)
    for ink in ("ink", "quiet", "now", "calm"):
        for ground in (roots[scheme]["surface"], washes[scheme]):
            bright, dark = sorted((luminance(roots[scheme][ink]), luminance(ground)), reverse=True)
            assert (bright + 0.05) / (dark + 0.05) >= 4.5, (ink, ground)


def test_values_of_a_slice_that_are_numbers_stand_in_their_order() -> None:
    """By their size, as a reader counts, and not by their letters: 0, 1, 10, 11, 2."""
    use_case = with_fields(JUDGED, monitoring={"performance": {"min_slice_rows": 50}})
    made = Nights(use_case=use_case)
    random = np.random.default_rng(1)
    rows = {
        value: 60 if value in ["0", "9", "10", "11", "2"] else 20
        for value in ["0", "1", "2", "9", "10", "11", "-3", "2.5", "missing"]
    }
    of_values = {("origin", value): summarize(draw(random, count)) for value, count in rows.items()}
    made.add(FIRST, {("", ""): merge(list(of_values.values())), **of_values})
    report = made.pages().of_night(FIRST + timedelta(days=3), FIRST, link="page")
    judged = [next(iter(row.values())).slice_value for row in report.of_slice("origin")]
    assert judged == ["0", "2", "9", "10", "11"]
    assert report.too_small("origin") == ["-3", "1", "2.5", "missing"]
