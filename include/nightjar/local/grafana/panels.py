"""Panels of the dashboard, for people on call, model owners and budget owners."""

from __future__ import annotations

from nightjar.local.grafana.panel import BLUE, DASHED, FAINT, GREEN, RED, YELLOW, Panel, Query, fixed, of

NIGHTLY = 'dag_id=~".*_nightly"'
STEPS = 'program=~"ingest|build_features|publish_scores"'
REJECTING = 'program=~"ingest|score"'
HEAVY = 'program=~"ingest|build_features|score"'

NIGHTS = (
    Panel(
        title="Age of the newest scores",
        description=(
            "Time since the end of the last published night. A nightly use case stays below 26 hours; above, no night "
            "was published: open the nightly DAG in Airflow (docs/runbooks/late_night.md)."
        ),
        unit="s",
        kind="stat",
        width=4,
        steps=((None, GREEN), (26 * 3600, YELLOW), (30 * 3600, RED)),
        queries=(
            Query(
                expr=f"time() - max by (use_case) ({of('published_night_end_timestamp_seconds')})",
                legend="{{use_case}}",
            ),
        ),
    ),
    Panel(
        title="Failed programs",
        description=(
            "Programs whose last run failed. The red task's last log line says what, where, how many and what to do; "
            "clearing it is safe."
        ),
        unit="short",
        kind="stat",
        width=3,
        decimals=0,
        steps=((None, GREEN), (1, RED)),
        queries=(Query(expr=f"count({of('succeeded')} == 0) or vector(0)", legend="failed"),),
    ),
    Panel(
        title="Open incidents",
        description=(
            "Incidents that monitoring has found and not yet resolved; each was notified once. monitoring/incidents "
            "has a row for each night, with the finding, since when, and its runbook (docs/alerts.md)."
        ),
        unit="short",
        kind="stat",
        width=3,
        decimals=0,
        steps=((None, GREEN), (1, YELLOW), (4, RED)),
        queries=(Query(expr=f"max by (use_case) ({of('open_incidents')})", legend="{{use_case}}"),),
    ),
    Panel(
        title="Published after the night's end",
        description=(
            "Scheduled nights only. The whole night is due by the dashed line; when scores approach it, check the "
            "next panel for the program that takes longer, and give Spark more cores or the deadline more minutes."
        ),
        unit="m",
        width=7,
        queries=(
            Query(expr=f"max by (use_case) ({of('published_after_minutes')})", legend="{{use_case}}"),
            Query(expr=f"max by (use_case) ({of('deadline_minutes')})", legend="{{use_case}} deadline"),
        ),
        overrides={"/deadline$/": DASHED},
    ),
    Panel(
        title="Where the night's time goes",
        description=(
            "Seconds of each program of the nightly DAG in its last run. A program that slows down while its rows "
            "(below) do not grow has its own problem: its log has the seconds of each phase."
        ),
        unit="s",
        width=7,
        stacked=True,
        queries=(Query(expr=f"sum by (program) ({of('seconds', NIGHTLY)})", legend="{{program}}"),),
    ),
)
DATA = (
    Panel(
        title="Rows of the night",
        description=(
            "Rows written by each step. A drop in the first step comes from the source (docs/runbooks/source.md); a "
            "drop in a later one alone means rejected rows."
        ),
        unit="short",
        width=9,
        queries=(
            Query(
                expr=f"sum by (program) ({of('rows_out', STEPS)})",
                legend="{{program}}",
            ),
        ),
    ),
    Panel(
        title="Rejected rows",
        description=(
            "Share of the rows read that went to quarantine. Above the declared tolerance the night stops; below it, "
            "read the broken rules in quarantine/<use_case> (docs/runbooks/contract.md)."
        ),
        unit="percentunit",
        width=8,
        steps=((None, GREEN), (0.01, YELLOW), (0.05, RED)),
        queries=(
            Query(
                expr=(
                    f"sum by (program) ({of('rows_rejected', REJECTING)}) / "
                    f"(sum by (program) ({of('rows_in', REJECTING)}) > 0)"
                ),
                legend="{{program}}",
            ),
        ),
    ),
    Panel(
        title="Rows per second",
        description=(
            "Throughput of the steps that process every row. A drop with the same rows means a slower machine, store "
            "or feature: compare with make bench-night."
        ),
        unit="rowsps",
        width=7,
        queries=(
            Query(
                expr=f"max by (program) ({of('rows_per_second', HEAVY)})",
                legend="{{program}}",
            ),
        ),
    ),
)
DRIFT = (
    Panel(
        title="Columns that drifted",
        description=(
            "Share of the monitored columns whose effect size and test both indicate drift. Above 30 % (unless "
            "declared otherwise) the night's verdict is drift: open its report from the task report_drift."
        ),
        unit="percentunit",
        width=8,
        most=1,
        steps=((None, GREEN), (0.15, YELLOW), (0.3, RED)),
        queries=(Query(expr=f"max by (use_case) ({of('drifted_share')})", legend="{{use_case}}"),),
    ),
    Panel(
        title="Population stability",
        description=(
            "PSI of the worst monitored column and of the predictions, beyond ordinary variation; above 0.1 (unless "
            "declared otherwise) a column has drifted. Predictions that drift alone point at the model, columns that "
            "drift alone at the data."
        ),
        unit="none",
        width=9,
        decimals=2,
        steps=((None, GREEN), (0.1, YELLOW), (0.25, RED)),
        queries=(
            Query(expr=f"max by (use_case) ({of('max_psi')})", legend="{{use_case}} worst column"),
            Query(expr=f"max by (use_case) ({of('prediction_psi')})", legend="{{use_case}} predictions"),
        ),
    ),
    Panel(
        title="Skewed columns",
        description=(
            "Columns whose training values would differ from the served values. Must be 0: monitoring/skew names them "
            "and the cause (docs/runbooks/skew.md)."
        ),
        unit="short",
        kind="stat",
        width=7,
        decimals=0,
        steps=((None, GREEN), (1, RED)),
        queries=(Query(expr=f"max by (use_case) ({of('skewed_columns')})", legend="{{use_case}}"),),
    ),
)
OF_ENDS = {"/ (low|high)$/": FAINT}
OF_ESTIMATE = {"/estimate of tonight$/": {**FAINT, "custom.lineStyle": {"fill": "dot"}}}
OF_CHAMPION = {"/champion$/": {**DASHED, **fixed(BLUE)}}


def _nights_of(metric: str) -> tuple[Query, ...]:
    """Return the queries of a monitored metric on evaluated nights, with its interval."""
    return (
        Query(expr=f"max by (use_case) ({of(f'night_{metric}')})", legend="{{use_case}}"),
        Query(expr=f"max by (use_case) ({of(f'night_{metric}_low')})", legend="{{use_case}} low"),
        Query(expr=f"max by (use_case) ({of(f'night_{metric}_high')})", legend="{{use_case}} high"),
    )


def _holdout_of(metric: str) -> tuple[Query, ...]:
    """Return the queries of the same metric on the holdout."""
    return (
        Query(expr=f"max by (use_case) ({of(f'holdout_{metric}')})", legend="{{use_case}} last trained"),
        Query(expr=f"max by (use_case) ({of(f'champion_holdout_{metric}')})", legend="{{use_case}} champion"),
    )


def _holdout_panel(
    metric: str,
    name: str,
    whose: str,
    *,
    better: str = "",
    unit: str = "none",
    most: int | None = None,
    decimals: int | None = None,
) -> Panel:
    """Return the panel of a monitored metric on the holdout."""
    return Panel(
        title=f"{name} on the holdout",
        description=f"{whose}: the last training against the champion at that time, on the same days{better}.",
        unit=unit,
        width=5,
        queries=_holdout_of(metric),
        overrides=OF_CHAMPION,
        most=most,
        decimals=decimals,
    )


MODEL = (
    Panel(
        title="AUC of evaluated nights",
        description=(
            "The last night with mature labels, with its confidence interval, tonight's estimate, and the champion's "
            "holdout. A whole interval below the holdout on several nights: the model is stale or the data are "
            "broken; check drift first, then train."
        ),
        unit="none",
        width=11,
        least=0.5,
        most=1,
        decimals=3,
        queries=(
            *_nights_of("auc"),
            Query(expr=f"max by (use_case) ({of('estimated_auc')})", legend="{{use_case}} estimate of tonight"),
        ),
        overrides={**OF_ENDS, **OF_ESTIMATE},
    ),
    Panel(
        title="AUC on the holdout",
        description=(
            "The last training against the champion at that time, on the same days. The gate compares them by the "
            "declared metric; several challengers below the champion in a row suggest that the features are "
            "exhausted, not the training."
        ),
        unit="none",
        width=7,
        least=0.5,
        most=1,
        decimals=3,
        queries=_holdout_of("auc"),
        overrides=OF_CHAMPION,
    ),
    Panel(
        title="Age of the model",
        description=(
            "Days from the last training day to the scored night. Age alone is fine while AUC holds; past 90 days the "
            "default policy requests a training."
        ),
        unit="d",
        kind="stat",
        width=3,
        decimals=0,
        steps=((None, GREEN), (60, YELLOW), (90, RED)),
        queries=(Query(expr=f"max by (use_case) ({of('model_age_days')})", legend="{{use_case}}"),),
    ),
    Panel(
        title="Labels landed",
        description=(
            "Share of the evaluated night's scores that have a label. Below 90 % (unless declared otherwise) the "
            "night is not evaluated: ask the source for the missing labels."
        ),
        unit="percentunit",
        kind="stat",
        width=3,
        most=1,
        steps=((None, RED), (0.9, GREEN)),
        queries=(Query(expr=f"min by (use_case) ({of('label_share')})", legend="{{use_case}}"),),
    ),
)
CLASSES_AND_NUMBERS = (
    Panel(
        title="Accuracy of evaluated nights",
        description=(
            "Use cases with several classes: share of right predictions on the last night with mature labels, with its "
            "confidence interval, and tonight's estimate. It depends on the classes' shares: compare it with the "
            "baseline in the report before you train."
        ),
        unit="none",
        width=7,
        most=1,
        decimals=3,
        queries=(
            *_nights_of("accuracy"),
            Query(expr=f"max by (use_case) ({of('estimated_accuracy')})", legend="{{use_case}} estimate of tonight"),
        ),
        overrides={**OF_ENDS, **OF_ESTIMATE},
    ),
    _holdout_panel("accuracy", "Accuracy", "Use cases with several classes", most=1, decimals=3),
    Panel(
        title="Mean absolute error of evaluated nights",
        description=(
            "Regressions: error on the last night with mature labels, with its confidence interval, in the unit of the "
            "label; lower is better. It grows with the labels: compare it with the baseline in the report before you "
            "train."
        ),
        unit="none",
        width=7,
        queries=_nights_of("mae"),
        overrides=OF_ENDS,
    ),
    _holdout_panel("mae", "Mean absolute error", "Regressions", better="; lower is better"),
)
SERIES_AND_RANKINGS = (
    Panel(
        title="Relative error of evaluated nights",
        description=(
            "Forecasts: absolute error relative to the labels on the last night whose steps are all known, with its "
            "confidence interval; lower is better. Look at the slice `step` in the report before you train."
        ),
        unit="percentunit",
        width=7,
        queries=_nights_of("wape"),
        overrides=OF_ENDS,
    ),
    _holdout_panel("wape", "Relative error", "Forecasts", better="; lower is better", unit="percentunit"),
    Panel(
        title="nDCG of evaluated nights",
        description=(
            "Rankings: gain of the first items of each group relative to the best order, on the last night with mature "
            "labels, with its confidence interval. A night has few groups: compare several nights before you train."
        ),
        unit="none",
        width=7,
        most=1,
        decimals=3,
        queries=_nights_of("ndcg"),
        overrides=OF_ENDS,
    ),
    _holdout_panel("ndcg", "nDCG", "Rankings", most=1, decimals=3),
)
COST = (
    Panel(
        title="Estimated cost of the last run",
        description=(
            "CPU and GPU hours at the declared prices (NIGHTJAR_PRICE_CPU_HOUR, NIGHTJAR_PRICE_GPU_HOUR), in their "
            "currency; empty without prices. An estimate from the configuration, not a bill."
        ),
        unit="none",
        kind="bargauge",
        width=8,
        decimals=2,
        queries=(Query(expr=f"sum by (dag_id) ({of('cost')})", legend="{{dag_id}}"),),
    ),
    Panel(
        title="CPU hours of the last run",
        description=(
            "Cores held times hours, by DAG. Spark holds all its cores while one of its programs runs: fewer "
            "executors may cost the night minutes and save hours."
        ),
        unit="h",
        width=8,
        queries=(Query(expr=f"sum by (dag_id) ({of('cpu_hours')})", legend="{{dag_id}}"),),
    ),
    Panel(
        title="GPU hours of the last run",
        description=(
            "GPUs held times hours, by program. Trainings that hold several GPUs for minutes pay more for starting "
            "than for training: lower world_size (make bench-train)."
        ),
        unit="h",
        width=8,
        queries=(Query(expr=f"sum by (dag_id, program) ({of('gpu_hours')} > 0)", legend="{{dag_id}} {{program}}"),),
    ),
)
ROWS: tuple[tuple[str, int, tuple[Panel, ...]], ...] = (
    ("Nights", 8, NIGHTS),
    ("Data", 8, DATA),
    ("Drift and skew", 8, DRIFT),
    ("Model", 9, MODEL),
    ("Models of classes and numbers", 9, CLASSES_AND_NUMBERS),
    ("Models of series and rankings", 9, SERIES_AND_RANKINGS),
    ("Cost", 7, COST),
)
"""Title, panel height in grid units, and panels from left to right."""
