"""Profile a DataFrame: fixed-size histograms of many columns in one pass, memory flat with rows.

Each task counts its Arrow batches with numpy and hands small JSON to the driver, which merges them: one job, no
shuffle. Without a reference, one aggregation more fixes the bins of all columns at once. A table's nights are read by
the tasks themselves (:func:`profile_table`): no row crosses the JVM.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import functions as F

from nightjar.contracts.errors import GateError
from nightjar.lake import delta
from nightjar.lake.delta import table_uri
from nightjar.lake.scan import Reader, Unit, scan
from nightjar.monitoring.profile import ColumnProfile, Profile, ProfiledColumn, merge, merge_all
from nightjar.monitoring.sketch import grid_of
from nightjar.monitoring.summarize import (
    MAX_CATEGORIES,
    count_categories,
    count_numeric,
    grid_in,
    numeric_edges,
    top_categories,
)

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

_Group = TypeVar("_Group", str, date)

_QUANTILES = 200
"""Steps of the quantile grid from which numeric bins are fixed."""

_QUANTILE_ACCURACY = 2_000
"""``percentile_approx``: greatest rank error is rows / this."""

_TRACKED_CATEGORIES = 10_000
"""``approx_top_k``: exact up to about this many distinct categories, approximate beyond."""

_ALL = ""

BATCH_ROWS = 65_536
"""Rows in memory at a time: a column of them fits a core's cache."""

UNIT_BYTES = 16 << 20
"""Compressed bytes of a unit: small enough that a night of some 100,000 rows keeps several cores busy."""

TASKS_PER_CORE = 4
"""So that cores which are done early find more to do; which task counts a unit changes nothing."""


def profile_frame(df: DataFrame, columns: Sequence[ProfiledColumn], reference: Profile | None = None) -> Profile:
    """Profile the rows of ``df``.

    Args:
        df: Rows to profile.
        columns: What to profile, and how.
        reference: Profile whose bins to count in. Without one ``df`` becomes a reference: its bins are fixed in one
            pass more, and if it holds nights (a column ``ds``) they are counted apart, to say how much nights vary.

    Raises:
        GateError: when ``df`` or the reference lacks a column, or the reference holds it as another kind.
    """
    _check_columns(df.columns, columns, reference)
    if reference is not None:
        return _count(df, columns, reference, by=None).get(_ALL) or _empty(columns, reference)
    from nightjar.monitoring.variation import with_variation

    bins = _fix_bins(df, columns)
    nights = _count(df, columns, bins, by="ds" if "ds" in df.columns else None)
    return with_variation(merge_all(list(nights.values())), list(nights.values())) if nights else _empty(columns, bins)


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
        GateError: as for :func:`profile_frame`.
    """
    _check_columns(df.columns, columns, reference)
    counted = _count(df, columns, reference, by=by)
    return {date.fromisoformat(night): profile for night, profile in sorted(counted.items())}


def profile_table(
    spark: SparkSession,
    lake: str,
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
        lake: The lake's root.
        name: The table; numeric columns hold numbers, categorical ones strings.
        columns: What to profile, and how.
        reference: Profile whose bins to count in.
        nights: Which.
        version: Of the table; None is the latest.

    Returns:
        A profile for every night that has rows.

    Raises:
        GateError: as for :func:`profile_frame`.
        LakeError: when there is no such table or version, or one of its files is gone.
    """
    table, wanted = delta.open_table(lake, name, version), {"ds": [night.isoformat() for night in nights]}
    planned = scan(table, table_uri(lake, name), wanted, unit_bytes=UNIT_BYTES)
    _check_columns(planned.reader.schema.names, columns, reference)
    if not planned.rows:
        return {}
    context = spark.sparkContext
    slices = min(len(planned.units), TASKS_PER_CORE * context.defaultParallelism)
    count = _unit_counter(planned.reader, list(columns), reference)
    merged: dict[date, Profile] = {}
    for night, text in context.parallelize(planned.units, slices).map(count).collect():
        _add(merged, night, Profile.from_json(text))
    return {night: profile for night, profile in merged.items() if profile.rows}


def _unit_counter(reader: Reader, columns: list[ProfiledColumn], bins: Profile) -> Callable[[Unit], tuple[date, str]]:
    """The function that a Spark task runs over each unit: its night and its profile."""
    names = [column.name for column in columns]
    types = [pa.float64() if column.kind == "numeric" else pa.string() for column in columns]

    def count(unit: Unit) -> tuple[date, str]:
        night: date = unit.partition["ds"]
        merged = {night: _empty(columns, bins)}
        for batch in reader.read(unit, names, batch_rows=BATCH_ROWS):
            values = [array.cast(kind, safe=False) for array, kind in zip(batch.columns, types, strict=True)]
            _add(merged, night, _profile_batch(values, columns, bins))
        return night, merged[night].to_json()

    return count


def _add(merged: dict[_Group, Profile], group: _Group, profile: Profile) -> None:
    merged[group] = merge(merged[group], profile) if group in merged else profile


def _count(df: DataFrame, columns: Sequence[ProfiledColumn], bins: Profile, by: str | None) -> dict[str, Profile]:
    group = F.lit(_ALL) if by is None else F.col(by).cast("string")
    selected = df.select(group.alias("_group"), *(_value(c).alias(f"c{i}") for i, c in enumerate(columns)))
    parts = selected.mapInArrow(_counter(list(columns), bins), "group string, profile string").collect()
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


def _fix_bins(df: DataFrame, columns: Sequence[ProfiledColumn]) -> Profile:
    """An empty profile whose bins fit ``df``: approximate quantiles and top categories, one aggregation for all."""
    grid = F.lit([i / _QUANTILES for i in range(_QUANTILES + 1)])
    aggregates = []
    for i, column in enumerate(columns):
        value = F.col(f"c{i}")
        if column.kind == "numeric":
            # Spark sorts NaN above all numbers; a missing value must not be a quantile.
            finite = F.when(~F.isnan(value) & (F.abs(value) < float("inf")), value)
            aggregates.append(F.percentile_approx(finite, grid, _QUANTILE_ACCURACY).alias(f"c{i}"))
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
