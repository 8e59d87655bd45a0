"""Features of the nights to score, at the version that the run's first attempt has read."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import pyarrow as pa
from deltalake import DeltaTable

from nightjar.declaration.use_case import UseCase
from nightjar.lake import files
from nightjar.lake.active_files import active_files
from nightjar.lake.lake import Lake
from nightjar.lake.results import earlier_result
from nightjar.protocol.errors import GateError, LakeError, SourceError
from nightjar.protocol.job import JobSpec
from nightjar.protocol.nights import first_few
from nightjar.protocol.results import BuildFeaturesResult
from nightjar.scoring.pins import Pins

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Features:
    """The features of the nights.

    Attributes:
        table: The feature table at the version to read.
        version: The version written to the rows. It stays that of the first attempt while the nights have the same
            files, although later nights advance the table.
        files: The nights' files, as paths in the log.
    """

    table: DeltaTable
    version: int
    files: tuple[str, ...]

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema of the feature table."""
        return pa.schema(self.table.schema().to_arrow())


def open_features(spec: JobSpec, use_case: UseCase, pinned: Pins | None) -> Features:
    """Open the features that the run's first attempt has read, or the current ones.

    Args:
        spec: Names the nights.
        use_case: Names the table.
        pinned: Selection of the run's first attempt; None at the first attempt.

    Raises:
        SourceError: naming nights without features, or when the pinned features no longer exist.
    """
    lake = Lake(spec.lake)
    name, nights = use_case.feature_table.name, list(spec.nights(use_case.schedule.timezone))
    current = lake.open_table(name)
    active = active_files(current, {"ds": [night.isoformat() for night in nights]})
    paths = tuple(sorted(file.path for file in active))
    if pinned and paths == pinned.feature_files and not any(len(file.deleted) for file in active):
        return Features(table=current, version=pinned.features_version, files=paths)
    if pinned and _version_built_by_this_run(spec, name) <= pinned.features_version:
        log.info("%s has newer features of these nights; version %d is read", name, pinned.features_version)
        return _open_pinned(lake, name, pinned)
    present = {file.partition["ds"] for file in active}
    if empty := [night for night in nights if night.isoformat() not in present]:
        raise SourceError(
            f"there are no features of {first_few(empty)}",
            where=name,
            how_many=len(empty),
            fix="clear `ingest` of these nights, or check the landed files",
        )
    return Features(table=current, version=int(current.version()), files=paths)


def _open_pinned(lake: Lake, name: str, pinned: Pins) -> Features:
    """Open the features that the first attempt has read."""
    uri = lake.table_uri(name)
    lost = [path for path in pinned.feature_files if not files.exists(files.contained(uri, path))]
    try:
        if not lost:
            table = lake.open_table(name, pinned.features_version)
            return Features(table=table, version=pinned.features_version, files=pinned.feature_files)
    except LakeError as error:
        log.warning("%s", error)
    raise SourceError(
        f"the features that the run's first attempt has read (version {pinned.features_version}) no longer exist",
        where=name,
        how_many=len(lost),
        fix="clear `build_features` of this run to build them again, or rerun the nights with the param force",
    )


def _version_built_by_this_run(spec: JobSpec, name: str) -> int:
    """Return the feature table's version after this run's own `build_features`; -1 when it has not run."""
    try:
        return int(earlier_result(spec, BuildFeaturesResult).outputs[name])
    except GateError:
        return -1
