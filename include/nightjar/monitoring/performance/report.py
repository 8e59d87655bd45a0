"""The pages on performance: one of the night just judged, one of the last judged nights together."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from typing import Any, Literal

from jinja2 import Environment

from nightjar.declaration.training import Cost
from nightjar.monitoring.incidents.findings import Finding
from nightjar.monitoring.performance import plots as performance_plots
from nightjar.monitoring.performance import wording as performance_words
from nightjar.monitoring.performance.calibration import Group
from nightjar.monitoring.performance.metrics import METRICS
from nightjar.monitoring.reporting import pages

Row = Mapping[str, Any]
State = Literal["judged", "not_judged", "nothing_yet"]


@dataclass(frozen=True, kw_only=True)
class Point:
    """One night, or one week, of a plot.

    Attributes:
        night: The night; of a week, its last.
        rows: Metric to its row of ``monitoring/performance``, of all rows.
    """

    night: date
    rows: Mapping[str, Row]


@dataclass(frozen=True, kw_only=True)
class PerformanceReport:
    """What a page shows.

    Attributes:
        title: The use case, for people.
        use_case: Its name.
        night: The night whose run has judged.
        weekly: Whether it shows several nights together.
        nights: The scored nights that are judged together, rising; one on the nightly page, none where there is nothing
            to judge yet.
        state: Whether they could be judged.
        reason: Why not.
        figures: Metric to its row, of all rows.
        slices: Rows of ``monitoring/performance`` of slices.
        slice_names: The declared slices.
        calibration: Groups of like predictions.
        histogram: Labelled rows and positives by fiftieths of the prediction.
        tonight: Metric to its row, of the scores that are estimated only.
        history: Earlier nights or weeks and these, oldest first.
        findings: What is wrong.
        notes: What the reader must know besides.
        confidence: Of all intervals.
        cost: What errors cost; None where none is declared.
        floor: The AUC below which a training is asked for; None for none.
        git_commit: Commit of the code that ran.
        run_id: Airflow run.
        table_versions: Tables read, each with its Delta version.
    """

    title: str
    use_case: str
    night: date
    weekly: bool = False
    nights: Sequence[date] = ()
    state: State = "judged"
    reason: str = ""
    figures: Mapping[str, Row] = field(default_factory=dict)
    slices: Sequence[Row] = ()
    slice_names: Sequence[str] = ()
    calibration: Sequence[Group] = ()
    histogram: Sequence[tuple[int, int]] = ()
    tonight: Mapping[str, Row] = field(default_factory=dict)
    history: Sequence[Point] = ()
    findings: Sequence[Finding] = ()
    notes: Sequence[str] = ()
    confidence: float = 0.95
    cost: Cost | None = None
    floor: float | None = None
    git_commit: str = "unknown"
    run_id: str
    table_versions: Mapping[str, int] = field(default_factory=dict)

    @property
    def judged_night(self) -> date | None:
        """The last of :attr:`nights`."""
        return self.nights[-1] if self.nights else None

    @property
    def ranked(self) -> bool:
        """Whether there is an AUC to judge by."""
        return self.state == "judged" and self.figures["auc"]["value"] is not None

    @property
    def metrics(self) -> list[str]:
        """Those that have a row, in the order in which they are shown."""
        return [metric for metric in METRICS if metric in self.figures]

    @property
    def look(self) -> str:
        """The page's class: calm, ``drift`` where something is wrong, ``unknown`` where nobody could look."""
        if self.findings:
            return "drift"
        return "stable" if self.ranked else "unknown"

    def of_slice(self, name: str) -> list[Mapping[str, Row]]:
        """Each value of a slice that was judged: metric to its row; numbers in their order, else the largest first."""
        values: dict[str, dict[str, Row]] = {}
        for row in self.slices:
            if row["slice"] == name:
                values.setdefault(row["slice_value"], {})[row["metric"]] = row
        judged = [rows for rows in values.values() if any(row["verdict"] == "judged" for row in rows.values())]
        if any(_NUMBER.fullmatch(value) for value in values):
            return sorted(judged, key=lambda rows: in_order(_any(rows)["slice_value"]))
        return sorted(judged, key=lambda rows: (-_any(rows)["labelled_rows"], _any(rows)["slice_value"]))

    def too_small(self, name: str) -> list[str]:
        """Values of a slice that have too few labelled rows to be judged."""
        judged = {_any(rows)["slice_value"] for rows in self.of_slice(name)}
        return sorted({row["slice_value"] for row in self.slices if row["slice"] == name} - judged, key=in_order)


_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE]-?\d+)?")


def in_order(value: str) -> tuple[bool, float, str]:
    """Sort key of a slice's value: numbers by their size, and texts behind them by their letters."""
    is_number = _NUMBER.fullmatch(value) is not None
    return not is_number, float(value) if is_number else 0.0, value


def _any(rows: Mapping[str, Row]) -> Row:
    return next(iter(rows.values()))


def by_metric(rows: Sequence[Row]) -> dict[str, Row]:
    """Rows of one night and slice by their metric."""
    return {row["metric"]: row for row in rows}


def as_of(row: Row, night: date) -> Row:
    """A row as it was known on ``night``: what was judged later is an estimate still."""
    if row["judged_on"] is None or row["judged_on"] <= night:
        return row
    unknown = ("value", "low", "high", "estimate_error", "baseline", "excess", "excess_low", "excess_high", "judged_on")
    return {**row, **dict.fromkeys(unknown), "verdict": "estimated", "reason": None}


def render(report: PerformanceReport) -> str:
    """The page of a night; the same report gives the same bytes."""
    return _render("performance.html.j2", report)


def render_week(report: PerformanceReport) -> str:
    """The page of the last judged nights together; the same report gives the same bytes."""
    return _render("performance_week.html.j2", report)


def _render(template: str, report: PerformanceReport) -> str:
    script = pages.read("drift.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _environment().get_template(template).render(report=report, script=script, script_sha256=digest)


@cache
def _environment() -> Environment:
    return pages.environment(
        {
            "called": performance_words.called,
            "meaning": performance_words.meaning,
            "figure": performance_words.figure,
            "span": performance_words.span,
            "day": performance_words.day,
            "verdict": performance_words.verdict,
            "headline": performance_words.headline,
            "wrong": performance_words.wrong,
            "changes": performance_words.changes,
            "since": performance_words.since,
            "where": performance_words.where,
            "expectations": performance_words.expectations,
            "calibrated": performance_words.calibrated,
            "gauge": performance_plots.gauge,
            "nights_plot": performance_plots.nights_plot,
            "slices_plot": performance_plots.slices_plot,
            "calibration_plot": performance_plots.calibration_plot,
        }
    )
