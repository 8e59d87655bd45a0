"""Nightly runs in this process, on a lake of their own and the registry of the training lake."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from tests.program_results import neutral_result

from nightjar.declaration.experiment import CHAMPION
from nightjar.declaration.use_case import load_use_case
from nightjar.lake import delta, files
from nightjar.lake.lake import Lake
from nightjar.lake.parquet import write_files
from nightjar.protocol.documents import dump_json
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.protocol.results import BuildFeaturesResult, ScoreResult
from nightjar.protocol.scores import ScoringModel
from nightjar.runner import run_program
from nightjar_jobs import confirm_champion, publish_scores
from nightjar_spark import score, validate_scores
from nightjar_spark.worker_errors import from_workers

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

USE_CASE = load_use_case("flight_delay")
FEATURES, SCORES = USE_CASE.feature_table, USE_CASE.score_table
NIGHT, NEXT = date(2013, 4, 1), date(2013, 4, 2)
SPARK_PROGRAMS = {"score": score.run, "validate_scores": validate_scores.run}
PLAIN_PROGRAMS = {"publish_scores": publish_scores.run, "confirm_champion": confirm_champion.run}


ODD = {column.name: 9.0 for column in FEATURES.columns if column.type == "double"}
"""Values of a row that a model answers otherwise than the plain ones."""


def champion_of(result: ScoreResult) -> ScoringModel:
    """Who has scored the champion's rows, by the result of `score` or `validate_scores`."""
    assert result.status == "succeeded", result.error
    return result.parts[CHAMPION].scoring_model


class Nights:
    """Nightly runs on a lake of their own, with the registry of the training lake."""

    def __init__(self, spark: SparkSession, lake: str) -> None:
        self.spark, self.lake = spark, lake

    def features(self, night: date, *, rows: int = 200, **first_row: float) -> None:
        """Write the night's features: plain numbers, and ``first_row`` in the first one."""
        schema = delta.arrow_schema(FEATURES)
        plain: dict[str, Any] = {"string": "AA", "double": 0.5, "date": night + timedelta(days=1)}
        columns = {c.name: plain.get(c.type) for c in FEATURES.columns}
        columns |= {"ds": night, "scheduled_departure": datetime.combine(night, time(12), UTC) + timedelta(days=1)}
        lines = [{**columns, "flight": i, **(first_row if i == 0 else {})} for i in range(rows)]
        table = pa.Table.from_pylist(lines, schema=schema)
        written = write_files(iter(table.to_batches()), Lake(self.lake).table(FEATURES).uri, schema, ("ds",))
        Lake(self.lake).table(FEATURES).commit(written, [night], run_id="r")

    def built(self, run_id: str = "a") -> None:
        """Say that the features as they are now have been built by the run."""
        version = int(Lake(self.lake).table(FEATURES).open().version())
        spec = self.spec("build_features", run_id=run_id)
        result = neutral_result(BuildFeaturesResult, outputs={FEATURES.name: version})
        files.write_text(f"{spec.output}/result.json", dump_json(result))

    def spec(self, program: str, *, night: date = NIGHT, run_id: str = "a", **params: Any) -> JobSpec:
        """What a nightly run asks ``program`` for."""
        return JobSpec(
            program=program, use_case=USE_CASE.name, first_night=night, last_night=night, task_id=program,
            dag_id="flight_delay_nightly", run_id=run_id, lake=self.lake, params=params,
        )  # fmt: skip

    def run(self, *programs: str, **wanted: Any) -> JobResult:
        """Run programs of one nightly run in order; return the last one's result."""
        for program in programs:

            def in_spark(given: JobSpec, name: str = program) -> JobResult:
                with from_workers():
                    return SPARK_PROGRAMS[name](self.spark, given)

            result = run_program(PLAIN_PROGRAMS.get(program, in_spark), self.spec(program, **wanted))
        return result

    def whole(self, **wanted: Any) -> JobResult:
        return self.run("score", "validate_scores", "publish_scores", **wanted)

    def scores(self, night: date = NIGHT) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = Lake(self.lake).table(SCORES).read_nights([night]).to_pylist()
        return sorted(rows, key=lambda row: row["flight"])

    def quarantined(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = Lake(self.lake).table(USE_CASE.quarantine_table).read_nights([NIGHT]).to_pylist()
        return rows
