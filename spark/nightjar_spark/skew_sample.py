"""Features of nights as they were served, as training reads them, and built anew; and why they differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property, reduce
from importlib import import_module
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from nightjar.declaration.use_case import UseCase
from nightjar.lake import delta, files
from nightjar.lake.held_files import data_file_uri, held_files
from nightjar.lake.python_values import python_rows
from nightjar.lake.results import earlier_result
from nightjar.monitoring.skew.table import ColumnSkew, Difference, NightSkew, Verdict, differences
from nightjar.protocol.errors import GateError, LakeError
from nightjar.protocol.job import JobSpec
from nightjar.protocol.nights import Nights
from nightjar_spark.io import conform, read_table
from nightjar_spark.raw_tables import read_raw, with_history

SAMPLE_ROWS = 1000
"""About so many rows of a night are compared; the same ones at every rerun."""
SAME: tuple[Verdict, str] = ("same", "")
_BUCKETS = 2**20
_SIDE, _SERVED, _STORED, _REBUILT = "_side", "served", "stored", "rebuilt"

FUTURE = "Built together with later nights it comes out otherwise than alone: it looks past its night."
STORED = "The feature table holds other values than were served and than are built now: build the night again."
CODE = "The same raw rows give other values now: the code of the features has changed, or does not give the same twice."
UNKNOWN = "From which raw rows the night was built is not known any more: either they or the code have changed."
Raw = Mapping[str, int]
"""Raw table to its version."""
Rows = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class ServedNight:
    """What the scores of a night say of themselves."""

    night: date
    features_version: int
    run_id: str


def is_held(lake: str, name: str, version: int, nights: Iterable[date]) -> bool:
    """Whether a version of a table is known still, and none of its files of these nights is gone."""
    try:
        paths = _paths(lake, name, version, nights)
    except LakeError:
        return False
    return all(files.exists(data_file_uri(delta.table_uri(lake, name), path)) for path in paths)


def _paths(lake: str, name: str, version: int, nights: Iterable[date]) -> dict[str, int]:
    """Path of each file to the number of its deleted rows."""
    table = delta.open_table(lake, name, version)
    return {file.path: len(file.deleted) for file in held_files(table, {"ds": [night.isoformat() for night in nights]})}


@dataclass(frozen=True)
class SkewSample:
    """The comparison of one run.

    Attributes:
        spark: Does the work.
        spec: Names the night that looks.
        use_case: Whose features.
        versions: The feature table and the raw tables as they are now.
        served: The nights that are looked at; their files are held still.
    """

    spark: SparkSession
    spec: JobSpec
    use_case: UseCase
    versions: Mapping[str, int]
    served: Sequence[ServedNight]

    @property
    def features(self) -> str:
        return self.use_case.feature_table.name

    @property
    def raw_now(self) -> Raw:
        return {source.table.name: self.versions[source.table.name] for source in self.use_case.sources}

    @cached_property
    def columns(self) -> list[str]:
        """What every served version of the feature table has; a column that came later was never served."""
        versions = {one.features_version for one in self.served}
        held = [{f.name for f in delta.open_table(self.spec.lake, self.features, v).schema().fields} for v in versions]
        return [c.name for c in self.use_case.feature_table.columns if all(c.name in names for names in held)]

    def compare(self) -> list[NightSkew]:
        """One answer for each served night; one Spark job reads all sides of all of them."""
        if not self.served:
            return []
        nights = [one.night for one in self.served]
        whole = Nights(first=min(nights), last=self.spec.last_night, timezone=self.use_case.timezone)
        sides = {
            **{f"{_SERVED} {one.night}": self._stored([one.night], one.features_version) for one in self.served},
            _STORED: self._stored(nights, self.versions[self.features]),
            _REBUILT: self._built(whole, self.raw_now),
        }
        found = self._sample(sides, self.served)
        return [
            self._night(
                one,
                served=found.get((f"{_SERVED} {one.night}", one.night), []),
                stored=found.get((_STORED, one.night), []),
                rebuilt=found.get((_REBUILT, one.night), []),
            )
            for one in self.served
        ]

    def _night(self, one: ServedNight, *, served: Rows, stored: Rows, rebuilt: Rows) -> NightSkew:
        in_table, anew = self._differences(served, stored), self._differences(served, rebuilt)
        reasons = self._reasons(one, served, rebuilt) if any((*in_table.values(), *anew.values())) else None
        columns = []
        for name, difference in anew.items():
            differs = bool(difference or in_table[name])
            verdict, cause = reasons.of(name, is_stored_only=not difference) if reasons and differs else SAME
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
            night=one.night, features_version=one.features_version, rows=len(served), columns=tuple(columns)
        )

    def _reasons(self, one: ServedNight, served: Rows, rebuilt: Rows) -> _Reasons:
        """Build the night alone, from the raw rows of now and of then."""
        alone = Nights(first=one.night, last=one.night, timezone=self.use_case.timezone)
        then = self._raw_then(one)
        sides = {"now": self._built(alone, self.raw_now)} | ({"then": self._built(alone, then)} if then else {})
        found = self._sample(sides, [one])
        return _Reasons(
            by_future=self._differences(rebuilt, found.get(("now", one.night), [])),
            by_code=self._differences(served, found.get(("then", one.night), [])) if then else None,
            landed=self._landed_again(one.night, then) if then else (),
        )

    def _raw_then(self, one: ServedNight) -> Raw | None:
        """The raw tables that the served features were built from; None when that cannot be told or read any more."""
        try:
            built = earlier_result(replace(self.spec, run_id=one.run_id), "build_features")
        except GateError:
            return None
        if built.outputs[self.features] > one.features_version:  # built again since they were served
            return None
        then = {name: built.inputs[name] for name in self.raw_now}
        looked_at = with_history(
            self.use_case, Nights(first=one.night, last=one.night, timezone=self.use_case.timezone)
        )
        return (
            then if all(is_held(self.spec.lake, name, version, looked_at) for name, version in then.items()) else None
        )

    def _landed_again(self, night: date, then: Raw) -> tuple[str, ...]:
        """Raw tables whose rows that the night's features look at are others than ``then``."""
        nights = with_history(self.use_case, Nights(first=night, last=night, timezone=self.use_case.timezone))
        return tuple(
            name
            for name, version in then.items()
            if _paths(self.spec.lake, name, version, nights)
            != _paths(self.spec.lake, name, self.versions[name], nights)
        )

    def _stored(self, nights: Sequence[date], version: int) -> DataFrame:
        return read_table(self.spark, self.spec.lake, self.features, nights=nights, version=version)

    def _built(self, nights: Nights, raw: Raw) -> DataFrame:
        """The features of ``nights``, as ``build_features`` makes them of these versions."""
        module: Any = import_module(f"use_cases.{self.use_case.name}.features")
        tables = read_raw(self.spark, self.spec.lake, self.use_case, nights, raw)
        return conform(module.build_features(tables, nights), self.use_case.feature_table)

    def _sample(self, sides: Mapping[str, DataFrame], served: Sequence[ServedNight]) -> dict[tuple[str, date], Rows]:
        """Side and night to the sampled rows; one job."""
        chosen = reduce(Column.__or__, map(self._is_sampled, served))
        frames = [frame.where(chosen).select(F.lit(side).alias(_SIDE), *self.columns) for side, frame in sides.items()]
        found: dict[tuple[str, date], Rows] = {}
        for row in python_rows(reduce(DataFrame.unionByName, frames).toArrow()):
            found.setdefault((row.pop(_SIDE), row["ds"]), []).append(row)
        return found

    def _is_sampled(self, one: ServedNight) -> Column:
        """By a hash of the key, so that every side has the same rows, and a rerun too."""
        table = delta.open_table(self.spec.lake, self.features, one.features_version)
        rows = delta.rows_by_night(table, [one.night])[one.night]
        limit = -(-_BUCKETS * SAMPLE_ROWS // max(rows, 1))
        bucket = F.pmod(F.xxhash64("ds", *self.use_case.key), F.lit(_BUCKETS))
        return (F.col("ds") == F.lit(one.night)) & (bucket < limit)

    def _differences(self, left: Rows, right: Rows) -> dict[str, Difference]:
        key = self.use_case.key
        return differences(left, right, key=key, columns=[name for name in self.columns if name not in {"ds", *key}])


@dataclass(frozen=True, kw_only=True)
class _Reasons:
    """Why a night comes out otherwise than it was served.

    Attributes:
        by_future: Built in a range against built alone, of the same raw rows.
        by_code: Built alone of the raw rows of then against what was served; None when they are not known any more.
        landed: Raw tables that have other rows than then.
    """

    by_future: Mapping[str, Difference]
    by_code: Mapping[str, Difference] | None
    landed: tuple[str, ...]

    def of(self, column: str, *, is_stored_only: bool) -> tuple[Verdict, str]:
        """Verdict and cause of a column that differs.

        Args:
            column: The column, or the rows themselves.
            is_stored_only: Built anew, it is what was served; the feature table holds something else.
        """
        if self.by_future[column]:
            return "skew", FUTURE
        if is_stored_only:
            return "skew", STORED
        if self.by_code is None:
            return "skew", UNKNOWN
        if self.by_code[column] or not self.landed:
            return "skew", CODE
        return "history_changed", f"Landed again since then: {', '.join(self.landed)}."
