"""``monitoring/domain``: results of the domain classifier."""

from __future__ import annotations

from datetime import date
from typing import Any

from nightjar.declaration.tables import DS, Column, TableSchema
from nightjar.monitoring.drift.domain import Domain

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


def domain_row(domain: Domain, *, night: date, use_case: str, model_version: str, run_id: str) -> dict[str, Any]:
    """The row of :data:`DOMAIN_TABLE` for one night."""
    return {
        "ds": night,
        "use_case": use_case,
        "auc": domain.auc.value,
        "auc_low": domain.auc.low,
        "auc_high": domain.auc.high,
        "usual_auc": domain.usual_auc,
        "verdict": domain.verdict,
        "top_columns": list(domain.shares)[:NAMED],
        "first_share": next(iter(domain.shares.values()), None),
        "night_rows": domain.night_rows,
        "reference_rows": domain.reference_rows,
        "model_version": model_version,
        "dag_run_id": run_id,
    }
