"""Metrics that Nightjar adds to Airflow's own, declared once for the emitter, mappings, dashboards and docs.

All are gauges. A task's process serves one task, so a counter would restart with each task.
"""

from __future__ import annotations

from dataclasses import dataclass

PREFIX = "nightjar"
EXPORTED_PREFIX = "airflow"
"""Airflow's own prefix (``[metrics] statsd_prefix``, ``otel_prefix``), at its default."""
TAGS = ("use_case", "program", "dag_id", "map_index")
"""Tags of every metric; ``map_index`` is -1 for a task that is not mapped, as in Airflow."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A gauge.

    Attributes:
        name: Name without prefix, ending in its unit where it has one.
        unit: Unit for display.
        help: One-sentence description.
        programs: Programs that emit it; empty for all.
        source: Key in the ``metrics`` of the program's result; empty when derived from the result itself.
    """

    name: str
    unit: str
    help: str
    programs: tuple[str, ...] = ()
    source: str = ""

    @property
    def stat(self) -> str:
        """Name in Airflow."""
        return f"{PREFIX}.{self.name}"

    @property
    def exported(self) -> str:
        """Name in Prometheus."""
        return f"{EXPORTED_PREFIX}_{PREFIX}_{self.name}"


def _of_judged_nights(metric: str, name: str, *, unit: str, is_estimated: bool = True) -> tuple[Metric, ...]:
    """Return the gauges of the monitored metric of a problem type; a use case emits those of its own type."""
    low, high = f"{metric}_low", f"{metric}_high"
    estimate = Metric(
        name=f"estimated_{metric}",
        unit=unit,
        help=f"Estimated {_within_sentence(name)} of tonight, from calibrated scores, before its labels land.",
        programs=("report_performance",),
        source=f"estimated_{metric}",
    )
    return (
        Metric(
            name=f"night_{metric}",
            unit=unit,
            help=f"{name} of the last night with mature labels.",
            programs=("report_performance",),
            source=metric,
        ),
        Metric(
            name=f"night_{low}",
            unit=unit,
            help="Lower end of its confidence interval.",
            programs=("report_performance",),
            source=low,
        ),
        Metric(
            name=f"night_{high}",
            unit=unit,
            help="Upper end of its confidence interval.",
            programs=("report_performance",),
            source=high,
        ),
        *((estimate,) if is_estimated else ()),
    )


def _of_holdout(metric: str, name: str, *, unit: str) -> tuple[Metric, ...]:
    """Return the gauges of the same metric on the holdout of the last training."""
    return (
        Metric(
            name=f"holdout_{metric}",
            unit=unit,
            help=f"{name} of the last trained model on its holdout.",
            programs=("evaluate",),
            source=f"holdout_{metric}",
        ),
        Metric(
            name=f"champion_holdout_{metric}",
            unit=unit,
            help=f"{name} of the champion on the same holdout.",
            programs=("evaluate",),
            source=f"champion_holdout_{metric}",
        ),
    )


def _within_sentence(name: str) -> str:
    return name if name.isupper() else name.lower()


OF_RESULTS = (
    Metric(name="succeeded", unit="0 or 1", help="Whether the program succeeded the last time it ran."),
    Metric(name="seconds", unit="s", help="Wall-clock seconds of the program, without the start of Airflow and Spark."),
    Metric(name="rows_in", unit="rows", help="Rows read."),
    Metric(name="rows_out", unit="rows", help="Rows written."),
    Metric(name="rows_rejected", unit="rows", help="Rows sent to quarantine."),
    Metric(name="rows_per_second", unit="rows/s", help="Rows read over seconds."),
    Metric(name="cpu_hours", unit="CPU h", help="CPUs held, as configured, times hours of the program."),
    Metric(name="gpu_hours", unit="GPU h", help="GPUs held, as declared, times hours of the program."),
    Metric(
        name="cost",
        unit="money",
        help="Estimated cost: CPU hours and GPU hours times their declared prices; not emitted without prices.",
    ),
)
OF_NIGHTS = (
    Metric(
        name="published_after_minutes",
        unit="min",
        help="Minutes from the end of a scheduled night's interval to its published scores.",
        programs=("publish_scores",),
    ),
    Metric(
        name="deadline_minutes",
        unit="min",
        help="Minutes after the end of a night's interval by which the whole run should be done.",
        programs=("publish_scores",),
    ),
    Metric(
        name="published_night_end_timestamp_seconds",
        unit="s since 1970",
        help="End of the last published night (Unix time).",
        programs=("publish_scores",),
    ),
)
OF_MODELS = (
    Metric(
        name="drifted_share",
        unit="share",
        help="Share of the monitored columns that drifted; with several nights, the worst night's.",
        programs=("report_drift",),
        source="drifted_share",
    ),
    Metric(
        name="max_psi",
        unit="PSI",
        help="Largest population stability index of a monitored column.",
        programs=("report_drift",),
        source="max_psi",
    ),
    Metric(
        name="prediction_psi",
        unit="PSI",
        help="Population stability index of the predictions.",
        programs=("report_drift",),
        source="prediction_psi",
    ),
    Metric(
        name="skewed_columns",
        unit="columns",
        help="Columns whose training values would differ from the served values.",
        programs=("check_skew",),
        source="skewed_columns",
    ),
    Metric(
        name="open_incidents",
        unit="incidents",
        help="Open incidents on the last night.",
        programs=("react",),
        source="open_incidents",
    ),
    *_of_judged_nights("auc", "AUC", unit="AUC"),
    *_of_judged_nights("accuracy", "Accuracy", unit="share"),
    *_of_judged_nights("mae", "Mean absolute error", unit="unit of the label", is_estimated=False),
    *_of_judged_nights("wape", "Absolute error relative to the labels", unit="share", is_estimated=False),
    *_of_judged_nights("ndcg", "nDCG of the first items", unit="share", is_estimated=False),
    Metric(
        name="label_share",
        unit="share",
        help="Share of the evaluated night's scores whose labels have landed.",
        programs=("report_performance",),
        source="label_share",
    ),
    *_of_holdout("auc", "AUC", unit="AUC"),
    *_of_holdout("accuracy", "Accuracy", unit="share"),
    *_of_holdout("mae", "Mean absolute error", unit="unit of the label"),
    *_of_holdout("wape", "Absolute error relative to the labels", unit="share"),
    *_of_holdout("ndcg", "nDCG of the first items", unit="share"),
    Metric(
        name="model_age_days",
        unit="d",
        help="Days from the last night in the scoring model's training data to the scored night.",
        programs=("confirm_champion",),
        source="model_age_days",
    ),
)
METRICS = (*OF_RESULTS, *OF_NIGHTS, *OF_MODELS)
