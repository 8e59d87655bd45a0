"""One process of `benchmarks/score.py`: it makes a table and a model, or scores them in one of three ways.

``score_work.py make|bare|spark_udf|ours <JSON of Work>``; prints a line of JSON after each pass over the rows.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nightjar.declaration.engines import Boosting
from nightjar.declaration.use_case import UseCase, load_use_case
from nightjar.lake import delta
from nightjar.lake.lake import Lake
from nightjar.lake.parquet import write_files
from nightjar.problems.binary.calibration import Calibrator
from nightjar.protocol.job import JobSpec
from nightjar.training.engines.boosting.model import BoostedTrees
from nightjar.training.engines.libraries import import_xgboost
from nightjar.training.engines.member import MemberCard
from nightjar.training.model import ModelCard, save

NIGHT = date(2026, 1, 2)
FILES = 8
BATCH = 131_072
TRAINING_ROWS = 100_000
VALUES = [f"v{i:02d}" for i in range(20)]


@dataclass(frozen=True)
class Work:
    """What to do: see ``main`` of `benchmarks/score.py`."""

    use_case: str
    lake: str
    out: str
    rows: int
    passes: int

    @property
    def declared(self) -> UseCase:
        """The use case as declared."""
        return load_use_case(self.use_case)

    @property
    def model(self) -> str:
        """Folder of the model."""
        return f"{self.lake}/models/m"

    @property
    def logged(self) -> str:
        """The same model as MLflow keeps it, for ``spark_udf``."""
        return f"{self.lake}/mlflow-model"

    @property
    def files(self) -> list[str]:
        """Parquet files of the feature table, sorted by path."""
        return sorted(str(path) for path in Path(self.lake, self.declared.feature_table.name).glob("ds=*/*.parquet"))


def number_column(use_case: UseCase) -> str:
    """The key column that counts the rows."""
    return "id" if "id" in use_case.key else "flight"


def make_batch(use_case: UseCase, first: int, rows: int) -> pa.RecordBatch:
    """Rows of the feature table: normal numbers with 2 % missing, one of twenty values in each category."""
    rng = np.random.default_rng(first)
    vocabulary = pa.array(VALUES)
    moment = datetime(2026, 1, 3, 12, tzinfo=UTC)
    drawn: dict[str, Callable[[], Any]] = {
        "double": lambda: pa.array(rng.normal(size=rows), mask=rng.random(rows) < 0.02),
        "string": lambda: vocabulary.take(pa.array(rng.integers(0, len(VALUES), rows))),
        "date": lambda: pa.repeat(pa.scalar(NIGHT), rows),
        "timestamp": lambda: pa.repeat(pa.scalar(moment), rows),
        "int": lambda: pa.array(np.arange(first, first + rows)),
        "long": lambda: pa.array(np.arange(first, first + rows)),
    }
    table = use_case.feature_table
    schema = delta.arrow_schema(table)
    columns = [drawn[c.type]().cast(field.type) for c, field in zip(table.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def matrix_of(batch: pa.RecordBatch, use_case: UseCase) -> np.ndarray[Any, np.dtype[np.float32]]:
    """What anyone would write: a column at a time, categories as codes."""
    matrix = np.empty((batch.num_rows, len(use_case.features.columns)), np.float32)
    for position, feature in enumerate(use_case.features.columns):
        column = batch.column(feature.name)
        if feature.kind == "categorical":
            column = pc.index_in(column, value_set=pa.array(VALUES))
        matrix[:, position] = column.cast(pa.float32(), safe=False).fill_null(float("nan"))
    return matrix


def make(work: Work) -> None:
    """The feature table in :data:`FILES` files, and a model of the declared size, as ours and as MLflow keep it."""
    import mlflow.pyfunc

    use_case = work.declared
    schema, table = delta.arrow_schema(use_case.feature_table), use_case.feature_table
    each = -(-work.rows // FILES)
    written = []
    for first in range(0, work.rows, each):
        last = min(first + each, work.rows)
        batches = (make_batch(use_case, at, min(BATCH, last - at)) for at in range(first, last, BATCH))
        written += write_files(batches, f"{work.lake}/{table.name}", schema, ("ds",))
    Lake(work.lake).table(table).commit(written, [NIGHT], run_id="bench")
    xgb = import_xgboost()
    rows = make_batch(use_case, 0, TRAINING_ROWS)
    matrix = matrix_of(rows, use_case)
    strength = np.nan_to_num(matrix[:, :10]) @ (1 / np.arange(2, 12))
    labels = (np.random.default_rng(0).random(len(matrix)) < 1 / (1 + np.exp(-strength))).astype(np.float32)
    engine = use_case.training.engines[0]
    assert isinstance(engine, Boosting)
    params = {"objective": "binary:logistic", "tree_method": "hist", "seed": 1, **engine.params}
    params.pop("monotone_constraints", None)  # they name columns that are drawn here
    booster = xgb.train(params, xgb.DMatrix(matrix, labels), engine.num_rounds)
    card = ModelCard(
        use_case=use_case.name,
        features=use_case.features.columns,
        categories={
            feature.name: tuple(VALUES) for feature in use_case.features.columns if feature.kind == "categorical"
        },
        label="drawn",
        prediction="drawn",
        problem=use_case.problem,
        members=(
            MemberCard(
                name="boosting",
                kind="boosting",
                engine="xgboost",
                params={},
                rounds=engine.num_rounds,
                validation_score=0,
            ),
        ),
        calibrator=Calibrator(method="none"),
        seed=1,
        world_size=1,
        validation_metric="log_loss",
        validation_score=0,
        tables={},
    )
    model = save(work.model, card, [BoostedTrees(booster)], "{}")
    mlflow.pyfunc.save_model(work.logged, loader_module="nightjar.registry.pyfunc", data_path=work.model)
    print(json.dumps({"sha256": model.sha256}))


def bare(work: Work) -> None:
    """A loop that reads Parquet, predicts on all cores, and writes Parquet."""
    use_case = work.declared
    key = number_column(use_case)
    booster = import_xgboost().Booster()
    booster.load_model(f"{work.model}/boosting.ubj")
    booster.set_param({"nthread": len(os.sched_getaffinity(0))})
    key_field = delta.arrow_schema(use_case.feature_table).field(key)
    schema = pa.schema([(key, key_field.type), ("prediction", pa.float64())])
    columns = [key, *use_case.feature_names]

    def once() -> dict[str, float]:
        shutil.rmtree(work.out, ignore_errors=True)
        os.makedirs(work.out)
        for number, path in enumerate(work.files):
            with pq.ParquetFile(path) as file, pq.ParquetWriter(f"{work.out}/{number}.parquet", schema) as writer:
                for batch in file.iter_batches(BATCH, columns=columns):
                    prediction = booster.inplace_predict(matrix_of(batch, use_case), missing=np.nan)
                    arrays = [batch.column(key), pa.array(prediction, pa.float64())]
                    writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
        return {}

    repeat(once, work.passes)


def spark_udf(work: Work) -> None:
    """``mlflow.pyfunc.spark_udf`` from Delta to Delta, as MLflow's documentation shows it."""
    import mlflow.pyfunc
    from pyspark.sql import functions as F

    use_case = work.declared
    spark = session()
    predict = mlflow.pyfunc.spark_udf(spark, work.logged, result_type="double", env_manager="local")
    key = number_column(use_case)

    def once() -> dict[str, float]:
        rows = spark.read.format("delta").load(f"{work.lake}/{use_case.feature_table.name}")
        scored = rows.select(key, predict(F.struct(*use_case.feature_names)).alias("prediction"))
        scored.write.format("delta").mode("overwrite").save(work.out)
        return {}

    repeat(once, work.passes)
    spark.stop()


def ours(work: Work) -> None:
    """The night's `score`, and the commit of `publish_scores`."""
    from nightjar.declaration.experiment import CHAMPION
    from nightjar.protocol.scores import ScoringModel
    from nightjar.scoring.choice import SelectedModels
    from nightjar.scoring.features import open_features
    from nightjar_spark.score import score_nights

    use_case = work.declared
    spark = session()
    sha256 = json.loads(Path(work.out + ".model").read_text())["sha256"]
    champion = ScoringModel(name="m", version="1", sha256=sha256, folder=work.model)
    models = SelectedModels(scoring_models={CHAMPION: champion})
    shutil.rmtree(f"{work.lake}/{use_case.score_table.name}", ignore_errors=True)

    def once() -> dict[str, float]:
        spec = JobSpec(
            program="score", use_case=use_case.name, first_night=NIGHT, last_night=NIGHT, dag_id="bench",
            run_id=str(time.time_ns()), task_id="score", lake=work.lake,
        )  # fmt: skip
        result = score_nights(spark, spec, use_case, open_features(spec, use_case, None), models)
        written = result.parts[CHAMPION].files
        Lake(work.lake).table(use_case.score_table).commit(written, [NIGHT], run_id=spec.run_id)
        return {"worker_peak_mb": result.metrics["worker_peak_mb"]}

    repeat(once, work.passes)
    spark.stop()


def session() -> Any:
    """Spark as a night has it, on all cores given."""
    jars = ",".join(str(path) for path in sorted(Path(os.environ["NIGHTJAR_JARS"]).glob("*.jar")))
    cores = len(os.sched_getaffinity(0))
    os.environ["PYSPARK_SUBMIT_ARGS"] = (
        f"--master local[{cores}] --driver-memory 2g --jars {jars} --conf spark.ui.enabled=false "
        f"--conf spark.sql.shuffle.partitions={cores} --conf spark.databricks.delta.snapshotPartitions={cores} "
        "pyspark-shell"
    )
    from nightjar_spark.session import build_session

    return build_session("bench-score")


def repeat(once: Callable[[], dict[str, float]], passes: int) -> None:
    """Print the seconds of each pass as it ends."""
    for _ in range(passes):
        began = time.perf_counter()
        said = once()
        print(json.dumps({"seconds": time.perf_counter() - began, **said}), flush=True)


if __name__ == "__main__":
    given = json.loads(sys.argv[2])
    task = Work(**{field.name: given[field.name] for field in fields(Work)})
    {"make": make, "bare": bare, "spark_udf": spark_udf, "ours": ours}[sys.argv[1]](task)
