"""Ranks and alarms by capacity: of all rows of a night, whatever files they were scored in."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from nightjar.declaration.alarms import Capacity
from nightjar.declaration.experiment import CHAMPION
from nightjar.declaration.gate import Gate
from nightjar.declaration.monitoring import Monitoring
from nightjar.declaration.problem import Binary
from nightjar.declaration.use_case import load_use_case
from nightjar.lake.delta import arrow_schema
from nightjar.lake.lake import Lake
from nightjar.lake.parquet import write_files
from nightjar.protocol.data_file import DataFile
from nightjar.protocol.scores import Part, ScoringModel
from nightjar.scoring.task import Scored
from nightjar_spark.completions import complete

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

USE_CASE = load_use_case("risky_flights")
NIGHTS = (date(2013, 4, 1), date(2013, 4, 2))
MODEL = ScoringModel(name="risky_flights", version="1", sha256="0" * 64, folder="/models")


def row(night: date, origin: str, flight: int, score: float) -> dict[str, Any]:
    return {
        "ds": night, "origin": origin, "flight_date": night, "carrier": "AA", "flight": flight, "dest": "BOS",
        "scheduled_departure": datetime(2013, 4, 1, tzinfo=UTC), "prediction": score, "rank": 0,
        "model_name": MODEL.name, "model_version": "1", "model_sha256": MODEL.sha256, "features_version": 0,
        "dag_run_id": "r", "scored_at": datetime(2013, 4, 1, tzinfo=UTC),
    }  # fmt: skip


def written(lake: Lake, rows: list[dict[str, Any]]) -> list[DataFile]:
    """Write rows as one unit does: files that no version references."""
    schema = arrow_schema(USE_CASE.score_table)
    batch = pa.RecordBatch.from_pylist(rows, schema=schema)
    return list(write_files([batch], lake.table(USE_CASE.score_table).uri, schema, ("ds",)))


def test_ranks_are_counted_over_all_files_of_a_night(spark: SparkSession, tmp_path: Path) -> None:
    lake, rng = Lake(str(tmp_path)), np.random.default_rng(0)
    rows = [
        row(night, origin, flight, float(rng.integers(0, 9)))  # with ties
        for night in NIGHTS
        for origin in ("EWR", "JFK")
        for flight in range(30)
    ]
    rng.shuffle(rows)  # type: ignore[arg-type]
    files = [file for part in (rows[:50], rows[50:]) for file in written(lake, part)]
    scored = Scored(parts={CHAMPION: Part(scoring_model=MODEL, files=tuple(files), rows_in=len(rows))})
    ranked = complete(spark, lake, USE_CASE, scored)
    assert (ranked.rows_in, ranked.rows_out) == (scored.rows_in, scored.rows_out) == (120, 120)
    assert ranked.shadow_files == ()
    uri = lake.table(USE_CASE.score_table).uri
    found = ds.dataset(
        [f"{uri}/{file.path}" for file in ranked.parts[CHAMPION].files], partitioning="hive", partition_base_dir=uri
    ).to_table().to_pylist()  # fmt: skip
    assert len(found) == 120
    for night in NIGHTS:
        for origin in ("EWR", "JFK"):
            group = [r for r in rows if (r["ds"], r["origin"]) == (night, origin)]
            expected = [r["flight"] for r in sorted(group, key=lambda r: (-r["prediction"], r["flight"]))]
            of_group = [r for r in found if (str(r["ds"]), r["origin"]) == (str(night), origin)]
            assert [r["flight"] for r in sorted(of_group, key=lambda r: r["rank"])] == expected
            assert sorted(r["rank"] for r in of_group) == list(range(1, 31))


def test_alarms_by_capacity_are_the_highest_of_the_night(spark: SparkSession, tmp_path: Path) -> None:
    problem = Binary(alarms=Capacity(25))
    use_case = replace(
        USE_CASE,
        problem=problem,
        monitoring=Monitoring(),
        gate=Gate(),
        training=replace(USE_CASE.training, calibration="best"),
    )
    lake, rng = Lake(str(tmp_path)), np.random.default_rng(0)
    schema, table = arrow_schema(use_case.score_table), lake.table(use_case.score_table)
    rows = [row(night, "EWR", flight, float(rng.integers(0, 30))) for night in NIGHTS for flight in range(100)]
    files = [
        file
        for part in (rows[:70], rows[70:])
        for file in write_files([pa.RecordBatch.from_pylist(part, schema=schema)], table.uri, schema, ("ds",))
    ]
    scored = Scored(parts={CHAMPION: Part(scoring_model=MODEL, files=tuple(files), rows_in=len(rows))})
    decided = complete(spark, lake, use_case, scored).parts[CHAMPION].files
    paths = [f"{table.uri}/{file.path}" for file in decided]
    found = ds.dataset(paths, partitioning="hive", partition_base_dir=table.uri).to_table().to_pylist()
    for night in NIGHTS:
        expected = sorted((r for r in rows if r["ds"] == night), key=lambda r: (-r["prediction"], r["flight"]))[:25]
        alarms = {r["flight"] for r in found if str(r["ds"]) == str(night) and r["decision"]}
        assert alarms == {r["flight"] for r in expected}
    assert sum(r["decision"] is None for r in found) == 0
    by_costs = replace(use_case, problem=Binary())
    assert complete(spark, lake, by_costs, scored) is scored, "complete already"


def test_files_of_the_shadow_are_ranked_too(spark: SparkSession, tmp_path: Path) -> None:
    use_case = replace(USE_CASE, scoring=replace(USE_CASE.scoring, shadow="challenger"))
    lake, schema = Lake(str(tmp_path)), arrow_schema(use_case.shadow_table)
    batch = pa.RecordBatch.from_pylist([row(NIGHTS[0], "EWR", n, float(n)) for n in range(3)], schema=schema)
    files = tuple(write_files([batch], lake.table(use_case.shadow_table).uri, schema, ("ds",)))
    ranked = complete(spark, lake, use_case, Scored(parts={}, shadow_files=files))
    assert sum(file.rows for file in ranked.shadow_files) == 3
