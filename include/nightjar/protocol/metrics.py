"""The metrics that the project adds to Airflow's own: declared once, for what emits, maps, draws and documents them.

All are gauges. A task's process lives for one task, so that a counter of its own would begin anew at each.
"""

from __future__ import annotations

from dataclasses import dataclass

PREFIX = "nightjar"
EXPORTED_PREFIX = "airflow"
"""Airflow's own prefix (``[metrics] statsd_prefix``, ``otel_prefix``), at its default."""
TAGS = ("use_case", "program", "dag_id", "map_index")
"""On every metric; ``map_index`` is -1 for a task that is not mapped, as in Airflow."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A gauge.

    Attributes:
        name: Without prefix, its unit last where it has one.
        unit: For people.
        help: What it is, in one sentence.
        programs: Which programs give it; empty for all.
        source: Key in the ``metrics`` of the program's result; empty for what is made of the result itself.
    """

    name: str
    unit: str
    help: str
    programs: tuple[str, ...] = ()
    source: str = ""

    @property
    def stat(self) -> str:
        """The name given to Airflow."""
        return f"{PREFIX}.{self.name}"

    @property
    def exported(self) -> str:
        """The name in Prometheus."""
        return f"{EXPORTED_PREFIX}_{PREFIX}_{self.name}"


OF_RESULTS = (
    Metric(name="succeeded", unit="0 or 1", help="Whether the program succeeded the last time it ran."),
    Metric(name="seconds", unit="s", help="Wall-clock seconds of the program, without Airflow's and Spark's start."),
    Metric(name="rows_in", unit="rows", help="Rows read that had to be accounted for."),
    Metric(name="rows_out", unit="rows", help="Rows written."),
    Metric(name="rows_rejected", unit="rows", help="Rows sent to quarantine."),
    Metric(name="rows_per_second", unit="rows/s", help="Rows read over seconds."),
    Metric(name="cpu_hours", unit="CPU h", help="CPUs held, as configured, times hours of the program."),
    Metric(name="gpu_hours", unit="GPU h", help="GPUs held, as declared, times hours of the program."),
    Metric(
        name="cost",
        unit="money",
        help="Estimate: CPU hours and GPU hours at their declared prices; without prices there is none.",
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
        help="Minutes after the end of a night's interval by which the use case wants the whole run done.",
        programs=("publish_scores",),
    ),
    Metric(
        name="published_night_end_timestamp_seconds",
        unit="s since 1970",
        help="When the last published night ended (Unix time).",
        programs=("publish_scores",),
    ),
)
OF_MODELS = (
    Metric(
        name="drifted_share",
        unit="share",
        help="Share of the watched columns that drifted; of several nights the worst.",
        programs=("report_drift",),
        source="drifted_share",
    ),
    Metric(
        name="max_psi",
        unit="PSI",
        help="Largest population stability index of a watched column.",
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
        help="Columns in which training would read other values than were served.",
        programs=("check_skew",),
        source="skewed_columns",
    ),
    Metric(
        name="open_incidents",
        unit="incidents",
        help="Incidents that were not over on the last night.",
        programs=("react",),
        source="open_incidents",
    ),
    Metric(
        name="night_auc",
        unit="AUC",
        help="AUC of the last night whose labels have matured.",
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
        help="AUC of tonight as estimated from calibrated scores, before its labels come.",
        programs=("report_performance",),
        source="estimated_auc",
    ),
    Metric(
        name="label_share",
        unit="share",
        help="Share of the judged night's scores whose labels have landed.",
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
        help="Days from the last night that the scoring model was trained on to the night that it scored.",
        programs=("confirm_champion",),
        source="model_age_days",
    ),
)
METRICS = (*OF_RESULTS, *OF_NIGHTS, *OF_MODELS)
