"""Join scores with later labels and count them, in one Spark job for all nights and slices.

Each task counts its Arrow batches with numpy and sends small summaries to the driver, which merges them
(:mod:`nightjar.monitoring.performance.problem`); rows are not collected.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyspark.sql import functions as F

from nightjar.declaration.experiment import CHAMPION
from nightjar.declaration.use_case import UseCase
from nightjar.lake.lake import Lake
from nightjar.monitoring.drift.wording import MISSING
from nightjar.monitoring.performance.problem import Baseline, LabelGroup, PerformanceProblem, ScoredRows, Summary
from nightjar.monitoring.performance.registry import performance_problem
from nightjar.monitoring.performance.table import Place
from nightjar.monitoring.performance.units import BUCKETS, Units
from nightjar_spark.io import read_table

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyspark.sql import Column, DataFrame, SparkSession

HISTORY_NIGHTS = 28
"""Nights (whole weeks) whose labels, as known when a night was scored, give the baseline prediction."""
_ROWS_AT_ONCE = 200_000
_EXACT = "decimal(38, 12)"
_TEXTS = ("night", "slice", "slice_value")
_COUNTED = pa.schema([*((name, pa.string()) for name in _TEXTS), ("bucket", pa.int32()), ("summary", pa.string())])
_WHOLE = -1
"""Bucket of all rows."""


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Counted scores of one night.

    Attributes:
        summaries: Summary by slice and value.
        units: The same rows by bucket of units; empty without a declared unit.
        versions: Model versions that scored.
    """

    summaries: Mapping[Place, Summary]
    units: Mapping[Place, Units]
    versions: tuple[str, ...]


def count_nights(
    spark: SparkSession,
    lake: Lake,
    use_case: UseCase,
    inputs: Mapping[str, int],
    *,
    judged: Mapping[date, date],
    fresh: Sequence[date],
    baselines: Mapping[date, Baseline],
) -> dict[date, Counted]:
    """Summarize the scores of nights; nights without published scores are left out.

    With an experiment, the champion's scores are counted.

    Args:
        spark: Spark session.
        lake: The lake.
        use_case: The use case, with key and slices.
        inputs: Version of each table to read.
        judged: Scored night to the night whose run judges it; labels that landed from ``label_horizon_nights`` after
            the scored night until then are joined.
        fresh: Nights whose scores are counted without labels.
        baselines: The baseline's prediction for each night where it is known.
    """
    without = [night for night in fresh if night not in judged]
    versions = defaultdict(list)
    scored_by = _published(spark, lake, use_case, inputs, [*judged, *without]).groupBy("ds", "model_version").count()
    for row in scored_by.orderBy("ds", "model_version").collect():
        versions[row["ds"]].append(row["model_version"])
    rows = _scores(spark, lake, use_case, inputs, without).withColumns(
        {"label": F.lit(None).cast("double"), "_landed": F.lit(False)}
    )
    if judged:
        labels = _labels(spark, lake, use_case, inputs, judged)
        scores = _scores(spark, lake, use_case, inputs, judged)
        rows = rows.unionByName(scores.join(labels, on=["ds", *use_case.key], how="left"))
    summaries, units = _count(rows, use_case, baselines)
    return {
        night: Counted(summaries=summaries[night], units=units.get(night, {}), versions=tuple(versions[night]))
        for night in sorted(summaries)
    }


def _published(
    spark: SparkSession, lake: Lake, use_case: UseCase, inputs: Mapping[str, int], nights: Iterable[date]
) -> DataFrame:
    """Read the champion's published scores."""
    table = use_case.score_table.name
    frame = read_table(spark, lake, table, nights=sorted(nights), version=inputs[table])
    return frame.where(F.coalesce("variant", F.lit(CHAMPION)) == CHAMPION) if use_case.scoring.experiment else frame


def _scores(
    spark: SparkSession, lake: Lake, use_case: UseCase, inputs: Mapping[str, int], nights: Iterable[date]
) -> DataFrame:
    """Select night, key, the problem type's columns and slices of the champion's scores."""
    wanted = sorted(nights)
    frame = _published(spark, lake, use_case, inputs, wanted)
    declared = use_case.monitoring.performance
    slices = declared.slices
    wanted_columns = [*slices, *([declared.unit] if declared.unit else [])]
    if from_features := [name for name in wanted_columns if name not in use_case.score_table.column_names]:
        features = use_case.feature_table.name
        features_read = read_table(spark, lake, features, nights=wanted, version=inputs[features])
        frame = frame.join(
            features_read.select("ds", *use_case.key, *from_features), on=["ds", *use_case.key], how="left"
        )
    columns = performance_problem(use_case.problem).score_columns
    named = (F.coalesce(F.col(name).cast("string"), F.lit(MISSING)) for name in slices)
    return frame.select(
        *dict.fromkeys(["ds", *use_case.key]),
        *(F.expr(expression).alias(f"_{name}") for name, expression in columns.items()),
        *(value.alias(f"_s{i}") for i, value in enumerate(named)),
        *([_bucket(declared.unit).alias("_unit")] if declared.unit else []),
    )


def _bucket(unit: str) -> Column:
    """Return the bucket of a row's unit, the same every night; rows without a unit share one."""
    return F.pmod(F.xxhash64(F.col(unit).cast("string")), F.lit(BUCKETS)).cast("int")


def _labels(
    spark: SparkSession, lake: Lake, use_case: UseCase, inputs: Mapping[str, int], judged: Mapping[date, date]
) -> DataFrame:
    """Select scored night, key and label: the first outcome per key that landed after the horizon, until it is judged.

    An earlier landing of the same key belongs to the scores of an earlier night.
    """
    table = use_case.label_table.name
    horizon = use_case.target.label_horizon_nights
    serves = {
        scored: [scored + timedelta(days=i) for i in range(horizon, (on - scored).days + 1)]
        for scored, on in judged.items()
    }
    landed = sorted({night for nights in serves.values() for night in nights})
    pairs = [(scored, night) for scored, nights in serves.items() for night in nights]
    scored_by = F.broadcast(spark.createDataFrame(pairs, "_scored date, ds date"))
    rows = read_table(spark, lake, table, nights=landed, version=inputs[table]).join(scored_by, on="ds")
    # Numbers keep the aggregation in Spark's hash tables; a struct of night and label would sort all rows.
    label = F.expr(performance_problem(use_case.problem).label)
    return (
        rows.groupBy("_scored", *use_case.key)
        .agg(F.min_by(label, F.datediff("ds", "_scored")).alias("label"))
        .select(F.col("_scored").alias("ds"), *use_case.key, "label", F.lit(True).alias("_landed"))
    )


def _count(
    joined: DataFrame, use_case: UseCase, baselines: Mapping[date, Baseline]
) -> tuple[dict[date, dict[Place, Summary]], dict[date, dict[Place, dict[int, Summary]]]]:
    """Return the summaries of each night, slice and value, and those of each bucket of units."""
    problem, declared = performance_problem(use_case.problem), use_case.monitoring.performance
    slices = declared.slices
    columns = ["label", "_landed", *map("_{}".format, problem.score_columns), *(f"_s{i}" for i in range(len(slices)))]
    columns += ["_unit"] if declared.unit else []
    counter = _counter(problem, slices, {str(night): baseline for night, baseline in baselines.items()})
    selected = joined.select(F.col("ds").cast("string").alias("night"), *columns)
    schema = "night string, slice string, slice_value string, bucket int, summary string"
    parts: defaultdict[tuple[date, Place, int], list[Summary]] = defaultdict(list)
    for row in selected.mapInArrow(counter, schema).collect():
        place = (row["slice"], row["slice_value"])
        parts[date.fromisoformat(row["night"]), place, row["bucket"]].append(problem.read_summary(row["summary"]))
    by_night: dict[date, dict[Place, Summary]] = {}
    by_unit: dict[date, dict[Place, dict[int, Summary]]] = {}
    for (night, place, bucket), summaries in sorted(parts.items()):
        merged = problem.merge(summaries)
        if bucket == _WHOLE:
            by_night.setdefault(night, {})[place] = merged
        else:
            by_unit.setdefault(night, {}).setdefault(place, {})[bucket] = merged
    return by_night, by_unit


def _counter(
    problem: PerformanceProblem, slices: Sequence[str], baselines: Mapping[str, Baseline]
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the function that a Spark task runs on its Arrow batches: it yields one row per night, slice and value."""

    def count(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        parts: defaultdict[tuple[str, str, str, int], list[Summary]] = defaultdict(list)
        for table in _gathered(batches):
            for place, summary in _count_table(table, problem, slices, baselines).items():
                parts[place] = [problem.merge([*parts[place], summary])]
        rows = [(*place, summary.to_json()) for place, (summary,) in parts.items()]
        columns = zip(*rows, strict=True) if rows else ((), (), (), (), ())
        arrays = [pa.array(column, field.type) for column, field in zip(columns, _COUNTED, strict=True)]
        yield pa.record_batch(arrays, schema=_COUNTED)

    return count


def _gathered(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Combine batches up to :data:`_ROWS_AT_ONCE` rows: counting many slices has a cost per call."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(batch.num_rows for batch in held) >= _ROWS_AT_ONCE:
            yield pa.Table.from_batches(held)
            held = []
    if any(batch.num_rows for batch in held):
        yield pa.Table.from_batches(held)


def _count_table(
    table: pa.Table, problem: PerformanceProblem, slices: Sequence[str], baselines: Mapping[str, Baseline]
) -> dict[tuple[str, str, str, int], Summary]:
    nights, night_codes = _encoded(table["night"])
    names = sorted({name for night in nights for name in baselines.get(night, {})})
    rows = ScoredRows(
        columns={name: table[f"_{name}"].to_numpy() for name in problem.score_columns},
        labels=table["label"].to_numpy(),
        landed=table["_landed"].fill_null(False).to_numpy(),
        baseline={
            name: np.array([baselines.get(night, {}).get(name, np.nan) for night in nights])[night_codes]
            for name in names
        },
    )
    buckets = table["_unit"].to_numpy().astype(np.int64) if "_unit" in table.column_names else None
    summaries: dict[tuple[str, str, str, int], Summary] = {}
    places = [("", [""], np.zeros(len(night_codes), np.int64))]
    places += [(name, *_encoded(table[f"_s{i}"])) for i, name in enumerate(slices)]
    for name, values, codes in places:
        of_place = night_codes * len(values) + codes
        for code, summary in problem.summarize(rows, of_place).items():
            summaries[nights[code // len(values)], name, values[code % len(values)], _WHOLE] = summary
        if buckets is None:
            continue
        for code, summary in problem.summarize(rows, of_place * BUCKETS + buckets).items():
            place, bucket = divmod(code, BUCKETS)
            key = (nights[place // len(values)], name, values[place % len(values)], bucket)
            summaries[key] = problem.reduce(summary)
    return summaries


def _encoded(column: pa.ChunkedArray) -> tuple[list[str], NDArray[np.int64]]:
    """Return the distinct values of a column, and each row's index among them."""
    encoded = column.combine_chunks().dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy().astype(np.int64)


def count_baselines(
    spark: SparkSession, lake: Lake, use_case: UseCase, inputs: Mapping[str, int], nights: Sequence[date]
) -> dict[date, Baseline]:
    """Return the baseline's prediction from the labels known when each night is scored.

    A label is known from the first night that has landed it and is scored at or after ``known_at``. Nights without
    known labels are left out.
    """
    table, problem = use_case.label_table.name, performance_problem(use_case.problem)
    first = min(nights) - timedelta(days=HISTORY_NIGHTS - 1)
    wanted = [first + timedelta(days=i) for i in range((max(nights) - first).days + 1)]
    local_day = F.to_date(F.from_utc_timestamp("known_at", use_case.schedule.timezone))
    counted = (
        read_table(spark, lake, table, nights=wanted, version=inputs[table])
        .where(F.expr(problem.label).isNotNull())
        .groupBy(F.greatest("ds", local_day).alias("known_on"), F.expr(problem.label_group).alias("label_group"))
        # Decimals add up to the same sum in any order.
        .agg(F.count("*").alias("rows"), F.sum(F.expr(problem.label).cast(_EXACT)).alias("total"))
        .orderBy("known_on", "label_group")
        .collect()
    )
    baselines = {}
    for night in nights:
        known = [row for row in counted if night - timedelta(days=HISTORY_NIGHTS) < row["known_on"] <= night]
        groups = [LabelGroup(group=row["label_group"], rows=row["rows"], total=row["total"]) for row in known]
        if groups:
            baselines[night] = problem.baseline(groups)
    return baselines
