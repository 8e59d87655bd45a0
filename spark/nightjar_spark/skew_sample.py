"""Compare features as they were served, as training reads them, and rebuilt; and find why they differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property, reduce
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from nightjar.declaration.use_case import UseCase
from nightjar.lake import delta, files
from nightjar.lake.active_files import active_files, data_file_uri
from nightjar.lake.lake import Lake
from nightjar.lake.python_values import python_rows
from nightjar.lake.results import earlier_result
from nightjar.monitoring.skew.table import ColumnSkew, Difference, NightSkew, Verdict, find_differences
from nightjar.protocol.errors import GateError, LakeError
from nightjar.protocol.job import JobSpec
from nightjar.protocol.nights import Nights
from nightjar.protocol.results import BuildFeaturesResult
from nightjar_spark.feature_tables import build_features
from nightjar_spark.io import conform, read_table
from nightjar_spark.raw_tables import read_raw, with_history

SAMPLE_ROWS = 1000
"""Approximate number of compared rows per night; a rerun compares the same rows."""
SAME: tuple[Verdict, str] = ("same", "")
_BUCKETS = 2**20
_SIDE, _SERVED, _STORED, _REBUILT = "_side", "served", "stored", "rebuilt"

READS_LATER_ROWS = (
    "Built with later nights the value differs from a build of the night alone: the feature reads later rows."
)
TABLE_CHANGED = "The feature table has other values than were served and than a rebuild gives: rerun build_features."
CODE_CHANGED = "The same raw rows give other values now: the code of the features has changed or is not deterministic."
RAW_ROWS_LOST = "The raw rows that the night was built from are not available any more: they or the code have changed."
RawVersions = Mapping[str, int]
"""Version of each raw table."""
Rows = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class ServedNight:
    """A scored night, with the feature version and the run that its scores name."""

    night: date
    features_version: int
    run_id: str


def is_readable(lake: Lake, name: str, version: int, nights: Iterable[date]) -> bool:
    """Whether a version of a table and its files of these nights still exist."""
    try:
        paths = _paths(lake, name, version, nights)
    except LakeError:
        return False
    return all(files.exists(data_file_uri(lake.table_uri(name), path)) for path in paths)


def _paths(lake: Lake, name: str, version: int, nights: Iterable[date]) -> dict[str, int]:
    """Return the path of each file and the number of its deleted rows."""
    table = lake.open_table(name, version)
    return {
        file.path: len(file.deleted) for file in active_files(table, {"ds": [night.isoformat() for night in nights]})
    }


@dataclass(frozen=True)
class SkewSample:
    """Sample of served features, compared with the stored and the rebuilt features.

    Attributes:
        spark: Spark session.
        spec: Job of the night that checks.
        use_case: The use case.
        versions: Current version of the feature table and of each raw table.
        served_nights: Served nights to check; their files still exist.
    """

    spark: SparkSession
    spec: JobSpec
    use_case: UseCase
    versions: Mapping[str, int]
    served_nights: Sequence[ServedNight]

    @property
    def lake(self) -> Lake:
        """The lake of the job."""
        return Lake(self.spec.lake)

    @property
    def features(self) -> str:
        """Name of the feature table."""
        return self.use_case.feature_table.name

    @property
    def current_raw_versions(self) -> RawVersions:
        """Current version of each raw table."""
        return {source.table.name: self.versions[source.table.name] for source in self.use_case.data.sources}

    @cached_property
    def columns(self) -> list[str]:
        """Columns that every served version of the feature table has; columns added later were not served."""
        versions = {served.features_version for served in self.served_nights}
        names_by_version = [{f.name for f in self.lake.open_table(self.features, v).schema().fields} for v in versions]
        return [
            c.name for c in self.use_case.feature_table.columns if all(c.name in names for names in names_by_version)
        ]

    def compare(self) -> list[NightSkew]:
        """Compare each served night; one Spark job reads all sides of all nights."""
        if not self.served_nights:
            return []
        nights = [served.night for served in self.served_nights]
        span = Nights(first=min(nights), last=self.spec.last_night, timezone=self.use_case.schedule.timezone)
        sides = {
            **{
                f"{_SERVED} {night.night}": self._read_stored([night.night], night.features_version)
                for night in self.served_nights
            },
            _STORED: self._read_stored(nights, self.versions[self.features]),
            _REBUILT: self._build(span, self.current_raw_versions),
        }
        rows = self._sample(sides, self.served_nights)
        return [
            self._compare_night(
                night,
                served=rows.get((f"{_SERVED} {night.night}", night.night), []),
                stored=rows.get((_STORED, night.night), []),
                rebuilt=rows.get((_REBUILT, night.night), []),
            )
            for night in self.served_nights
        ]

    def _compare_night(self, night: ServedNight, *, served: Rows, stored: Rows, rebuilt: Rows) -> NightSkew:
        in_table, in_rebuild = self._differences(served, stored), self._differences(served, rebuilt)
        differ = any((*in_table.values(), *in_rebuild.values()))
        reasons = self._find_reasons(night, served, rebuilt) if differ else None
        columns = []
        for name, difference in in_rebuild.items():
            differs = bool(difference or in_table[name])
            verdict, cause = reasons.verdict_of(name, is_stored_only=not difference) if reasons and differs else SAME
            columns.append(
                ColumnSkew(
                    name=name,
                    differing=difference | in_table[name],
                    stored=in_table[name],
                    cause=cause,
                    verdict=verdict,
                )
            )
        return NightSkew(
            night=night.night, features_version=night.features_version, rows=len(served), columns=tuple(columns)
        )

    def _find_reasons(self, night: ServedNight, served: Rows, rebuilt: Rows) -> _Reasons:
        """Build the night alone, from the current and from the original raw rows."""
        single_night = Nights(first=night.night, last=night.night, timezone=self.use_case.schedule.timezone)
        original = self._original_raw_versions(night)
        sides = {"current": self._build(single_night, self.current_raw_versions)}
        if original:
            sides["original"] = self._build(single_night, original)
        rows = self._sample(sides, [night])
        return _Reasons(
            by_later_nights=self._differences(rebuilt, rows.get(("current", night.night), [])),
            by_code=self._differences(served, rows.get(("original", night.night), [])) if original else None,
            changed_tables=self._changed_raw_tables(night.night, original) if original else (),
        )

    def _original_raw_versions(self, night: ServedNight) -> RawVersions | None:
        """Return the raw tables that the served features were built from; None when unknown or not readable."""
        try:
            built = earlier_result(replace(self.spec, run_id=night.run_id), BuildFeaturesResult)
        except GateError:
            return None
        if built.outputs[self.features] > night.features_version:  # rebuilt since they were served
            return None
        original = {name: built.inputs[name] for name in self.current_raw_versions}
        nights = with_history(
            self.use_case, Nights(first=night.night, last=night.night, timezone=self.use_case.schedule.timezone)
        )
        readable = all(is_readable(self.lake, name, version, nights) for name, version in original.items())
        return original if readable else None

    def _changed_raw_tables(self, night: date, original: RawVersions) -> tuple[str, ...]:
        """Return the raw tables whose rows for the night's features have changed since ``original``."""
        nights = with_history(self.use_case, Nights(first=night, last=night, timezone=self.use_case.schedule.timezone))
        return tuple(
            name
            for name, version in original.items()
            if _paths(self.lake, name, version, nights) != _paths(self.lake, name, self.versions[name], nights)
        )

    def _read_stored(self, nights: Sequence[date], version: int) -> DataFrame:
        return read_table(self.spark, self.lake, self.features, nights=nights, version=version)

    def _build(self, nights: Nights, raw_versions: RawVersions) -> DataFrame:
        """Build the features of ``nights`` like ``build_features``, from these versions."""
        tables = read_raw(self.spark, self.lake, self.use_case, nights, raw_versions)
        return conform(build_features(self.use_case, tables, nights), self.use_case.feature_table)

    def _sample(self, sides: Mapping[str, DataFrame], served: Sequence[ServedNight]) -> dict[tuple[str, date], Rows]:
        """Return the sampled rows by side and night; one Spark job."""
        chosen = reduce(Column.__or__, map(self._is_sampled, served))
        frames = [frame.where(chosen).select(F.lit(side).alias(_SIDE), *self.columns) for side, frame in sides.items()]
        rows: dict[tuple[str, date], Rows] = {}
        for row in python_rows(reduce(DataFrame.unionByName, frames).toArrow()):
            rows.setdefault((row.pop(_SIDE), row["ds"]), []).append(row)
        return rows

    def _is_sampled(self, night: ServedNight) -> Column:
        """Select rows by a hash of the key, so that every side and every rerun has the same rows."""
        table = self.lake.open_table(self.features, night.features_version)
        rows = delta.rows_by_night(table, [night.night])[night.night]
        limit = -(-_BUCKETS * SAMPLE_ROWS // max(rows, 1))
        bucket = F.pmod(F.xxhash64("ds", *self.use_case.key), F.lit(_BUCKETS))
        return (F.col("ds") == F.lit(night.night)) & (bucket < limit)

    def _differences(self, left: Rows, right: Rows) -> dict[str, Difference]:
        key = self.use_case.key
        return find_differences(
            left, right, key=key, columns=[name for name in self.columns if name not in {"ds", *key}]
        )


@dataclass(frozen=True, kw_only=True)
class _Reasons:
    """Why a night differs from what was served.

    Attributes:
        by_later_nights: Differences between builds in a range and alone, from the same raw rows.
        by_code: Differences between a build from the original raw rows and what was served; None when those are gone.
        changed_tables: Raw tables whose rows have changed.
    """

    by_later_nights: Mapping[str, Difference]
    by_code: Mapping[str, Difference] | None
    changed_tables: tuple[str, ...]

    def verdict_of(self, column: str, *, is_stored_only: bool) -> tuple[Verdict, str]:
        """Return verdict and cause of a column that differs.

        Args:
            column: The column, or the rows themselves.
            is_stored_only: Whether the rebuilt value equals the served one and only the feature table differs.
        """
        if self.by_later_nights[column]:
            return "skew", READS_LATER_ROWS
        if is_stored_only:
            return "skew", TABLE_CHANGED
        if self.by_code is None:
            return "skew", RAW_ROWS_LOST
        if self.by_code[column] or not self.changed_tables:
            return "skew", CODE_CHANGED
        return "history_changed", f"Landed again since then: {', '.join(self.changed_tables)}."
