"""Measure forecasts: boosted ones against a bare loop, statistical ones against statsforecast; prints one line of JSON.

``make bench-forecast`` (``SERIES=100000``, ``FITTED=10000``, ``PASSES=3``). Boosted: the night's `score` with its
commit against a loop that reads Parquet, predicts with XGBoost on all cores, sorts the quantiles and writes Parquet;
passes alternate, medians are compared, and every quantile is compared. Statistical: the Spark tasks of `build_features`
against ``StatsForecast.forecast`` with a process on each core, seasonal naive and ETS on 56 days of each series; all
forecasts are compared. All in one run on the same cores.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "project"), str(HERE)]
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE / "project"), os.environ.get("PYTHONPATH")]))

from score_work import BATCH, FILES, NIGHT, session  # noqa: E402

from nightjar.declaration.experiment import CHAMPION  # noqa: E402
from nightjar.lake.delta import arrow_schema  # noqa: E402
from nightjar.lake.lake import Lake  # noqa: E402
from nightjar.lake.parquet import write_files  # noqa: E402
from nightjar.problems.binary.calibration import Calibrator  # noqa: E402
from nightjar.problems.registry import problem_type  # noqa: E402
from nightjar.protocol.job import JobSpec  # noqa: E402
from nightjar.protocol.scores import ScoringModel  # noqa: E402
from nightjar.scoring.choice import SelectedModels  # noqa: E402
from nightjar.scoring.features import open_features  # noqa: E402
from nightjar.training.engines.boosting.model import BoostedTrees  # noqa: E402
from nightjar.training.engines.libraries import import_xgboost  # noqa: E402
from nightjar.training.engines.member import MemberCard  # noqa: E402
from nightjar.training.model import ModelCard, save  # noqa: E402
from nightjar_spark.score import score_nights  # noqa: E402
from nightjar_spark.series_models import forecaster  # noqa: E402
from use_cases.items.use_case import PROBLEM, USE_CASE  # noqa: E402

CORES = len(os.sched_getaffinity(0))
HISTORY = 56
QUANTILES = list(PROBLEM.quantile_columns)
PACKAGES = ("xgboost", "statsforecast", "pyspark", "pyarrow", "deltalake", "numpy")


def make_batch(first: int, rows: int) -> pa.RecordBatch:
    """Rows of the feature table, item by item and step by step; numbers are drawn."""
    rng = np.random.default_rng(first)
    number = np.arange(first, first + rows)
    step = number % PROBLEM.horizon + 1
    level = rng.gamma(2, 5, rows)
    columns: dict[str, Any] = {
        "ds": pa.repeat(pa.scalar(NIGHT), rows),
        "item": pa.array(number // PROBLEM.horizon),
        "step": pa.array(step.astype(np.int32)),
        "target_date": pa.array([NIGHT + timedelta(days=int(days)) for days in step]),
        "series_scale": pa.array(rng.gamma(2, 1, rows)),
        **{
            f.name: pa.array(level * rng.uniform(0.7, 1.3, rows)) for f in USE_CASE.features.columns if f.name != "step"
        },
    }
    schema = arrow_schema(USE_CASE.feature_table)
    return pa.RecordBatch.from_arrays([columns[field.name].cast(field.type) for field in schema], schema=schema)


def matrix_of(batch: pa.RecordBatch) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The model's inputs, a column at a time."""
    return np.stack([batch.column(name).to_numpy().astype(np.float32) for name in USE_CASE.feature_names], axis=1)


def make(lake: Lake, rows: int) -> tuple[str, Any]:
    """Write the feature table and a model; return the model's checksum and its booster."""
    table, schema = USE_CASE.feature_table, arrow_schema(USE_CASE.feature_table)
    each = -(-rows // FILES)
    written = []
    for first in range(0, rows, each):
        last = min(first + each, rows)
        batches = (make_batch(at, min(BATCH, last - at)) for at in range(first, last, BATCH))
        written += write_files(batches, lake.table(table).uri, schema, ("ds",))
    lake.table(table).commit(written, [NIGHT], run_id="bench")
    xgb = import_xgboost()
    sample = make_batch(0, 50_000)
    labels = np.random.default_rng(0).poisson(np.maximum(sample.column("ets_q50").to_numpy(), 0))
    params = {**problem_type(PROBLEM).boosting_params(), "max_depth": 6, "eta": 0.1, "seed": 1}
    booster = xgb.train(params, xgb.DMatrix(matrix_of(sample), labels), 100)
    card = ModelCard(
        use_case=USE_CASE.name,
        features=USE_CASE.features.columns,
        categories={},
        label="drawn",
        prediction="drawn",
        problem=PROBLEM,
        members=(
            MemberCard(name="boosting", kind="boosting", engine="xgboost", params={}, rounds=100, validation_score=0),
        ),
        calibrator=Calibrator(method="none"),
        seed=1,
        world_size=1,
        validation_metric="wql",
        validation_score=0,
        tables={},
    )
    return save(f"{lake}/models/m", card, [BoostedTrees(booster)], "{}").sha256, booster


def bare(lake: Lake, booster: Any, out: Path) -> None:
    """A loop that reads Parquet, predicts on all cores, sorts quantiles, and writes Parquet."""
    booster.set_param({"nthread": CORES})
    schema = pa.schema([("item", pa.int64()), ("step", pa.int32()), *((name, pa.float64()) for name in QUANTILES)])
    out.mkdir(exist_ok=True)
    for number, path in enumerate(sorted(Path(lake.table(USE_CASE.feature_table).uri).glob("ds=*/*.parquet"))):
        with pq.ParquetFile(path) as file, pq.ParquetWriter(out / f"{number}.parquet", schema) as writer:
            for batch in file.iter_batches(BATCH, columns=["item", *USE_CASE.feature_names]):
                outputs = np.sort(np.maximum(booster.inplace_predict(matrix_of(batch)).astype(np.float64), 0), axis=1)
                columns = [batch.column("item"), batch.column("step"), *map(pa.array, outputs.T)]
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))


def ours(spark: Any, lake: Lake, sha256: str) -> None:
    """The night's `score`, and the commit of `publish_scores`."""
    champion = ScoringModel(name="m", version="1", sha256=sha256, folder=f"{lake}/models/m")
    spec = JobSpec(
        program="score", use_case=USE_CASE.name, first_night=NIGHT, last_night=NIGHT, dag_id="bench",
        run_id=str(time.time_ns()), task_id="score", lake=lake.uri,
    )  # fmt: skip
    models = SelectedModels(scoring_models={CHAMPION: champion})
    result = score_nights(spark, spec, USE_CASE, open_features(spec, USE_CASE, None), models)
    lake.table(USE_CASE.score_table).commit(result.parts[CHAMPION].files, [NIGHT], run_id=spec.run_id)


def timed(work: Any) -> float:
    """Seconds that the work takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def boosted(spark: Any, folder: Path, series: int, passes: int) -> dict[str, Any]:
    """Compare both ways of scoring: the first pass of each is cold, and is not counted."""
    lake, rows = Lake(str(folder / "lake")), series * PROBLEM.horizon
    sha256, booster = make(lake, rows)
    seconds: dict[str, list[float]] = {"ours": [], "bare": []}
    for number in range(1 + passes):
        for way, work in (
            ("bare", lambda: bare(lake, booster, folder / "bare")),
            ("ours", lambda: ours(spark, lake, sha256)),
        ):
            took = timed(work)
            print(f"{way}: {took:.1f} s", file=sys.stderr)
            if number:
                seconds[way].append(took)
    scored = lake.table(USE_CASE.score_table).open().to_pyarrow_table().select(["item", "step", *QUANTILES])
    order = [("item", "ascending"), ("step", "ascending")]
    same = scored.sort_by(order).equals(pq.read_table(folder / "bare").sort_by(order).cast(scored.schema))
    if not same or scored.num_rows != rows:
        raise SystemExit("the two ways give other quantiles")
    speed = {way: rows / statistics.median(values) for way, values in seconds.items()}
    return {
        "series": series,
        "rows": rows,
        "vs_bare_loop": round(speed["ours"] / speed["bare"], 3),
        **{f"{way}_rows_per_second": round(value) for way, value in speed.items()},
        "seconds": {way: [round(value, 2) for value in values] for way, values in seconds.items()},
    }


def statistical(spark: Any, series: int) -> dict[str, Any]:
    """Compare the Spark tasks with statsforecast itself on the same series."""
    from statsforecast import StatsForecast
    from statsforecast.models import AutoETS, SeasonalNaive

    rng = np.random.default_rng(1)
    days = np.arange(HISTORY)
    level = rng.gamma(2, 10, (series, 1)) * (1 + 0.3 * np.sin(2 * np.pi * days / 7))
    values = rng.poisson(level).astype(np.float64)
    first = pd.Timestamp(NIGHT) - pd.Timedelta(days=HISTORY - 1)
    frame = pd.DataFrame({
        "unique_id": np.repeat(np.arange(series), HISTORY),
        "ds": np.tile(pd.date_range(first, periods=HISTORY), series),
        "y": values.ravel(),
    })  # fmt: skip
    alone: dict[str, Any] = {}

    def statsforecast() -> None:
        models = [SeasonalNaive(season_length=7), AutoETS(season_length=7)]
        engine = StatsForecast(models=models, freq="D", n_jobs=CORES)
        alone["found"] = engine.forecast(df=frame, h=PROBLEM.horizon, level=[80])

    table = pa.table({"ds": pa.repeat(pa.scalar(NIGHT), series), "item": np.arange(series), "values": list(values)})
    histories = spark.createDataFrame(table).repartition(4 * CORES)
    names = [column for model in PROBLEM.models for column in PROBLEM.columns_of(model)]
    columns = ", ".join(f"{name} double" for name in names)
    schema = f"ds date, item long, step int, series_scale double, {columns}, replaced int"
    forecasts = histories.mapInArrow(forecaster(PROBLEM, ["item"]), schema)
    spark.range(CORES).mapInArrow(lambda batches: batches, "id long").count()  # the workers are there
    collected: dict[str, Any] = {}
    mine = timed(lambda: collected.update(found=forecasts.toArrow()))
    print(f"ours: {mine:.1f} s", file=sys.stderr)
    theirs = timed(statsforecast)
    print(f"statsforecast: {theirs:.1f} s", file=sys.stderr)
    own = collected["found"].sort_by([("item", "ascending"), ("step", "ascending")]).to_pandas()
    for model, name in (("seasonal_naive", "SeasonalNaive"), ("ets", "AutoETS")):
        for column, suffix in (("q10", "-lo-80"), ("q50", ""), ("q90", "-hi-80")):
            expected = np.maximum(alone["found"][f"{name}{suffix}"].to_numpy(), 0)
            if not np.allclose(own[f"{model}_{column}"], expected, rtol=1e-6, atol=1e-9):
                raise SystemExit(f"{model} {column} is not that of statsforecast")
    return {
        "series": series,
        "days": HISTORY,
        "vs_statsforecast": round(theirs / mine, 3),
        "series_per_second": round(series / mine, 1),
        "statsforecast_series_per_second": round(series / theirs, 1),
    }


def main() -> None:
    """Print the line."""
    series, fitted, passes = (
        int(os.environ.get(name) or default)
        for name, default in (("SERIES", 100_000), ("FITTED", 10_000), ("PASSES", 3))
    )
    spark = session()
    with tempfile.TemporaryDirectory() as folder:
        of_boosted = boosted(spark, Path(folder), series, passes)
    of_statistical = statistical(spark, fitted)
    spark.stop()
    print(
        json.dumps(
            {
                "benchmark": "forecast",
                "steps": PROBLEM.horizon,
                "boosted": of_boosted,
                "statistical": of_statistical,
                "cores": CORES,
                "versions": {name: version(name) for name in PACKAGES},
            }
        )
    )


if __name__ == "__main__":
    main()
