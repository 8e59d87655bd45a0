from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nightjar.declaration.use_case import load_use_case

REPOSITORY = Path(__file__).resolve().parents[2]
PLATFORM = REPOSITORY / "dags" / "lake_maintenance.py"
DAG_FILES = sorted(set((REPOSITORY / "dags").glob("*.py")) - {PLATFORM})
HEAVY = (
    "pyspark",
    "torch",
    "kubernetes",
    "kubernetes_asyncio",
    "aiohttp",
    "pandas",
    "mlflow",
    "great_expectations",
    "xgboost",
    "pyarrow",
    "sklearn",
    "numpy",
)

PARAMS = {
    "history": ["interval_end", "interval_start"],
    "training": ["force", "interval_end", "interval_start"],
    "nightly": ["force", "interval_end", "interval_start", "model_policy", "model_version"],
}

PROBE = """
import json, runpy, sys, time
began = time.process_time()
from airflow.sdk import DAG, AssetOrTimeSchedule, BaseOperator, Param
airflow_seconds = time.process_time() - began
before = set(sys.modules)
began = time.process_time()
names = runpy.run_path(sys.argv[1])
seconds = time.process_time() - began
dags = {value.dag_id: value for value in names.values() if isinstance(value, DAG)}
print(json.dumps({
    "seconds": seconds, "airflow_seconds": airflow_seconds,
    "heavy": [name for name in sys.argv[2].split(",") if name in set(sys.modules) - before],
    "dags": {
        dag_id: {
            "dag_id": dag.dag_id,
            "doc_md": dag.doc_md or "",
            "tags": sorted(dag.tags),
            "owners": sorted({task.owner for task in dag.tasks}),
            "params": sorted(dag.params),
            "catchup": dag.catchup,
            "max_active_runs": dag.max_active_runs,
            "timetable": type(dag.timetable).__name__,
            "cron": getattr(dag.timetable, "expression", ""),
            "deadline_minutes": [alert.interval.total_seconds() / 60 for alert in dag.deadline or []],
            "tasks": {
                task.task_id: {
                    "down": sorted(task.downstream_task_ids),
                    "retries": task.retries,
                    "teardown": task.is_teardown,
                    "setup": task.is_setup,
                    "inlets": [asset.name for asset in task.inlets],
                    "outlets": [asset.name for asset in task.outlets],
                    "links": [link.name for link in task.operator_extra_links],
                }
                for task in dag.tasks
            },
        }
        for dag_id, dag in dags.items()
    },
}))
"""


@pytest.fixture(scope="session", params=DAG_FILES, ids=[path.stem for path in DAG_FILES])
def parsed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """A use case's DAG file."""
    return imported(request.param, tmp_path_factory.mktemp("airflow"))


def imported(file: Path, home: Path) -> dict[str, object]:
    """What a DAG file holds, imported in a fresh process."""
    run = subprocess.run(
        [sys.executable, "-c", PROBE, str(file), ",".join(HEAVY)],
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": os.pathsep.join(str(REPOSITORY / folder) for folder in ("include", "plugins")),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    document: dict[str, object] = {"file": file.stem, **json.loads(run.stdout.splitlines()[-1])}
    return document


def test_each_dag_file_is_a_use_case() -> None:
    names = [path.stem for path in DAG_FILES]
    assert "flight_delay" in names
    assert [load_use_case(name).name for name in names] == names


def test_importing_a_dag_file_costs_no_heavy_library(parsed: dict[str, list[str]]) -> None:
    assert parsed["heavy"] == []


def test_a_dag_file_is_parsed_quickly(parsed: dict[str, float]) -> None:
    # Under 0.3 s where importing Airflow takes 2 s of processor time; slower machines take longer for both.
    assert parsed["seconds"] < max(0.3, 0.15 * parsed["airflow_seconds"])


def test_a_file_gives_the_three_dags_of_its_use_case(parsed: dict[str, object]) -> None:
    dags, name = parsed["dags"], parsed["file"]
    assert isinstance(dags, dict)
    assert sorted(dags) == [f"{name}_history", f"{name}_nightly", f"{name}_training"]


def test_every_dag_is_documented_owned_tagged_and_has_a_form(parsed: dict[str, dict[str, dict[str, object]]]) -> None:
    for dag in parsed["dags"].values():
        assert str(dag["doc_md"]).startswith("# ")
        assert dag["owners"] == [load_use_case(str(parsed["file"])).owner]
        assert {"nightjar", parsed["file"]} <= set(dag["tags"])  # type: ignore[call-overload]
        assert dag["params"] == PARAMS[str(dag["dag_id"]).removeprefix(f"{parsed['file']}_")]
        assert dag["catchup"] is False
        assert dag["max_active_runs"] == 1


def test_the_night_is_one_line_from_landing_to_scores_then_watched_with_spark_around_it(
    parsed: dict[str, object],
) -> None:
    nightly = parsed["dags"][f"{parsed['file']}_nightly"]  # type: ignore[index]
    use_case = load_use_case(str(parsed["file"]))
    tasks = nightly["tasks"]
    order = [
        "start_spark", *(["land"] if use_case.data.replay else []), "ingest", "build_features", "validate_features",
        "score", "validate_scores", "publish_scores", "report_drift", "react",
    ]  # fmt: skip
    watching = ("report_drift", "report_performance", "check_skew")
    experiment = ["report_experiment"] if use_case.scoring.experiment else []
    beside = {"confirm_champion", "stop_spark", *watching, *experiment}
    assert set(tasks) == {*order, *beside}
    for task, following in itertools.pairwise(order):
        assert following in tasks[task]["down"]
    assert tasks["confirm_champion"]["down"] == []  # its failure is the run's, and stops no other task
    assert {"confirm_champion", *watching} <= set(tasks["publish_scores"]["down"])
    assert [tasks[task]["down"] for task in watching] == [["react", "stop_spark"]] * 3
    assert tasks["react"]["down"] == []  # Spark stops meanwhile
    assert tasks["start_spark"]["setup"]
    assert tasks["stop_spark"]["teardown"]
    assert all(task["retries"] == 2 for task in tasks.values())
    assert (nightly["timetable"], nightly["cron"]) == ("CronDataIntervalTimetable", use_case.schedule.nightly)
    assert nightly["deadline_minutes"] == [use_case.schedule.deadline_minutes]


def test_the_asset_graph_leads_from_raw_tables_to_scores(parsed: dict[str, object]) -> None:
    name = parsed["file"]
    tasks = parsed["dags"][f"{name}_nightly"]["tasks"]  # type: ignore[index]
    raw = [source.table.name for source in load_use_case(str(name)).data.sources]
    assert tasks["ingest"]["outlets"] == [*raw, f"quarantine/{name}"]
    assert tasks["build_features"]["inlets"] == raw
    assert tasks["build_features"]["outlets"] == [f"features/{name}", f"labels/{name}"]
    assert tasks["score"]["inlets"] == [f"features/{name}", f"model/{name}"]
    assert tasks["publish_scores"]["outlets"] == [f"scores/{name}"]
    assert tasks["react"]["outlets"] == ["monitoring/incidents", f"retrain/{name}"]
    training = parsed["dags"][f"{name}_training"]["tasks"]  # type: ignore[index]
    assert training["promote"]["outlets"] == [f"model/{name}"]


def test_training_goes_from_frozen_set_to_promotion_and_gives_spark_back_early(parsed: dict[str, object]) -> None:
    training = parsed["dags"][f"{parsed['file']}_training"]  # type: ignore[index]
    tasks = training["tasks"]
    order = ["start_spark", "freeze_training_set", "train", "evaluate", "register", "gate", "promote"]
    for task, following in itertools.pairwise(order):
        assert following in tasks[task]["down"]
    assert tasks["stop_spark"]["teardown"]
    assert "stop_spark" in tasks["freeze_training_set"]["down"]
    assert training["timetable"] == "AssetOrTimeSchedule"


def test_tasks_link_to_what_they_made(parsed: dict[str, object]) -> None:
    dags = parsed["dags"]
    name = parsed["file"]
    found = {
        task_id: set(task["links"])
        for dag in ("nightly", "training")
        for task_id, task in dags[f"{name}_{dag}"]["tasks"].items()  # type: ignore[index]
        if task["links"]
    }
    assert found == {
        "ingest": {"Data Docs"},
        "validate_features": {"Data Docs"},
        "report_drift": {"Report"},
        "report_performance": {"Performance", "Performance of the week"},
        **({"report_experiment": {"Experiment"}} if load_use_case(str(name)).scoring.experiment else {}),
        **{task: {"MLflow run", "MLflow model"} for task in ("register", "gate", "promote")},
    }


SPLIT = """
from declared import split
from nightjar_airflow.dags import build_nightly_dag
from use_cases.flight_delay.use_case import USE_CASE

nightly = build_nightly_dag(split(USE_CASE), doc_md="# An experiment")
"""


def test_a_use_case_that_splits_its_nights_has_its_experiment_reported(tmp_path: Path) -> None:
    file = tmp_path / "flight_delay.py"
    file.write_text(f"import sys\nsys.path.append({str(REPOSITORY / 'tests' / 'split_site')!r})\n{SPLIT}")
    found = imported(file, tmp_path)
    tasks = found["dags"]["flight_delay_nightly"]["tasks"]  # type: ignore[index]
    report = tasks["report_experiment"]
    assert (report["down"], report["links"], report["retries"]) == (["stop_spark"], ["Experiment"], 2)
    assert report["inlets"] == ["scores/flight_delay", "labels/flight_delay"]
    assert report["outlets"] == ["monitoring/experiments"]
    assert "report_experiment" in tasks["publish_scores"]["down"]


def test_maintenance_tends_every_use_case_one_after_the_other(tmp_path: Path) -> None:
    found = imported(PLATFORM, tmp_path)
    assert found["heavy"] == []
    dag = found["dags"]["lake_maintenance"]  # type: ignore[index]
    assert str(dag["doc_md"]).startswith("# ")
    assert (dag["catchup"], dag["max_active_runs"], dag["cron"]) == (False, 1, "0 12 * * 0")
    order = [f"maintain_{path.stem}" for path in DAG_FILES]
    assert sorted(dag["tasks"]) == sorted(order)
    for task, following in itertools.pairwise(order):
        assert dag["tasks"][task]["down"] == [following]
    assert all(task["retries"] == 2 for task in dag["tasks"].values())
