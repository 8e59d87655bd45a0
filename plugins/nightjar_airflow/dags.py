"""Builders of a use case's DAGs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk import (
    DAG,
    Asset,
    AssetOrTimeSchedule,
    BaseOperator,
    CronDataIntervalTimetable,
    CronTriggerTimetable,
    Param,
    chain,
)
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert
from airflow.sdk.definitions.mappedoperator import MappedOperator

from nightjar.declaration.scoring import CHAMPION_NOW, CHAMPION_THEN
from nightjar.declaration.use_case import UseCase
from nightjar_airflow.deadlines import ScheduledEnd
from nightjar_airflow.notifiers.alert import AlertNotifier, RecoveryNotifier
from nightjar_airflow.notifiers.deadline import night_is_late
from nightjar_airflow.operators.approve import ApproveOperator
from nightjar_airflow.operators.plain_program import PlainProgramOperator
from nightjar_airflow.operators.react import ReactOperator
from nightjar_airflow.operators.spark_program import SparkProgramOperator
from nightjar_airflow.operators.start_spark import StartSparkOperator
from nightjar_airflow.operators.stop_spark import StopSparkOperator
from nightjar_airflow.operators.training_program import TrainingProgramOperator

RETRIES = 2
RETRY_DELAY = timedelta(minutes=1)
_RETRIED: dict[str, Any] = {"retries": RETRIES, "retry_delay": RETRY_DELAY, "retry_exponential_backoff": 2.0}


def build_history_dag(use_case: UseCase, *, doc_md: str | None) -> DAG:
    """Build ``<use_case>_history``: land, ingest and build the features of a range of nights, for the first load.

    Args:
        use_case: The use case.
        doc_md: Documentation for the UI, usually the DAG file's docstring.
    """
    with DAG(
        dag_id=f"{use_case.name}_history",
        schedule=None,
        tags=["nightjar", use_case.name, "history"],
        params=_interval_params("the run's own data interval"),
        **_common(use_case, doc_md),
    ) as dag:
        start, stop = _spark_application(use_case)
        chain(start, *_data_tasks(use_case), stop)
    return dag


def build_nightly_dag(use_case: UseCase, *, doc_md: str | None) -> DAG:
    """Build ``<use_case>_nightly``: from landed files to published scores and monitoring of one night.

    Scheduled by time, so that it can be backfilled. It emits an asset event for each published table, and one that
    requests a training when the use case's policy says so.

    Args:
        use_case: The use case.
        doc_md: Documentation for the UI, usually the DAG file's docstring.
    """
    schedule = use_case.schedule
    with DAG(
        dag_id=f"{use_case.name}_nightly",
        schedule=CronDataIntervalTimetable(schedule.nightly, timezone=schedule.timezone),
        start_date=datetime.combine(schedule.first_night, time.min, tzinfo=ZoneInfo(schedule.timezone)),
        tags=["nightjar", use_case.name, "nightly"],
        deadline=DeadlineAlert(
            reference=ScheduledEnd(schedule.timezone, schedule.last_night),
            interval=timedelta(minutes=schedule.deadline_minutes),
            callback=AsyncCallback(
                night_is_late,
                {"use_case": use_case.name, "timezone": schedule.timezone, "minutes": schedule.deadline_minutes},
            ),
        ),
        params={
            **_interval_params("the run's own data interval"),
            "model_version": _model_version_param(),
            "model_policy": _model_policy_param(),
            "force": _force_param("Score with the current model and features, not those of the run's first attempt."),
        },
        **_common(use_case, doc_md),
    ) as dag:
        start, stop = _spark_application(use_case)
        score = SparkProgramOperator(
            use_case=use_case, program="score", inlets=[_table(use_case.feature_table.name), _model(use_case)]
        )
        validate_scores = SparkProgramOperator(use_case=use_case, program="validate_scores")
        publish_scores = PlainProgramOperator(
            use_case=use_case, program="publish_scores", outlets=[_table(use_case.score_table.name)]
        )
        report_drift = SparkProgramOperator(
            use_case=use_case,
            program="report_drift",
            inlets=[
                _table(table.name) for table in (use_case.feature_table, use_case.label_table, use_case.score_table)
            ],
            outlets=[_table(f"monitoring/{name}") for name in ("drift", "profiles", "domain")],
        )
        report_performance = SparkProgramOperator(
            use_case=use_case,
            program="report_performance",
            inlets=[_table(use_case.score_table.name), _table(use_case.label_table.name)],
            outlets=[_table("monitoring/performance"), _table("monitoring/performance_counts")],
        )
        check_skew = SparkProgramOperator(
            use_case=use_case,
            program="check_skew",
            inlets=[_table(use_case.feature_table.name), _table(use_case.score_table.name)],
            outlets=[_table("monitoring/skew")],
        )
        react = ReactOperator(
            use_case=use_case, outlets=[_table("monitoring/incidents"), Asset(f"retrain/{use_case.name}")]
        )
        confirm_champion = PlainProgramOperator(use_case=use_case, program="confirm_champion")
        chain(start, *_data_tasks(use_case), score, validate_scores, publish_scores)
        reports = [report_drift, report_performance, check_skew]
        chain(publish_scores, reports, react)
        chain(reports, stop)
        chain(publish_scores, confirm_champion)
        if use_case.scoring.experiment:
            report_experiment = SparkProgramOperator(
                use_case=use_case,
                program="report_experiment",
                inlets=[_table(use_case.score_table.name), _table(use_case.label_table.name)],
                outlets=[_table("monitoring/experiments")],
            )
            chain(publish_scores, report_experiment, stop)
    return dag


def build_training_dag(use_case: UseCase, *, doc_md: str | None) -> DAG:
    """Build ``<use_case>_training``: freeze a training set, train on all ranks, evaluate, register, gate, promote.

    Feature selection and tuning run in between where declared. ``approve`` waits for a person before ``promote`` where
    the gate requires it.

    Runs weekly, by hand, or on an event of the asset ``retrain/<use_case>``.

    Args:
        use_case: The use case.
        doc_md: Documentation for the UI, usually the DAG file's docstring.
    """
    schedule = use_case.schedule
    weekly = CronTriggerTimetable(schedule.training, timezone=schedule.timezone, run_immediately=timedelta(seconds=0))
    with DAG(
        dag_id=f"{use_case.name}_training",
        schedule=AssetOrTimeSchedule(timetable=weekly, assets=[Asset(f"retrain/{use_case.name}")]),
        tags=["nightjar", use_case.name, "training"],
        params={
            **_interval_params("all available nights"),
            "force": _force_param("Train even when the same training has been done."),
        },
        **_common(use_case, doc_md),
    ) as dag:
        start, stop = _spark_application(use_case)
        freeze = SparkProgramOperator(
            use_case=use_case,
            program="freeze_training_set",
            inlets=[_table(use_case.feature_table.name), _table(use_case.label_table.name)],
        )
        train = TrainingProgramOperator(use_case=use_case, program="train", world_size=use_case.training.world_size)
        evaluate = TrainingProgramOperator(use_case=use_case, program="evaluate")
        register, gate = (PlainProgramOperator(use_case=use_case, program=program) for program in ("register", "gate"))
        promote = PlainProgramOperator(use_case=use_case, program="promote", outlets=[_model(use_case)])
        chain(start, freeze, stop)
        approve = [ApproveOperator(use_case=use_case)] if use_case.gate.approval else []
        preparation = [*_selection(use_case), *_tuning(use_case)]
        chain(freeze, *preparation, train, evaluate, register, gate, *approve, promote)
    return dag


def build_maintenance_dag(use_cases: Sequence[UseCase], *, schedule: str, doc_md: str | None) -> DAG:
    """Build ``lake_maintenance``: one task per use case, in sequence, since all of them maintain the shared tables too.

    Args:
        use_cases: Use cases whose tables are maintained.
        schedule: Cron expression, in UTC.
        doc_md: Documentation for the UI, usually the DAG file's docstring.
    """
    with DAG(
        dag_id="lake_maintenance",
        schedule=CronTriggerTimetable(schedule, timezone="UTC", run_immediately=timedelta(seconds=0)),
        tags=["nightjar", "platform"],
        doc_md=doc_md,
        catchup=False,
        max_active_runs=1,
        default_args={**_RETRIED, **_alert_callbacks("UTC")},
    ) as dag:
        chain(
            *(
                PlainProgramOperator(
                    use_case=use_case,
                    program="maintain_lake",
                    task_id=f"maintain_{use_case.name}",
                    owner=use_case.owner,
                )
                for use_case in use_cases
            )
        )
    return dag


def _selection(use_case: UseCase) -> list[TrainingProgramOperator]:
    """Return the feature selection task, where declared."""
    if use_case.training.selection is None:
        return []
    return [TrainingProgramOperator(use_case=use_case, program="select_features")]


def _tuning(use_case: UseCase) -> list[PlainProgramOperator | MappedOperator]:
    """Return the tuning workers and the choice of parameters, where declared."""
    if use_case.training.tuning is None:
        return []
    workers = use_case.training.tuning.workers
    tune = TrainingProgramOperator.partial(task_id="tune", use_case=use_case, program="tune", at_once=workers)
    return [
        tune.expand_kwargs([{}] * workers),  # identical workers, distinguished by map index
        PlainProgramOperator(use_case=use_case, program="choose_params"),
    ]


def _common(use_case: UseCase, doc_md: str | None) -> dict[str, Any]:
    return {
        "doc_md": doc_md,
        "catchup": False,
        "max_active_runs": 1,
        "default_args": {"owner": use_case.owner, **_RETRIED, **_alert_callbacks(use_case.schedule.timezone)},
    }


def _alert_callbacks(timezone: str) -> dict[str, Any]:
    """Return the callbacks that notify of a task's failure and recovery."""
    return {"on_failure_callback": AlertNotifier(timezone), "on_success_callback": RecoveryNotifier(timezone)}


def _interval_params(default: str) -> dict[str, Param]:
    """Return the params for a range of nights.

    Args:
        default: Description of the nights used when both are empty.
    """
    return {
        "interval_start": _night_param("First night", f"The local day D; empty: {default}."),
        "interval_end": _night_param("Last night", f"Inclusive; empty: {default}."),
    }


def _model_version_param() -> Param:
    return Param(
        None,
        type=["null", "string"],
        pattern="^[0-9]+$",
        title="Model version",
        description="Registered version to score with; empty: the champion.",
    )


def _model_policy_param() -> Param:
    return Param(
        CHAMPION_NOW,
        enum=[CHAMPION_NOW, CHAMPION_THEN],
        title="Model policy",
        description="Without a model version: the current champion, or the champion at the time of the night.",
    )


def _force_param(description: str) -> Param:
    return Param(False, type="boolean", title="Force", description=description)


def _night_param(title: str, description: str) -> Param:
    return Param(None, type=["null", "string"], format="date", title=title, description=description)


def _spark_application(use_case: UseCase) -> tuple[BaseOperator, BaseOperator]:
    """Return the setup and teardown tasks around all Spark tasks; teardown runs even when the night fails."""
    start: BaseOperator = StartSparkOperator(use_case=use_case).as_setup()  # type: ignore[no-untyped-call]
    stop = StopSparkOperator(use_case=use_case).as_teardown(setups=start)
    return start, stop


def _data_tasks(use_case: UseCase) -> list[BaseOperator]:
    """Return the tasks from landed files to validated features."""
    raw = [_table(source.table.name) for source in use_case.data.sources]
    built = [_table(use_case.feature_table.name), _table(use_case.label_table.name)]
    land = [PlainProgramOperator(use_case=use_case, program="land")] if use_case.data.replay else []
    return [
        *land,
        SparkProgramOperator(
            use_case=use_case, program="ingest", outlets=[*raw, _table(use_case.quarantine_table.name)]
        ),
        SparkProgramOperator(use_case=use_case, program="build_features", inlets=raw, outlets=built),
        SparkProgramOperator(use_case=use_case, program="validate_features", inlets=built),
    ]


def _table(name: str) -> Asset:
    """Return the asset of a Delta table; its events carry the nights and the Delta version."""
    return Asset(name=name, uri=f"delta://lake/{name}")


def _model(use_case: UseCase) -> Asset:
    """Return the asset of the use case's champion."""
    return Asset(name=f"model/{use_case.name}", uri=f"mlflow://registry/{use_case.name}")
