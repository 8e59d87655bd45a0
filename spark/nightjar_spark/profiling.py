"""Profile nights: fixed-size histograms and sketches of many columns in one pass, memory flat with rows.

Each task counts its Arrow batches with numpy and hands small JSON to the driver, which merges them: one job, no
shuffle. A table's nights are read by the tasks themselves (:func:`profile_table`): no row crosses the JVM. For a
reference, one more aggregation fixes the bins of all columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import functions as F

from nightjar.lake import delta
from nightjar.lake.lake import Lake
from nightjar.lake.scan import Reader, Unit, scan
from nightjar.monitoring.profiles.profile import ColumnProfile, Profile, ProfiledColumn, merge, merge_all
from nightjar.monitoring.profiles.sample import (
    NIGHT_ROWS,
    SAMPLE_ROWS,
    Draw,
    Sample,
    draw,
    least,
    least_hashes,
    merge_samples,
)
from nightjar.monitoring.profiles.sketch import grid_of
from nightjar.monitoring.profiles.summarize import (
    MAX_CATEGORIES,
    count_categories,
    count_numeric,
    grid_in,
    numeric_edges,
    top_categories,
)
from nightjar.protocol.errors import GateError
from nightjar_spark.io import read_table
from nightjar_spark.known_numbers import known

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

_Group = TypeVar("_Group", str, date)

_QUANTILES = 200
"""Steps of the quantile grid from which numeric bins are fixed."""

_QUANTILE_ACCURACY = 2_000
"""``percentile_approx``: greatest rank error is rows / this."""

_TRACKED_CATEGORIES = 10_000
"""``approx_top_k``: exact up to about this many distinct categories, approximate beyond."""

BATCH_ROWS = 65_536
"""Rows in memory at a time: a column of them fits a core's cache."""

UNIT_BYTES = 16 << 20
"""Compressed bytes of a unit: small enough that a night of some 100,000 rows keeps several cores busy."""

TASKS_PER_CORE = 4
"""So that cores which are done early find more to do; which task counts a unit changes nothing."""


def profile_reference(
    spark: SparkSession,
    lake: Lake,
    name: str,
    columns: Sequence[ProfiledColumn],
    nights: Sequence[date],
    key: Sequence[str],
    *,
    watched: Sequence[str],
    version: int | None = None,
) -> Profile:
    """What nights are compared with: nights of a table in bins that fit them, how they vary, and a sample of rows.

    Args:
        spark: Does the work: one pass that fixes the bins, one that counts.
        lake: The lake.
        name: The table, partitioned by ``ds``.
        columns: What to profile, and how.
        nights: Which.
        key: Columns that tell rows apart.
        watched: Columns of which those that nights do not share tell them apart from the others.
        version: Of the table; None is the latest.

    Raises:
        GateError: when the table lacks a column.
    """
    # Only the driver compares nights: scipy, which these import, would keep every task's worker waiting.
    from nightjar.monitoring.drift.domain import compute_usual_auc, own_nights, row_columns
    from nightjar.monitoring.profiles.variation import with_variation

    frame = read_table(spark, lake, name, nights=nights, version=version)
    _check_columns(frame.columns, columns, None)
    bins = fix_bins(frame, columns)
    each, own = -(-SAMPLE_ROWS // max(1, len(nights))), set(own_nights(nights))
    rows = {night: NIGHT_ROWS if night in own else each for night in nights}
    profiles, samples = profile_and_sample(spark, lake, name, columns, bins, rows, key, version=version)
    if not profiles:
        return bins
    reference = with_variation(merge_all(list(profiles.values())), list(profiles.values()))
    told_by = row_columns(reference, watched)
    sample = merge_samples([night_sample.first(each) for night_sample in samples.values()]).of(told_by)
    return replace(reference, sample=sample, usual_auc=compute_usual_auc(samples, bins, told_by))


def profile_nights(
    df: DataFrame, columns: Sequence[ProfiledColumn], reference: Profile, *, by: str = "ds"
) -> Mapping[date, Profile]:
    """Profile each night of ``df`` in the reference's bins, all in the same single pass.

    Args:
        df: Rows to profile, with the night in the date column ``by``.
        columns: What to profile, and how.
        reference: Profile whose bins to count in.
        by: The night's column.

    Returns:
        A profile for every night that has rows.

    Raises:
        GateError: when ``df`` or the reference lacks a column, or the reference holds it as another kind.
    """
    _check_columns(df.columns, columns, reference)
    counted = _count(df, columns, reference, by=by)
    return {date.fromisoformat(night): profile for night, profile in sorted(counted.items())}


def profile_table(
    spark: SparkSession,
    lake: Lake,
    name: str,
    columns: Sequence[ProfiledColumn],
    reference: Profile,
    *,
    nights: Iterable[date],
    version: int | None = None,
) -> Mapping[date, Profile]:
    """Profile nights of a table partitioned by ``ds``, as :func:`profile_nights` would; the tasks read its files.

    Each unit of files is profiled alone and all are merged in the order of the log, so that the result is the same to
    the last bit whatever the number of cores.

    Args:
        spark: Does the work.
        lake: The lake.
        name: The table; numeric columns hold numbers, categorical ones strings.
        columns: What to profile, and how.
        reference: Profile whose bins to count in.
        nights: Which.
        version: Of the table; None is the latest.

    Returns:
        A profile for every night that has rows.

    Raises:
        GateError: as for :func:`profile_nights`.
        LakeError: when the table or version does not exist, or one of its files is gone.
    """
    return profile_and_sample(spark, lake, name, columns, reference, dict.fromkeys(nights, 0), (), version=version)[0]


def profile_and_sample(
    spark: SparkSession,
    lake: Lake,
    name: str,
    columns: Sequence[ProfiledColumn],
    reference: Profile,
    rows: Mapping[date, int],
    key: Sequence[str],
    *,
    version: int | None = None,
) -> tuple[Mapping[date, Profile], Mapping[date, Sample]]:
    """:func:`profile_table`, and a sample of the rows in the same pass: those whose keys have the least hashes.

    Args:
        spark: Does the work.
        lake: The lake.
        name: The table.
        columns: What to profile and to sample.
        reference: Profile whose bins to count in.
        rows: Night to the rows of its sample; 0 for none.
        key: Columns that tell rows apart.
        version: Of the table; None is the latest.

    Returns:
        A profile for every night that has rows, and a sample for those of them that were asked for one.
    """
    table, wanted = lake.open_table(name, version), {"ds": [night.isoformat() for night in rows]}
    planned = scan(table, lake.table_uri(name), wanted, unit_bytes=UNIT_BYTES)
    _check_columns(planned.reader.schema.names, columns, reference)
    if not planned.rows:
        return {}, {}
    there = delta.rows_by_night(table, rows)
    limits = {night: least_hashes(count, there[night]) for night, count in rows.items() if count}
    context = spark.sparkContext
    slices = min(len(planned.units), TASKS_PER_CORE * context.defaultParallelism)
    count = _unit_counter(planned.reader, list(columns), reference, limits, tuple(key))
    merged: dict[date, Profile] = {}
    drawn: dict[date, list[Draw]] = {}
    for night, text, draws in context.parallelize(planned.units, slices).map(count).collect():
        _add(merged, night, Profile.from_json(text))
        drawn.setdefault(night, []).extend(draws)
    profiles = {night: profile for night, profile in merged.items() if profile.rows}
    return profiles, {night: least(drawn[night], rows[night]) for night in profiles if rows[night]}


def _unit_counter(
    reader: Reader,
    columns: list[ProfiledColumn],
    reference: Profile,
    limits: Mapping[date, int],
    key: tuple[str, ...],
) -> Callable[[Unit], tuple[date, str, list[Draw]]]:
    """The function that a Spark task runs over each unit: its night, its profile, and the rows drawn from it."""
    names = [column.name for column in columns]
    read = [*names, *(name for name in key if name not in names)] if limits else names
    types = [pa.float64() if column.kind == "numeric" else pa.string() for column in columns]
    bins = _empty(columns, reference)

    def count(unit: Unit) -> tuple[date, str, list[Draw]]:
        night: date = unit.partition["ds"]
        merged, draws = {night: bins}, []
        for batch in reader.read(unit, read, batch_rows=BATCH_ROWS):
            values = [batch.column(name).cast(kind, safe=False) for name, kind in zip(names, types, strict=True)]
            _add(merged, night, _profile_batch(values, columns, bins))
            if night in limits:
                keys, of_rows = [batch.column(name) for name in key], dict(zip(names, values, strict=True))
                draws.append(draw(keys, of_rows, limits[night]))
        return night, merged[night].to_json(), draws

    return count


def _add(merged: dict[_Group, Profile], group: _Group, profile: Profile) -> None:
    merged[group] = merge(merged[group], profile) if group in merged else profile


def _count(df: DataFrame, columns: Sequence[ProfiledColumn], bins: Profile, by: str) -> dict[str, Profile]:
    group = F.col(by).cast("string")
    selected = df.select(group.alias("_group"), *(_value(c).alias(f"c{i}") for i, c in enumerate(columns)))
    parts = selected.mapInArrow(
        _counter(list(columns), _empty(columns, bins)), "group string, profile string"
    ).collect()
    merged: dict[str, Profile] = {}
    for part in parts:
        _add(merged, part["group"], Profile.from_json(part["profile"]))
    return merged


def _counter(
    columns: list[ProfiledColumn], bins: Profile
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """The function that a Spark task runs over its Arrow batches: one row per group out."""

    def count(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        merged: dict[str, Profile] = {}
        for batch in batches:
            groups = batch.column(0)
            for group in pc.unique(groups).to_pylist():
                rows = batch.filter(pc.equal(groups, group))
                _add(merged, group, _profile_batch(rows.columns[1:], columns, bins))
        texts = [profile.to_json() for profile in merged.values()]
        yield pa.record_batch([pa.array(list(merged), pa.string()), pa.array(texts, pa.string())], ["group", "profile"])

    return count


def _profile_batch(arrays: Sequence[pa.Array], columns: Sequence[ProfiledColumn], bins: Profile) -> Profile:
    profiles = {}
    for values, column in zip(arrays, columns, strict=True):
        known = bins.columns[column.name]
        if column.kind == "numeric":
            profiles[column.name] = count_numeric(values.to_numpy(zero_copy_only=False), known.edges, grid_in(known))
        else:
            counts = {item["values"]: item["counts"] for item in pc.value_counts(values).to_pylist()}
            profiles[column.name] = count_categories(counts, known.categories)
    return Profile(rows=len(arrays[0]), columns=profiles)


def fix_bins(df: DataFrame, columns: Sequence[ProfiledColumn]) -> Profile:
    """An empty profile whose bins fit ``df``: approximate quantiles and top categories, one aggregation for all."""
    grid = F.lit([i / _QUANTILES for i in range(_QUANTILES + 1)])
    aggregates = []
    for i, column in enumerate(columns):
        value = F.col(f"c{i}")
        if column.kind == "numeric":
            # a missing value must not be a quantile
            aggregates.append(F.percentile_approx(known(value), grid, _QUANTILE_ACCURACY).alias(f"c{i}"))
        else:
            top = F.expr(f"approx_top_k(c{i}, {MAX_CATEGORIES + 1}, {_TRACKED_CATEGORIES})")  # one more: null counts
            aggregates.append(top.alias(f"c{i}"))
    row = df.select(*(_value(c).alias(f"c{i}") for i, c in enumerate(columns))).agg(*aggregates).collect()[0]
    bins = {}
    for i, column in enumerate(columns):
        if column.kind == "numeric":
            bins[column.name] = count_numeric([], numeric_edges(row[i] or []), grid_of(row[i] or []))
        else:
            bins[column.name] = count_categories({}, top_categories({item: n for item, n in row[i] or []}))
    return Profile(rows=0, columns=bins)


def _value(column: ProfiledColumn) -> Column:
    name = "`" + column.name.replace("`", "``") + "`"
    return F.col(name).cast("double" if column.kind == "numeric" else "string")


def _empty(columns: Sequence[ProfiledColumn], bins: Profile) -> Profile:
    empty: dict[str, ColumnProfile] = {}
    for column in columns:
        known = bins.columns[column.name]
        numeric = column.kind == "numeric"
        empty[column.name] = (
            count_numeric([], known.edges, grid_in(known)) if numeric else count_categories({}, known.categories)
        )
    return Profile(rows=0, columns=empty)


def _check_columns(there: Sequence[str], columns: Sequence[ProfiledColumn], reference: Profile | None) -> None:
    if not columns:
        raise GateError("no column to profile", where="columns", fix="declare features in use_case.py")
    missing = [c.name for c in columns if c.name not in there]
    if missing:
        raise GateError(
            f"the rows to profile lack {', '.join(missing)}",
            where=", ".join(there),
            how_many=len(missing),
            fix="rebuild the table with the features that the use case declares",
        )
    if reference is None:
        return
    unknown = [c.name for c in columns if c.name not in reference.columns or reference.columns[c.name].kind != c.kind]
    if unknown:
        raise GateError(
            f"the reference profile does not hold {', '.join(unknown)} as declared",
            where="profile.json",
            how_many=len(unknown),
            fix="train a model on the present features, or declare the features that this model was trained on",
        )
