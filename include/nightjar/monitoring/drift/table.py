"""``monitoring/drift``: what a comparison leaves for BI, alerts and later nights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from nightjar.declaration.tables import DS, Column, TableSchema
from nightjar.monitoring.drift.comparison import NightDrift
from nightjar.monitoring.drift.measures import TEST_NAME
from nightjar.monitoring.drift.windows import ColumnWindows
from nightjar.monitoring.nightly_rows import read_stored_rows

DRIFT_TABLE = TableSchema(
    name="monitoring/drift",
    comment="Drift of each night's columns against the training set of the model that scored it.",
    key=("use_case", "column_name"),
    # The second partition lets each use case replace its own part of a night in one commit, whoever else writes.
    partition_by=("ds", "use_case"),
    columns=(
        DS,
        Column("use_case", "string", "Use case.", nullable=False),
        Column("column_name", "string", "Feature, 'prediction' or 'label'.", nullable=False),
        Column("kind", "string", "numeric or categorical.", nullable=False),
        Column(
            "psi",
            "double",
            "Population stability index less usual_psi, at least 0; the larger of all bins and of missing alone.",
            nullable=False,
        ),
        Column("raw_psi", "double", "Population stability index as counted.", nullable=False),
        Column("usual_psi", "double", "PSI that chance and the training set's own nights account for.", nullable=False),
        Column("test", "string", "Name of the two-sample test.", nullable=False),
        Column("test_statistic", "double", "Its statistic.", nullable=False),
        Column("degrees_of_freedom", "int", "Its degrees of freedom; 0 with one large bin.", nullable=False),
        Column(
            "p_value",
            "double",
            "P value; bins too rare for the test get an exact one, and two looks double it.",
            nullable=False,
        ),
        Column("q_value", "double", "Benjamini-Hochberg q over the watched columns; null when not watched."),
        Column("max_psi", "double", "PSI above which the effect is large.", nullable=False),
        Column("max_q", "double", "q below which the test is significant.", nullable=False),
        Column("verdict", "string", "stable, drift or not_watched.", nullable=False),
        Column("null_share", "double", "Share of the night's rows without a value.", nullable=False),
        Column("reference_null_share", "double", "The same in the training set.", nullable=False),
        Column("night_rows", "long", "Rows of the night.", nullable=False),
        Column("reference_rows", "long", "Rows of the reference.", nullable=False),
        Column("model_version", "string", "Version of the model whose training set is the reference.", nullable=False),
        Column("dag_run_id", "string", "Airflow run that looked.", nullable=False),
        # Rows from before these were measured hold null, so they come last.
        Column("js_distance", "double", "Jensen-Shannon distance over the bins, 0 to 1."),
        Column("ks", "double", "Kolmogorov-Smirnov statistic at the bins' borders; null for a category."),
        Column("wasserstein", "double", "Mean distance that values moved, in the column's unit; null for a category."),
        Column("new_categories", "array<string>", "Up to ten categories that training never saw."),
        Column("week_nights", "int", "Nights of the week up to this one that are known; null for too few."),
        Column("week_psi", "double", "PSI of these nights together, as psi."),
        Column("recent_nights", "int", "Nights before this one that it is compared with; null for too few."),
        Column("recent_psi", "double", "PSI against these nights instead of training, as psi."),
        Column("weekday_nights", "int", "Nights before of the same weekday; null for too few."),
        Column("weekday_psi", "double", "PSI against these nights instead of training, as psi."),
    ),
)


@dataclass(frozen=True, kw_only=True)
class PastNight:
    """What an earlier night's comparison found.

    Attributes:
        night: The night.
        psi: Column to its PSI; none where the night was compared with another model's training set.
        watched: Columns that counted for the verdict.
        drifted: Those of them that drifted.
    """

    night: date
    psi: Mapping[str, float] = field(default_factory=dict)
    watched: int = 0
    drifted: int = 0


def drift_rows(
    drift: NightDrift,
    before: Mapping[str, ColumnWindows],
    *,
    night: date,
    use_case: str,
    model_version: str,
    run_id: str,
) -> list[dict[str, Any]]:
    """The rows of :data:`DRIFT_TABLE` for one night, one per column.

    Args:
        drift: The night against the training set.
        before: Its columns against the nights before.
        night: The night.
        use_case: Name of the use case.
        model_version: Whose training set.
        run_id: Airflow run.
    """
    return [
        {
            "ds": night,
            "use_case": use_case,
            "column_name": column.name,
            "kind": column.night.kind,
            "psi": column.psi,
            "raw_psi": column.raw_psi,
            "usual_psi": column.usual_psi,
            "test": TEST_NAME,
            "test_statistic": column.statistic,
            "degrees_of_freedom": column.degrees,
            "p_value": column.p,
            "q_value": column.q,
            "max_psi": drift.thresholds.max_psi,
            "max_q": drift.thresholds.max_q,
            "verdict": column.verdict,
            "null_share": column.night.null_share,
            "reference_null_share": column.reference.null_share,
            "night_rows": column.night.rows,
            "reference_rows": column.reference.rows,
            "model_version": model_version,
            "dag_run_id": run_id,
            "js_distance": column.js_distance,
            "ks": column.ks,
            "wasserstein": column.wasserstein,
            "new_categories": list(column.new_categories),
            **_looked_back(before[column.name]),
        }
        for column in sorted(drift.columns, key=lambda c: c.name)
    ]


def _looked_back(before: ColumnWindows) -> dict[str, Any]:
    windows = {"week": before.week, "recent": before.recent, "weekday": before.weekday}
    return {
        f"{name}_{figure}": getattr(window, figure) if window else None
        for name, window in windows.items()
        for figure in ("nights", "psi")
    }


def past_nights(lake: str, use_case: str, nights: Sequence[date], *, model_version: str) -> list[PastNight]:
    """What the comparisons of ``nights`` found, oldest first; nights that nobody looked at are left out.

    Args:
        lake: The lake's root.
        use_case: Name of the use case.
        nights: Which.
        model_version: Whose PSI is wanted: that against another version's training set says something else.
    """
    columns = ["ds", "column_name", "psi", "verdict", "model_version"]
    mine = read_stored_rows(lake, DRIFT_TABLE, use_case, nights, columns)
    return [
        PastNight(
            night=night,
            psi={
                row["column_name"]: row["psi"]
                for row in mine
                if row["ds"] == night and row["model_version"] == model_version
            },
            watched=sum(row["ds"] == night and row["verdict"] != "not_watched" for row in mine),
            drifted=sum(row["ds"] == night and row["verdict"] == "drift" for row in mine),
        )
        for night in sorted({row["ds"] for row in mine})
    ]
