"""Report of a simulated year: a page with tables, a plot, and summary figures."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulation_alarms import FAR, Truth, covered_nights, truth
from simulation_year import Year, scored_and_known, weekly

from nightjar.declaration.use_case import UseCase
from nightjar.lake.lake import Lake
from nightjar.problems.binary.metrics import auc

if TYPE_CHECKING:
    import pandas as pd

INCIDENTS = "monitoring/incidents"
OF_MODELS = ("drift", "performance")
"""Kinds of incidents that labels can confirm."""
_HEAD = """# A year, simulated

`make simulate YEAR={year}`: three months of history and a first model; then {nights} nights, scored by that model
alone, and again by the champion of the day, with a retraining whenever monitoring requested one. The programs are those
of the nightly DAG, in one Spark session; {minutes} minutes on {cores} cores.

![AUC of each week of {year} with and without retraining](simulation_{year}.svg)
"""


_INCIDENTS = f"""An alarm of drift or performance is **false** here when later labels of the covered nights show good
scores: the AUC's 95 % interval reaches the holdout's AUC, and the mean prediction is within {FAR:.2f} of the share of
positives.
The year's files are intact, so every other alarm counts as false, although storms did cause what they describe."""


def summary(figures: Mapping[str, Any], weeks: int) -> str:
    """Summarize the year in a few sentences."""
    alarms, false = figures["incidents"], figures["false_incidents"]
    of_kinds = ", ".join(f"{count} of {kind} ({false[kind]} false)" for kind, count in sorted(alarms.items()))
    return (
        f"Monitoring requested {figures['trainings']} trainings, and the gate promoted {figures['promoted']}. "
        f"Mean AUC of the weeks: {figures['auc_with_mean_of_weeks']:.4f}; with the first model alone "
        f"{figures['auc_without_mean_of_weeks']:.4f} "
        f"({figures['weeks_better']} weeks better, {figures['weeks_worse']} worse).\n"
        f"Alarms: {of_kinds}. In {figures['weeks_worse_than_holdout']} of {weeks} weeks the champion was worse than\n"
        f"its holdout; drift or performance was reported in {figures['of_them_reported']} of these, "
        f"and in {figures['weeks_reported']} weeks in total.\nA model of a few months is worse than its holdout so "
        f"often that an alarm in a random week would be confirmed "
        f"{figures['weeks_worse_than_holdout'] / weeks:.0%} of the time."
    )


def is_false(kind: str, of: Truth | None) -> bool:
    """Whether labels do not confirm an incident; see the page."""
    return kind not in OF_MODELS or of is None or not of.is_worse


def write_report(simulated: Year, use_case: UseCase, lake: Lake, docs: Path) -> tuple[list[Path], dict[str, Any]]:
    """Write ``simulation.md`` and its plot to ``docs``; return both and the figures of the year."""
    from nightjar.local.server_environment import cores

    year, first, last = simulated.first.year, simulated.watched_from, simulated.last
    before = simulated.state.unchanged_weeks
    after = weekly(lake, use_case, first, last)
    incidents = read_incidents(lake, use_case.name)
    pooled = scored_and_known(lake, use_case, [first + timedelta(days=i) for i in range((last - first).days + 1)])
    trainings = simulated.state.trainings
    incident_rows: Iterable[Any] = incidents.itertuples()
    truths = [
        truth(pooled, covered_nights(incident.kind, incident.found_on, use_case), trainings)
        for incident in incident_rows
    ]
    incidents["is_false"] = [is_false(kind, of) for kind, of in zip(incidents["kind"], truths, strict=True)]
    weeks = [date.fromisoformat(week["week"]) for week in after]
    worse = [monday for monday in weeks if (of := truth(pooled, _week(monday), trainings)) and of.is_worse]
    of_model: Iterable[Any] = incidents[incidents["kind"].isin(OF_MODELS)].itertuples()
    covered = {night for incident in of_model for night in covered_nights(incident.kind, incident.found_on, use_case)}
    reported = {monday for monday in weeks if covered & set(_week(monday))}
    figures = {
        "trainings": len(trainings) - 1,
        "promoted": sum(training["promoted"] for training in trainings) - 1,
        "auc_without_mean_of_weeks": _mean(before),
        "auc_with_mean_of_weeks": _mean(after),
        "auc_with_pooled": round(auc(pooled["label"].to_numpy(float), pooled["prediction"].to_numpy(float)), 4),
        "weeks_better": sum(b["auc"] > a["auc"] for a, b in zip(before, after, strict=True)),
        "weeks_worse": sum(b["auc"] < a["auc"] for a, b in zip(before, after, strict=True)),
        "incidents": {kind: int(count) for kind, count in incidents.groupby("kind").size().items()},
        "false_incidents": {kind: int(count) for kind, count in incidents.groupby("kind")["is_false"].sum().items()},
        "weeks_worse_than_holdout": len(worse),
        "of_them_reported": len(reported & set(worse)),
        "weeks_reported": len(reported),
    }
    head = _HEAD.format(
        year=year, nights=(last - first).days + 1, minutes=round(simulated.state.seconds / 60), cores=cores()
    )
    page = docs / "simulation.md"
    page.write_text("\n".join([
        head,
        summary(figures, len(after)), "",
        "## Trainings", "", *trainings_table(trainings), "",
        "## Incidents", "", _INCIDENTS, "", *incidents_table(incidents, truths), "",
        "## Weeks", "", *weeks_table(before, after),
    ]) + "\n")  # fmt: skip
    picture = docs / f"simulation_{year}.svg"
    picture.write_text(plot(before, after, trainings, incidents))
    return [page, picture], figures


def read_incidents(lake: Lake, use_case: str) -> pd.DataFrame:
    """Return one row per incident: kind, subject, first and last night, all nights, first description."""
    rows = lake.open_table(INCIDENTS).to_pandas()
    rows = rows[(rows["use_case"] == use_case) & rows["found"]].sort_values("ds")
    grouped = rows.groupby("incident_id", sort=False)
    return grouped.agg(
        kind=("kind", "first"), subject=("subject", "first"), opened=("opened_on", "first"), last=("ds", "max"),
        what=("what", "first"), found_on=("ds", list),
    ).sort_values(["opened", "subject"])  # fmt: skip


def trainings_table(trainings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Table of the trainings: night, reason, result."""
    lines = ["| Nights until | Why | Holdout AUC | Champion after | Failed gate rules |", "|---|---|---|---|---|"]
    champion = ""
    for training in trainings:
        champion = training["version"] if training["promoted"] else champion
        result = f"version {champion}" if training["promoted"] else f"version {champion} stays"
        missed = "; ".join(
            reason for reason in training["verdict"]["reasons"] if "misses" in reason or "not better" in reason
        )
        lines.append(
            f"| {training['night']} | {training['reason']} | {training['metrics']['holdout_auc']:.4f} | {result} "
            f"| {missed} |"
        )
    return lines


def incidents_table(incidents: pd.DataFrame, truths: Sequence[Truth | None]) -> list[str]:
    """Table of the incidents: first and last night, description, and the judgement by labels."""
    lines = ["| Opened | Last found | Kind | What | Afterwards |", "|---|---|---|---|---|"]
    for incident, of in zip(incidents.itertuples(), truths, strict=True):
        afterwards = f"{'**false**' if incident.is_false else 'confirmed'}: {of or 'no labels'}"
        what = str(incident.what).replace("|", "/")
        lines.append(f"| {incident.opened} | {incident.last} | {incident.kind} | {what} | {afterwards} |")
    return lines


def weeks_table(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> list[str]:
    """Table of each week's AUC without and with retraining."""
    lines = ["| Week of | Flights | AUC without | AUC with | Versions |", "|---|---|---|---|---|"]
    for a, b in zip(before, after, strict=True):
        lines.append(f"| {a['week']} | {a['rows']:,} | {a['auc']:.4f} | {b['auc']:.4f} | {', '.join(b['versions'])} |")
    return lines


def plot(
    before: Sequence[Mapping[str, Any]],
    after: Sequence[Mapping[str, Any]],
    trainings: Sequence[Mapping[str, Any]],
    incidents: pd.DataFrame,
) -> str:
    """Draw the year as SVG: AUC by week, trainings, incidents by kind; deterministic."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    with mpl.rc_context(
        {"svg.hashsalt": "nightjar", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    ):
        figure, (top, below) = plt.subplots(
            2, 1, figsize=(9, 5), sharex=True, height_ratios=(3, 1), layout="constrained"
        )
        middle = [date.fromisoformat(week["week"]) + timedelta(days=3) for week in before]
        top.plot(middle, [week["auc"] for week in before], color="#9aa5b1", lw=1.6, label="the first model alone")
        top.plot(middle, [week["auc"] for week in after], color="#0b5cad", lw=2.0, label="with retraining")
        for training in trainings[1:]:
            colour, style = ("#18794e", ":") if training["promoted"] else ("#b42318", "--")
            top.axvline(date.fromisoformat(training["night"]), color=colour, lw=0.9, ls=style)
        top.set_ylabel("AUC of the week's flights")
        top.legend(frameon=False, loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0, ncols=2)
        top.set_title("Dotted: a training whose model was promoted; dashed: one that was not", loc="left", fontsize=8)
        kinds = sorted(set(incidents["kind"]))
        for row, kind in enumerate(kinds):
            of_kind = list(incidents[incidents["kind"] == kind].itertuples())
            spans = [(incident.opened, (incident.last - incident.opened) + timedelta(days=1)) for incident in of_kind]
            colours = ["#b8c0c9" if incident.is_false else "#b45309" for incident in of_kind]
            below.broken_barh(spans, (row - 0.35, 0.7), color=colours)
        below.set_yticks(range(len(kinds)), kinds)
        below.set_ylabel("incidents")
        below.set_title("Brown: confirmed by later labels; grey: false", loc="left", fontsize=8)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
        plt.close(figure)
    return out.getvalue()


def _week(monday: date) -> list[date]:
    return [monday + timedelta(days=i) for i in range(7)]


def _mean(weeks: Sequence[Mapping[str, Any]]) -> float:
    """Mean AUC of the weeks, weighted by flights."""
    mean: float = sum(week["auc"] * week["rows"] for week in weeks) / sum(week["rows"] for week in weeks)
    return round(mean, 4)
