"""``monitoring/drift``: results of each night's comparison, for BI, alerts and later nights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from nightjar.declaration.monitoring import Drift
from nightjar.declaration.tables import DS, Column, TableSchema
from nightjar.lake.lake import Lake
from nightjar.monitoring.drift.comparison import ColumnDrift, NightDrift, Verdict
from nightjar.monitoring.drift.measures import TEST_NAME
from nightjar.monitoring.drift.windows import ColumnWindows
from nightjar.monitoring.night_run import NightRun
from nightjar.monitoring.profiles.profile import ColumnKind

DRIFT_TABLE = TableSchema(
    name="monitoring/drift",
    comment="Drift of each night's columns against the training set of the model that scored it.",
    key=("use_case", "column_name"),
    # Partitioned by use case too: each replaces its part of a night in one commit, independently of other writers.
    partition_by=("ds", "use_case"),
    columns=(
        DS,
        Column("use_case", "string", "Use case.", nullable=False),
        Column("column_name", "string", "Feature, 'prediction' or 'label'.", nullable=False),
        Column("kind", "string", "numeric or categorical.", nullable=False),
        Column(
            "psi",
            "double",
            "Population stability index above usual_psi, at least 0; the larger of all bins and missing values alone.",
            nullable=False,
        ),
        Column("raw_psi", "double", "Population stability index before subtracting usual_psi.", nullable=False),
        Column("usual_psi", "double", "PSI expected by chance and from the training set's own nights.", nullable=False),
        Column("test", "string", "Name of the two-sample test.", nullable=False),
        Column("test_statistic", "double", "Statistic of the test.", nullable=False),
        Column("degrees_of_freedom", "int", "Degrees of freedom of the test; 0 with one large bin.", nullable=False),
        Column(
            "p_value",
            "double",
            "p-value; rare bins have an exact test; doubled when missing values were compared alone too.",
            nullable=False,
        ),
        Column("q_value", "double", "q-value (FDR, Benjamini-Hochberg) over the monitored columns; null for others."),
        Column("max_psi", "double", "PSI above which the effect is large.", nullable=False),
        Column("max_q", "double", "q-value below which the test is significant.", nullable=False),
        Column("verdict", "string", "stable, drift or not_watched.", nullable=False),
        Column("null_share", "double", "Share of the night's rows without a value.", nullable=False),
        Column("reference_null_share", "double", "Share of the training set's rows without a value.", nullable=False),
        Column("night_rows", "long", "Rows of the night.", nullable=False),
        Column("reference_rows", "long", "Rows of the reference.", nullable=False),
        Column("model_version", "string", "Version of the model whose training set is the reference.", nullable=False),
        Column("dag_run_id", "string", "Airflow run that checked the night.", nullable=False),
        # Keep these last: schema evolution appends columns, and older rows hold null.
        Column("js_distance", "double", "Jensen-Shannon distance over the bins, 0 to 1."),
        Column("ks", "double", "Kolmogorov-Smirnov statistic at the bins' borders; null if categorical."),
        Column("wasserstein", "double", "Mean distance that values moved, in the column's unit; null if categorical."),
        Column("new_categories", "array<string>", "Up to ten categories that are not in the training set."),
        Column("week_nights", "int", "Stored nights of the week that ends with this one; null for too few."),
        Column("week_psi", "double", "PSI of the week's nights, merged, against training, computed like psi."),
        Column("recent_nights", "int", "Earlier nights that this one is compared with; null for too few."),
        Column("recent_psi", "double", "PSI against the recent_nights instead of training, computed like psi."),
        Column("weekday_nights", "int", "Earlier nights of the same weekday; null for too few."),
        Column("weekday_psi", "double", "PSI against the weekday_nights instead of training, computed like psi."),
    ),
)


@dataclass(frozen=True, kw_only=True)
class DriftRow:
    """A row of :data:`DRIFT_TABLE`."""

    ds: date
    use_case: str
    column_name: str
    kind: ColumnKind
    psi: float
    raw_psi: float
    usual_psi: float
    test: str
    test_statistic: float
    degrees_of_freedom: int
    p_value: float
    q_value: float | None
    max_psi: float
    max_q: float
    verdict: Verdict
    null_share: float
    reference_null_share: float
    night_rows: int
    reference_rows: int
    model_version: str
    dag_run_id: str
    js_distance: float | None
    ks: float | None
    wasserstein: float | None
    new_categories: list[str] | None
    week_nights: int | None
    week_psi: float | None
    recent_nights: int | None
    recent_psi: float | None
    weekday_nights: int | None
    weekday_psi: float | None


@dataclass(frozen=True, kw_only=True)
class ColumnVerdict:
    """Columns of :data:`DRIFT_TABLE` that hold the verdict on a column."""

    ds: date
    column_name: str
    psi: float
    verdict: Verdict
    model_version: str


@dataclass(frozen=True, kw_only=True)
class PastNight:
    """Result of an earlier night's comparison.

    Attributes:
        night: The night.
        psi: Column to its PSI; empty when the night was compared with another model's training set.
        watched: Number of monitored columns.
        drifted: Number of monitored columns that drifted.
    """

    night: date
    psi: Mapping[str, float] = field(default_factory=dict)
    watched: int = 0
    drifted: int = 0


def drift_rows(
    drift: NightDrift,
    windows: Mapping[str, ColumnWindows],
    run: NightRun,
    *,
    model_version: str,
) -> list[DriftRow]:
    """Return the rows of :data:`DRIFT_TABLE` for one night, one per column.

    Args:
        drift: The night against the training set.
        windows: Its columns against earlier nights.
        run: The night and its run.
        model_version: Version of the model whose training set is the reference.
    """
    return [
        _row(column, windows[column.name], drift.thresholds, run, model_version)
        for column in sorted(drift.columns, key=lambda c: c.name)
    ]


def _row(
    column: ColumnDrift,
    windows: ColumnWindows,
    thresholds: Drift,
    run: NightRun,
    model_version: str,
) -> DriftRow:
    week, recent, weekday = windows.week, windows.recent, windows.weekday
    return DriftRow(
        ds=run.night,
        use_case=run.use_case,
        column_name=column.name,
        kind=column.night.kind,
        psi=column.psi,
        raw_psi=column.raw_psi,
        usual_psi=column.usual_psi,
        test=TEST_NAME,
        test_statistic=column.statistic,
        degrees_of_freedom=column.degrees,
        p_value=column.p,
        q_value=column.q,
        max_psi=thresholds.max_psi,
        max_q=thresholds.max_q,
        verdict=column.verdict,
        null_share=column.night.null_share,
        reference_null_share=column.reference.null_share,
        night_rows=column.night.rows,
        reference_rows=column.reference.rows,
        model_version=model_version,
        dag_run_id=run.run_id,
        js_distance=column.js_distance,
        ks=column.ks,
        wasserstein=column.wasserstein,
        new_categories=list(column.new_categories),
        week_nights=week.nights if week else None,
        week_psi=week.psi if week else None,
        recent_nights=recent.nights if recent else None,
        recent_psi=recent.psi if recent else None,
        weekday_nights=weekday.nights if weekday else None,
        weekday_psi=weekday.psi if weekday else None,
    )


def read_past_nights(lake: Lake, use_case: str, nights: Sequence[date], *, model_version: str) -> list[PastNight]:
    """Read the results of earlier nights, oldest first; nights without a comparison are left out.

    Args:
        lake: The lake.
        use_case: Name of the use case.
        nights: Nights to read.
        model_version: Version of the model; PSI against another model's training set is left out.
    """
    rows = lake.table(DRIFT_TABLE).read_use_case(use_case, nights, ColumnVerdict)
    return [
        PastNight(
            night=night,
            psi={row.column_name: row.psi for row in rows if row.ds == night and row.model_version == model_version},
            watched=sum(row.ds == night and row.verdict != "not_watched" for row in rows),
            drifted=sum(row.ds == night and row.verdict == "drift" for row in rows),
        )
        for night in sorted({row.ds for row in rows})
    ]
