"""What came of a simulated year: a page with its tables, a plot, and the figures in short."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulation_year import Year, scored_and_known, weekly

from nightjar.contracts.use_case import UseCase
from nightjar.evaluation.metrics import auc
from nightjar.lake import delta

if TYPE_CHECKING:
    import pandas as pd

INCIDENTS = "monitoring/incidents"
_HEAD = """# A year, simulated

`make simulate YEAR={year}`: three months of history and a first model; then {nights} nights, scored by that model
alone, and again by the champion of the day, with a training wherever monitoring asked for one. The programs are those
of the nights themselves, in one Spark session; {minutes} minutes on {cores} cores.

![AUC of each week of {year} with and without retraining](simulation_{year}.svg)
"""


def write_report(simulated: Year, use_case: UseCase, lake: str, docs: Path) -> tuple[list[Path], dict[str, Any]]:
    """Write ``simulation.md`` and its plot to ``docs``; return both and the figures of the year."""
    from nightjar.local.server_environment import cores

    year, first, last = simulated.first.year, simulated.watched_from, simulated.last
    before = simulated.state.unchanged_weeks
    after = weekly(lake, use_case, first, last)
    incidents = read_incidents(lake, use_case.name)
    pooled = scored_and_known(lake, use_case, [first + timedelta(days=i) for i in range((last - first).days + 1)])
    figures = {
        "trainings": len(simulated.state.trainings) - 1,
        "promoted": sum(one["promoted"] for one in simulated.state.trainings) - 1,
        "auc_without_mean_of_weeks": _mean(before),
        "auc_with_mean_of_weeks": _mean(after),
        "auc_with_pooled": round(auc(pooled["label"].to_numpy(float), pooled["prediction"].to_numpy(float)), 4),
        "weeks_better": sum(b["auc"] > a["auc"] for a, b in zip(before, after, strict=True)),
        "weeks_worse": sum(b["auc"] < a["auc"] for a, b in zip(before, after, strict=True)),
        "incidents": {kind: int(count) for kind, count in incidents.groupby("kind").size().items()},
    }
    head = _HEAD.format(
        year=year, nights=(last - first).days + 1, minutes=round(simulated.state.seconds / 60), cores=cores()
    )
    page = docs / "simulation.md"
    page.write_text("\n".join([
        head,
        "## Trainings", "", *trainings_table(simulated.state.trainings), "",
        "## Incidents", "", *incidents_table(incidents), "",
        "## Weeks", "", *weeks_table(before, after),
    ]) + "\n")  # fmt: skip
    picture = docs / f"simulation_{year}.svg"
    picture.write_text(plot(before, after, simulated.state.trainings, incidents))
    return [page, picture], figures


def read_incidents(lake: str, use_case: str) -> pd.DataFrame:
    """One row an incident: kind, subject, opened and last night, what was said when it opened."""
    rows = delta.open_table(lake, INCIDENTS).to_pandas()
    rows = rows[rows["use_case"] == use_case].sort_values("ds")
    grouped = rows.groupby("incident_id", sort=False)
    return grouped.agg(
        kind=("kind", "first"), subject=("subject", "first"), opened=("opened_on", "first"), last=("ds", "max"),
        nights=("ds", "nunique"), badness=("worst_badness", "max"), what=("what", "first"),
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


def incidents_table(incidents: pd.DataFrame) -> list[str]:
    """Each incident: since when, how long, what."""
    lines = ["| Opened | Until | Kind | What |", "|---|---|---|---|"]
    for one in incidents.itertuples():
        lines.append(f"| {one.opened} | {one.last} | {one.kind} | {str(one.what).replace('|', '/')} |")
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
        top.legend(frameon=False, loc="lower left", ncols=2)
        top.set_title("Dotted: a training whose model was promoted; dashed: one that was not", loc="left", fontsize=8)
        kinds = sorted(set(incidents["kind"]))
        for row, kind in enumerate(kinds):
            spans = [
                (one.opened, (one.last - one.opened) + timedelta(days=1))
                for one in incidents[incidents["kind"] == kind].itertuples()
            ]
            below.broken_barh(spans, (row - 0.35, 0.7), color="#b45309")
        below.set_yticks(range(len(kinds)), kinds)
        below.set_ylabel("incidents")
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
        plt.close(figure)
    return out.getvalue()


def _mean(weeks: Sequence[Mapping[str, Any]]) -> float:
    """Mean AUC of the weeks, each by its flights."""
    return round(sum(one["auc"] * one["rows"] for one in weeks) / sum(one["rows"] for one in weeks), 4)
