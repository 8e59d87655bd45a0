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
    Metric(
        name="night_auc",
        unit="AUC",
        help="AUC of the last night with mature labels.",
        programs=("report_performance",),
        source="auc",
    ),
    Metric(
        name="night_auc_low",
        unit="AUC",
        help="Lower end of its confidence interval.",
        programs=("report_performance",),
        source="auc_low",
    ),
    Metric(
        name="night_auc_high",
        unit="AUC",
        help="Upper end of its confidence interval.",
        programs=("report_performance",),
        source="auc_high",
    ),
    Metric(
        name="estimated_auc",
        unit="AUC",
        help="Estimated AUC of tonight, from calibrated scores, before its labels land.",
        programs=("report_performance",),
        source="estimated_auc",
    ),
    Metric(
        name="label_share",
        unit="share",
        help="Share of the evaluated night's scores whose labels have landed.",
        programs=("report_performance",),
        source="label_share",
    ),
    Metric(
        name="holdout_auc",
        unit="AUC",
        help="AUC of the last trained model on its holdout.",
        programs=("evaluate",),
        source="holdout_auc",
    ),
    Metric(
        name="champion_holdout_auc",
        unit="AUC",
        help="AUC of the champion on the same holdout.",
        programs=("evaluate",),
        source="champion_holdout_auc",
    ),
    Metric(
        name="model_age_days",
        unit="d",
        help="Days from the last night in the scoring model's training data to the scored night.",
        programs=("confirm_champion",),
        source="model_age_days",
    ),
)
METRICS = (*OF_RESULTS, *OF_NIGHTS, *OF_MODELS)
