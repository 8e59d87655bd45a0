"""What came of a simulated year: a page with its tables, a plot, and the figures in short."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulation_alarms import FAR, Truth, nights_meant, truth
from simulation_year import Year, scored_and_known, weekly

from nightjar.declaration.use_case import UseCase
from nightjar.evaluation.metrics import auc
from nightjar.lake import delta

if TYPE_CHECKING:
    import pandas as pd

INCIDENTS = "monitoring/incidents"
OF_MODELS = ("drift", "performance")
"""Kinds of incidents that labels can bear out."""
_HEAD = """# A year, simulated

`make simulate YEAR={year}`: three months of history and a first model; then {nights} nights, scored by that model
alone, and again by the champion of the day, with a training wherever monitoring asked for one. The programs are those
of the nights themselves, in one Spark session; {minutes} minutes on {cores} cores.

![AUC of each week of {year} with and without retraining](simulation_{year}.svg)
"""


_INCIDENTS = f"""An alarm of drift or performance is **false** here when the labels of the nights that it speaks of say,
afterwards, that all was well: the AUC's 95 % interval reaches the holdout's, and the mean prediction is within
{FAR:.2f} of the share that came true. Nobody broke the year's files, so that every other alarm is false, though
storms did what they say."""


def summary(figures: Mapping[str, Any], weeks: int) -> str:
    """The year in a few sentences."""
    alarms, false = figures["incidents"], figures["false_incidents"]
    of_kinds = ", ".join(f"{count} of {kind} ({false[kind]} false)" for kind, count in sorted(alarms.items()))
    return (
        f"Monitoring asked for {figures['trainings']} trainings, and the gate promoted {figures['promoted']}. "
        f"Mean AUC of the weeks: {figures['auc_with_mean_of_weeks']:.4f}; with the first model alone "
        f"{figures['auc_without_mean_of_weeks']:.4f} "
        f"({figures['weeks_better']} weeks better, {figures['weeks_worse']} worse).\n"
        f"Alarms: {of_kinds}. In {figures['weeks_worse_than_holdout']} of {weeks} weeks the champion did worse than\n"
        f"its holdout; drift or performance was told of in {figures['of_them_told']} of these, "
        f"and in {figures['weeks_told']} weeks in all.\nSo often is a model of a few months worse than its holdout "
        f"that an alarm in any week would be borne out {figures['weeks_worse_than_holdout'] / weeks:.0%} of the time."
    )


def is_false(kind: str, of: Truth | None) -> bool:
    """Whether nothing bears an incident out: see the page."""
    return kind not in OF_MODELS or of is None or not of.is_worse


def write_report(simulated: Year, use_case: UseCase, lake: str, docs: Path) -> tuple[list[Path], dict[str, Any]]:
    """Write ``simulation.md`` and its plot to ``docs``; return both and the figures of the year."""
    from nightjar.local.server_environment import cores

    year, first, last = simulated.first.year, simulated.watched_from, simulated.last
    before = simulated.state.unchanged_weeks
    after = weekly(lake, use_case, first, last)
    incidents = read_incidents(lake, use_case.name)
    pooled = scored_and_known(lake, use_case, [first + timedelta(days=i) for i in range((last - first).days + 1)])
    trainings = simulated.state.trainings
    truths = [
        truth(pooled, nights_meant(one.kind, one.found_on, use_case), trainings) for one in incidents.itertuples()
    ]
    incidents["is_false"] = [is_false(kind, of) for kind, of in zip(incidents["kind"], truths, strict=True)]
    weeks = [date.fromisoformat(one["week"]) for one in after]
    worse = [monday for monday in weeks if (of := truth(pooled, _week(monday), trainings)) and of.is_worse]
    of_model = incidents[incidents["kind"].isin(OF_MODELS)].itertuples()
    told_of = {night for one in of_model for night in nights_meant(one.kind, one.found_on, use_case)}
    told = {monday for monday in weeks if told_of & set(_week(monday))}
    figures = {
        "trainings": len(trainings) - 1,
        "promoted": sum(one["promoted"] for one in trainings) - 1,
        "auc_without_mean_of_weeks": _mean(before),
        "auc_with_mean_of_weeks": _mean(after),
        "auc_with_pooled": round(auc(pooled["label"].to_numpy(float), pooled["prediction"].to_numpy(float)), 4),
        "weeks_better": sum(b["auc"] > a["auc"] for a, b in zip(before, after, strict=True)),
        "weeks_worse": sum(b["auc"] < a["auc"] for a, b in zip(before, after, strict=True)),
        "incidents": {kind: int(count) for kind, count in incidents.groupby("kind").size().items()},
        "false_incidents": {kind: int(count) for kind, count in incidents.groupby("kind")["is_false"].sum().items()},
        "weeks_worse_than_holdout": len(worse),
        "of_them_told": len(told & set(worse)),
        "weeks_told": len(told),
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


def read_incidents(lake: str, use_case: str) -> pd.DataFrame:
    """One row an incident: kind, subject, when it was found first, last, and on which nights, what was said first."""
    rows = delta.open_table(lake, INCIDENTS).to_pandas()
    rows = rows[(rows["use_case"] == use_case) & rows["found"]].sort_values("ds")
    grouped = rows.groupby("incident_id", sort=False)
    return grouped.agg(
        kind=("kind", "first"), subject=("subject", "first"), opened=("opened_on", "first"), last=("ds", "max"),
        what=("what", "first"), found_on=("ds", list),
    ).sort_values(["opened", "subject"])  # fmt: skip


def trainings_table(trainings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each training: when, why, what came of it."""
    lines = ["| Nights until | Why | Holdout AUC | Champion after | What the gate missed |", "|---|---|---|---|---|"]
    champion = ""
    for one in trainings:
        champion = one["version"] if one["promoted"] else champion
        said = f"version {champion}" if one["promoted"] else f"version {champion} stays"
        missed = "; ".join(
            reason for reason in one["verdict"]["reasons"] if "misses" in reason or "not better" in reason
        )
        lines.append(f"| {one['night']} | {one['reason']} | {one['metrics']['holdout_auc']:.4f} | {said} | {missed} |")
    return lines


def incidents_table(incidents: pd.DataFrame, truths: Sequence[Truth | None]) -> list[str]:
    """Each incident: since when, how long, what, and what labels said of it."""
    lines = ["| Opened | Last found | Kind | What | Afterwards |", "|---|---|---|---|---|"]
    for one, of in zip(incidents.itertuples(), truths, strict=True):
        afterwards = f"{'**false**' if one.is_false else 'borne out'}: {of or 'no labels'}"
        what = str(one.what).replace("|", "/")
        lines.append(f"| {one.opened} | {one.last} | {one.kind} | {what} | {afterwards} |")
    return lines


def weeks_table(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each week's AUC without and with retraining."""
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
    """The year as SVG: AUC by week, trainings, incidents by kind; the same bytes for the same year."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    with mpl.rc_context(
        {"svg.hashsalt": "nightjar", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    ):
        figure, (top, below) = plt.subplots(
            2, 1, figsize=(9, 5), sharex=True, height_ratios=(3, 1), layout="constrained"
        )
        middle = [date.fromisoformat(one["week"]) + timedelta(days=3) for one in before]
        top.plot(middle, [one["auc"] for one in before], color="#9aa5b1", lw=1.6, label="the first model alone")
        top.plot(middle, [one["auc"] for one in after], color="#0b5cad", lw=2.0, label="with retraining")
        for one in trainings[1:]:
            colour = "#18794e" if one["promoted"] else "#b42318"
            top.axvline(date.fromisoformat(one["night"]), color=colour, lw=0.9, ls=":" if one["promoted"] else "--")
        top.set_ylabel("AUC of the week's flights")
        top.legend(frameon=False, loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0, ncols=2)
        top.set_title("Dotted: a training whose model was promoted; dashed: one that was not", loc="left", fontsize=8)
        kinds = sorted(set(incidents["kind"]))
        for row, kind in enumerate(kinds):
            mine = list(incidents[incidents["kind"] == kind].itertuples())
            spans = [(one.opened, (one.last - one.opened) + timedelta(days=1)) for one in mine]
            colours = ["#b8c0c9" if one.is_false else "#b45309" for one in mine]
            below.broken_barh(spans, (row - 0.35, 0.7), color=colours)
        below.set_yticks(range(len(kinds)), kinds)
        below.set_ylabel("incidents")
        below.set_title("Brown: borne out by labels that came later; grey: false", loc="left", fontsize=8)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
        plt.close(figure)
    return out.getvalue()


def _week(monday: date) -> list[date]:
    return [monday + timedelta(days=i) for i in range(7)]


def _mean(weeks: Sequence[Mapping[str, Any]]) -> float:
    """Mean AUC of the weeks, each by its flights."""
    return round(sum(one["auc"] * one["rows"] for one in weeks) / sum(one["rows"] for one in weeks), 4)
