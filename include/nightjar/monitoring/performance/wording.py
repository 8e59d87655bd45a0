"""The pages on performance in words: verdict, changes, where and since when. Plain text; escaping is the template's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from nightjar.monitoring.reporting.formatting import count, number, share

if TYPE_CHECKING:
    from nightjar.monitoring.incidents.findings import Finding
    from nightjar.monitoring.performance.calibration import Group
    from nightjar.monitoring.performance.report import PerformanceReport, Point

Row = Mapping[str, Any]
NAMES = {
    "auc": "AUC",
    "pr_auc": "PR-AUC",
    "log_loss": "Log loss",
    "brier": "Brier score",
    "calibration_error": "Calibration error",
    "expected_cost": "Cost a row",
    "label_rate": "Share of positives",
}
MEANINGS = {
    "auc": "share of pairs of unlike labels in the right order; 0.5 is chance",
    "pr_auc": "mean precision over all thresholds; chance is the share of positives",
    "log_loss": "nats a row; less is better",
    "brier": "mean squared error of the probabilities; less is better",
    "calibration_error": "mean distance of predicted from observed shares, freed of chance; less is better",
    "expected_cost": "what wrong decisions cost a decided row; less is better",
    "label_rate": "observed, and expected by the scores",
}
LESS_IS_BETTER = frozenset({"log_loss", "brier", "calibration_error", "expected_cost"})
_SHARES = frozenset({"label_rate", "calibration_error"})
DASH = "\u2013"


def called(metric: str) -> str:
    """A metric's name for people."""
    return NAMES[metric]


def meaning(metric: str) -> str:
    """What a metric says."""
    return MEANINGS[metric]


def figure(metric: str, value: float | None, unit: str = "") -> str:
    """A metric's value: three decimals, a share as percent, money with its unit; a dash for none."""
    if value is None:
        return DASH
    if metric in _SHARES:
        return share(value)
    if metric == "expected_cost":
        return f"{number(value)}\u202f{unit}".rstrip()
    return f"{value:.3f}".replace("-", "\u2212")


def span(metric: str, low: float | None, high: float | None) -> str:
    """The interval in words; a dash for none."""
    if low is None or high is None:
        return DASH
    return f"{figure(metric, low)} to {figure(metric, high)}"


def day(night: date) -> str:
    """A night as a person says it, without the year."""
    return night.strftime("%A, %-d %B")


def verdict(report: PerformanceReport) -> str:
    """The verdict in a word or three."""
    if report.state == "nothing_yet":
        return "Nothing to judge yet"
    if report.state == "not_judged":
        return "Not judged"
    if any(finding.severity == "breach" for finding in report.findings):
        return "Below the floor"
    if report.findings:
        return "Worse"
    return "Holds" if report.ranked else "Judged in part"


def headline(report: PerformanceReport) -> str:
    """The verdict in one sentence, without the word itself."""
    if report.state == "nothing_yet":
        return "no night has labels that had time to come."
    if report.state == "not_judged":
        return f"{report.reason}."
    row = report.figures["auc"]
    if row["value"] is None:
        return f"{row['reason']}."
    auc = f"the AUC is {figure('auc', row['value'])}"
    wrong = [finding.subject for finding in report.findings]
    if any(subject.endswith("below the floor") for subject in wrong):
        return f"{auc}, and all of its interval lies below the floor of {report.floor:g}."
    if any(subject.endswith("below the holdout") for subject in wrong):
        return f"{auc}, and for days it has been clearly below the {figure('auc', row['holdout'])} of the holdout."
    if wrong:
        beaten = [NAMES[metric].lower() for metric in NAMES if any(f" {metric} above" in subject for subject in wrong)]
        return f"for days a constant prediction would have had the better {' and '.join(beaten)}."
    if row["holdout"] is None:
        return f"{auc}, clear of chance." if row["low"] > 0.5 else f"{auc}, not to be told from chance."
    return f"{auc}, {_against(report, row)}."


def _against(report: PerformanceReport, row: Row) -> str:
    holdout = f"the {figure('auc', row['holdout'])} of the holdout"
    if row["low"] <= row["holdout"] <= row["high"]:
        return f"in line with {holdout}"
    if row["low"] > row["holdout"]:
        return f"above {holdout}"
    return f"below {holdout}" if report.weekly else f"below {holdout}, as a single night may be"


def wrong(finding: Finding) -> str:
    """What a finding says, without the night, which the page has said already."""
    what = finding.what.partition(": ")[2]
    return f"{what[0].upper()}{what[1:]}."


def changes(report: PerformanceReport) -> list[str]:
    """What is unlike training, unlike a constant, and unlike what the scores led to expect; the weightiest first."""
    rows, unit = report.figures, report.cost.unit if report.cost else ""
    found = [
        _rate(rows),
        _beside_constant(rows, unit),
        _calibration(rows),
        _estimate_error(rows, unit),
        _before(report),
    ]
    return [sentence for sentence in found if sentence]


def _rate(rows: Mapping[str, Row]) -> str:
    row = rows.get("label_rate")
    if row is None or row["value"] is None:
        return ""
    seen = f"{share(row['value'])} of the labels are positive"
    if row["estimate"] is None:
        return f"{seen}." if row["baseline"] is None else f"{seen}; {share(row['baseline'])} were before."
    if row["estimate_low"] <= row["value"] <= row["estimate_high"]:
        return f"{seen}, as the scores led to expect ({share(row['estimate'])})."
    more = "more" if row["value"] > row["estimate"] else "fewer"
    return f"{seen}, {more} than the {share(row['estimate'])} that the scores led to expect."


def _beside_constant(rows: Mapping[str, Row], unit: str) -> str:
    """Log loss and cost against those of the constant prediction."""
    parts = []
    for metric in ("log_loss", "expected_cost"):
        row = rows.get(metric)
        if row and row["value"] is not None and row["baseline"]:
            less = 1 - row["value"] / row["baseline"]
            unsure = row["excess_low"] <= 0 <= row["excess_high"]
            side = "below" if less >= 0 else "above"
            doubt = ", which may be chance" if unsure else ""
            parts.append(
                f"{NAMES[metric].lower()} {figure(metric, row['value'], unit)} is {share(abs(less))} {side} "
                f"a constant\u2019s {figure(metric, row['baseline'], unit)}{doubt}"
            )
    sentence = "; ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]}." if sentence else ""


def _calibration(rows: Mapping[str, Row]) -> str:
    row = rows.get("calibration_error")
    if row is None or row["value"] is None:
        return ""
    if row["low"] == 0:
        return "The probabilities are as good as chance lets one see: no calibration error shows."
    limits = f"{share(row['low'])} to {share(row['high'])}"
    return f"Probabilities are off by {share(row['value'])} on average ({limits}), beyond what chance gives."


def _estimate_error(rows: Mapping[str, Row], unit: str) -> str:
    parts = []
    for metric in ("auc", "log_loss", "expected_cost"):
        row = rows.get(metric)
        if row and row["estimate_error"] is not None:
            side = "too high" if row["estimate_error"] < 0 else "too low"
            off = figure(metric, abs(row["estimate_error"]), unit)
            parts.append(f"{NAMES[metric]} {figure(metric, row['estimate'], unit)} ({off} {side})")
    return f"Estimated before the labels came: {', '.join(parts)}." if parts else ""


def _before(report: PerformanceReport) -> str:
    """This AUC among those before."""
    row = report.figures.get("auc")
    values = _judged(report.history[:-1], "auc")
    if row is None or row["value"] is None or len(values) < 3:
        return ""
    lower = sum(one["value"] < row["value"] for one in values)
    what = "weeks" if report.weekly else "nights"
    if lower in (0, len(values)):
        return f"Its AUC is {'above' if lower else 'below'} that of all {len(values)} {what} before."
    return f"Its AUC is above that of {lower} of the {len(values)} {what} before."


def _judged(points: Sequence[Point], metric: str) -> list[Row]:
    rows = [point.rows[metric] for point in points if metric in point.rows]
    return [row for row in rows if row["value"] is not None]


def since(report: PerformanceReport) -> str:
    """Since when the AUC lies below the floor or the holdout, by its whole interval."""
    rows = _judged(report.history, "auc")
    if not rows:
        return ""
    limits = [limit for limit in (report.floor, rows[-1]["holdout"]) if limit is not None]
    if not limits:
        return ""
    limit = max(limits)
    below = [row["high"] < limit for row in rows]
    what = "week" if report.weekly else "night"
    if not below[-1]:
        named = f"{'the floor' if limit == report.floor else 'the holdout’s AUC'} of {figure('auc', limit)}"
        if not any(below):
            return f"None of the {len(rows)} judged {what}s shown has its whole interval below {named}."
        lie = f"{sum(below)} of the {len(rows)} judged {what}s shown lie below {named}"
        return f"{lie} by the whole interval; the last does not."
    first = len(below) - 1
    while first and below[first - 1]:
        first -= 1
    nights = len(below) - first
    streak = f"the last {nights} judged {what}s" if nights > 1 else f"this {what} alone"
    began = f"{'the week to ' if report.weekly else ''}{rows[first]['ds']:%-d %B}"
    return f"Below {figure('auc', limit)} since {began}: {streak}."


def where(report: PerformanceReport, name: str) -> list[str]:
    """Values of a slice whose AUC interval lies wholly below that of all rows, or that surprised the scores
    by more than all rows did."""
    whole, all_rates = report.figures.get("auc"), report.figures.get("label_rate")
    moved = (
        (all_rates["value"] - all_rates["estimate"]) if all_rates and all_rates["estimate_error"] is not None else 0.0
    )
    sentences = []
    for rows in report.of_slice(name):
        auc, rate = rows.get("auc"), rows.get("label_rate")
        value = next(iter(rows.values()))["slice_value"]
        if whole and auc and auc["high"] is not None and whole["low"] is not None and auc["high"] < whole["low"]:
            sentences.append(
                f"{value}: AUC {figure('auc', auc['value'])} ({span('auc', auc['low'], auc['high'])}), "
                "clearly below all rows."
            )
        elif rate and rate["estimate"] is not None and _surprised(rate, moved):
            sentences.append(f"{value}: {share(rate['value'])} positive, {share(rate['estimate'])} expected.")
    return sentences


def _surprised(rate: Row, moved: float) -> bool:
    """Whether the observed share and the expected one have intervals that do not meet, beyond what moved all rows."""
    return bool(rate["low"] > rate["estimate_high"] + moved or rate["high"] < rate["estimate_low"] + moved)


def expectations(report: PerformanceReport) -> list[tuple[str, str, str]]:
    """What is estimated of tonight: name, figure, and what calibrated scores would show."""
    unit = report.cost.unit if report.cost else ""
    return [
        (NAMES[metric], figure(metric, row["estimate"], unit), span(metric, row["estimate_low"], row["estimate_high"]))
        for metric, row in report.tonight.items()
        if row["estimate"] is not None
    ]


def calibrated(groups: Sequence[Group]) -> list[str]:
    """The groups of like predictions whose observed share lies farthest from the predicted one, in words."""
    off = [group for group in groups if not group.observed.low <= group.predicted <= group.observed.high]
    agree = len(groups) - len(off)
    sentences = [
        f"In {agree} of {len(groups)} groups of like predictions the observed share agrees with the predicted one."
    ]
    for group in sorted(off, key=lambda one: -abs(one.predicted - one.observed.value))[:2]:
        sentences.append(
            f"Where {share(group.predicted)} was predicted, {share(group.observed.value)} was observed "
            f"({count(group.rows)} rows)."
        )
    return sentences
