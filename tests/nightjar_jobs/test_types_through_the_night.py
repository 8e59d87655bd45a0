"""Forecasts and rankings through the real programs: trained on two ranks, promoted, a night killed and retried.

Tables are drawn, so that the right answer is known: the label follows one input.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from tests.kill_matrix.victims import Kill, choose, judge, kill

from nightjar.declaration.tables import TableSchema
from nightjar.declaration.use_case import UseCase, load_use_case
from nightjar.lake import files
from nightjar.lake.delta import arrow_schema
from nightjar.lake.lake import Lake
from nightjar.lake.parquet import write_files
from nightjar.lake.results import read_result
from nightjar.protocol.documents import dump_json
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.protocol.programs import SPARK_PROGRAMS
from nightjar.protocol.results import EvaluateResult, GateResult
from nightjar.runner import run_program
from nightjar.training.distributed.launch import LocalRanks
from nightjar_spark.worker_errors import from_workers

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.e2e, pytest.mark.spark, pytest.mark.timeout(1800)]
FIRST = date(2013, 1, 1)
NIGHTLY = ("score", "validate_scores", "publish_scores")
Row = dict[str, Any]


def forecast_rows(number: int, random: np.random.Generator) -> tuple[list[Row], list[Row]]:
    """Rows of a night: twelve series, seven steps; the values are known to exponential smoothing but for noise."""
    night = FIRST + timedelta(days=number)
    features, labels = [], []
    for origin in ("EWR", "JFK", "LGA"):
        for hour in range(6, 10):
            for step in range(1, 8):
                level = 10.0 + hour + 5 * ((number + step) % 7)
                value = float(random.poisson(level))
                key = {"origin": origin, "hour": hour, "step": step}
                quantiles = {"q10": 0.7 * level, "q50": level, "q90": 1.3 * level}
                features.append({
                    "ds": night, **key, "target_date": night + timedelta(days=step), "series_scale": 5.0,
                    **{f"ets_{name}": value * random.uniform(0.9, 1.2) for name, value in quantiles.items()},
                    **{f"seasonal_naive_{name}": value * random.uniform(0.6, 1.6) for name, value in quantiles.items()},
                    "weekday": float((number + step) % 7), "season_mean": level, "lag_0": 1.0,
                })  # fmt: skip
                labels.append({"ds": night + timedelta(days=7), **key, "label": value, "outcome": "observed"})
    return features, labels


def ranking_rows(number: int, random: np.random.Generator) -> tuple[list[Row], list[Row]]:
    """Rows of a night: forty flights of three airports; a flight's relevance follows its route's delay."""
    night = FIRST + timedelta(days=number)
    features, labels = [], []
    for origin in ("EWR", "JFK", "LGA"):
        for flight in range(40):
            risk = float(random.normal())
            key = {"origin": origin, "flight_date": night + timedelta(days=1), "carrier": "AA", "flight": flight}
            features.append({
                "ds": night, **key, "dest": "BOS",
                "route_delay_7d": risk, "flight_late_rate_28d": risk + random.normal(),
                "scheduled_departure": datetime.combine(night, time(12), UTC) + timedelta(days=1),
                "flight_delay_1d": float(random.normal()),
            })  # fmt: skip
            relevance = float(np.clip(np.floor(risk + 0.3 * random.normal()), 0, 3))
            labels.append({"ds": night + timedelta(days=1), **key, "label": relevance, "outcome": "arrived"})
    return features, labels


DRAWN: Mapping[str, tuple[Callable[[int, np.random.Generator], tuple[list[Row], list[Row]]], int, str]] = {
    "departures": (forecast_rows, 70, "wql"),
    "risky_flights": (ranking_rows, 30, "ndcg"),
}


def fill(lake: Lake, schema: TableSchema, rows: list[Row]) -> None:
    target = arrow_schema(schema)
    table = pa.Table.from_pylist([{name: row.get(name) for name in target.names} for row in rows], schema=target)
    written = write_files(iter(table.to_batches()), lake.table(schema).uri, target, ("ds",))
    lake.table(schema).commit(written, sorted({row["ds"] for row in rows}), run_id="drawn")


class Runs:
    """Programs of one use case on one lake."""

    def __init__(self, spark: SparkSession, use_case: UseCase, lake: str) -> None:
        self.spark, self.use_case, self.lake = spark, use_case, lake

    def spec(self, program: str, night: date, run_id: str) -> JobSpec:
        training = program not in NIGHTLY
        return JobSpec(
            program=program, use_case=self.use_case.name, first_night=FIRST if training else night, last_night=night,
            dag_id=f"{self.use_case.name}_{'training' if training else 'nightly'}", run_id=run_id, task_id=program,
            lake=self.lake, params={"interval_given": training, "force": False},
            world_size=2 if program == "train" else 1,
        )  # fmt: skip

    def run(self, program: str, night: date, run_id: str) -> JobResult:
        spec = self.spec(program, night, run_id)
        if program == "train":
            result = self._in_ranks(spec)
        else:
            package = "nightjar_spark" if program in SPARK_PROGRAMS else "nightjar_jobs"
            module = import_module(f"{package}.{program}")

            def work(given: JobSpec) -> JobResult:
                with from_workers():
                    found: JobResult = module.run(*([self.spark] if package == "nightjar_spark" else []), given)
                return found

            result = run_program(work, spec)
        assert result.status == "succeeded", f"{program}: {result.error}"
        return result

    def _in_ranks(self, spec: JobSpec) -> JobResult:
        files.write_text(f"{spec.output}/spec.json", dump_json(spec))
        ranks = LocalRanks(
            program=spec.program, spec_uri=f"{spec.output}/spec.json", world_size=2, threads_per_rank=1, on_line=print
        )
        ranks.start()
        ranks.wait()
        return read_result(f"{spec.output}/result.json")

    def scores(self) -> Counter[str]:
        table = Lake(self.lake).table(self.use_case.score_table)
        columns = list(self.use_case.score_table.column_names)
        return (
            Counter(map(str, table.open().to_pyarrow_table().select(columns).to_pylist()))
            if table.exists()
            else Counter()
        )


@pytest.mark.parametrize("name", list(DRAWN))
def test_a_model_is_trained_promoted_and_scores_a_night_once_whenever_it_is_killed(
    name: str, spark: SparkSession, registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, nights, metric = DRAWN[name]
    use_case = load_use_case(name)
    base = Runs(spark, use_case, str(tmp_path / "base"))
    monkeypatch.setenv("NIGHTJAR_LAKE", base.lake)
    random = np.random.default_rng(7)
    drawn = [draw(number, random) for number in range(nights)]
    last = FIRST + timedelta(days=nights - 1)
    fill(Lake(base.lake), use_case.feature_table, [row for features, _ in drawn for row in features])
    fill(Lake(base.lake), use_case.label_table, [row for _, labels in drawn for row in labels if row["ds"] <= last])
    for program in ("freeze_training_set", "train", "evaluate", "register", "gate", "promote"):
        result = base.run(program, last, "training")
        if isinstance(result, EvaluateResult):
            direction = use_case.problem.metrics[metric]
            for baseline in use_case.problem.baselines:
                assert (
                    direction.worse_by(
                        result.metrics[f"holdout_{metric}"], result.metrics[f"{baseline}_holdout_{metric}"]
                    )
                    < 0
                )
        if isinstance(result, GateResult):
            assert result.verdict == "promote"
    undisturbed = Runs(spark, use_case, str(tmp_path / "undisturbed"))
    shutil.copytree(base.lake, undisturbed.lake)
    for program in NIGHTLY:
        undisturbed.run(program, last, "night")
    after = undisturbed.scores()
    assert sum(after.values()) == len(drawn[-1][0])

    def examine(number: int, case: Kill) -> None:
        here = Runs(spark, use_case, str(tmp_path / f"case{number}"))
        shutil.copytree(base.lake, here.lake)
        place = NIGHTLY.index(case.step)
        for program in NIGHTLY[:place]:
            here.run(program, last, "night")
        kill(case, here.spec(case.step, last, "night"), tmp_path / "marker")
        assert here.scores() in (Counter(), after), "readers see a night that is half there"
        for program in NIGHTLY[place:]:
            here.run(program, last, "night")
        assert here.scores() == after, "other rows than undisturbed"
        shutil.rmtree(here.lake)

    judge(choose(("score", "publish_scores"), 2), examine)
