"""``monitoring/domain``: results of the domain classifier."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from nightjar.declaration.tables import DS, Column, TableSchema
from nightjar.monitoring.drift.domain import Domain, DomainVerdict
from nightjar.monitoring.night_run import NightRun

DOMAIN_TABLE = TableSchema(
    name="monitoring/domain",
    comment="Domain classifier: how well all columns together separate a night's rows from training's.",
    key=("use_case",),
    partition_by=("ds", "use_case"),
    columns=(
        DS,
        Column("use_case", "string", "Use case.", nullable=False),
        Column(
            "auc", "double", "AUC of separating the night's rows from training's; 0.5: not separable.", nullable=False
        ),
        Column("auc_low", "double", "Lower end of its 95 % confidence interval.", nullable=False),
        Column("auc_high", "double", "Upper end of the interval.", nullable=False),
        Column("usual_auc", "double", "Largest AUC of the training set's own nights; null when unknown."),
        Column("verdict", "string", "stable, drift (auc_low above usual_auc) or not_judged.", nullable=False),
        Column(
            "top_columns",
            "array<string>",
            "Columns with the largest share of the gain, the largest first.",
            nullable=False,
        ),
        Column("first_share", "double", "Share of the gain of the first column; null for none."),
        Column("night_rows", "long", "Rows of the night's sample.", nullable=False),
        Column("reference_rows", "long", "Rows of the training set's sample.", nullable=False),
        Column("model_version", "string", "Version of the model whose training set is the reference.", nullable=False),
        Column("dag_run_id", "string", "Airflow run that checked the night.", nullable=False),
    ),
)
NAMED = 5


@dataclass(frozen=True, kw_only=True)
class DomainRow:
    """A row of :data:`DOMAIN_TABLE`."""

    ds: date
    use_case: str
    auc: float
    auc_low: float
    auc_high: float
    usual_auc: float | None
    verdict: DomainVerdict
    top_columns: list[str]
    first_share: float | None
    night_rows: int
    reference_rows: int
    model_version: str
    dag_run_id: str


def domain_row(domain: Domain, run: NightRun, *, model_version: str) -> DomainRow:
    """Return the row of :data:`DOMAIN_TABLE` for one night."""
    return DomainRow(
        ds=run.night,
        use_case=run.use_case,
        auc=domain.auc.value,
        auc_low=domain.auc.low,
        auc_high=domain.auc.high,
        usual_auc=domain.usual_auc,
        verdict=domain.verdict,
        top_columns=list(domain.shares)[:NAMED],
        first_share=next(iter(domain.shares.values()), None),
        night_rows=domain.night_rows,
        reference_rows=domain.reference_rows,
        model_version=model_version,
        dag_run_id=run.run_id,
    )
