"""Inputs and results of scoring tasks; small, because Spark serializes them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from nightjar.lake.data_file import DataFile
from nightjar.lake.lake import Lake
from nightjar.protocol.documents import check_fields, reading
from nightjar.protocol.errors import LakeError
from nightjar.protocol.nights import Nights


@dataclass(frozen=True, kw_only=True)
class ScoringModel:
    """A model version that scores.

    Attributes:
        name: Registered name.
        version: Registered version.
        sha256: Expected checksum of the model folder.
        folder: The model folder in the lake.
        fallback_reason: Why it scores as the fallback of another version; None when it is not a fallback.
    """

    name: str
    version: str
    sha256: str
    folder: str
    fallback_reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the scoring model as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> ScoringModel:
        """Parse :meth:`to_dict`; call it within :func:`nightjar.protocol.documents.reading`."""
        scoring_model = cls(**document)
        check_fields(scoring_model)
        return scoring_model


@dataclass(frozen=True, kw_only=True)
class ScoringTask:
    """Inputs of every scoring task.

    Attributes:
        use_case: Name of the use case.
        lake: The lake.
        scoring_models: Variant to scoring model: the champion, and the challengers of an experiment.
        shadow: Model whose predictions are recorded but not used; None without a shadow.
        features_version: Delta version of the feature table that is read.
        run_id: Airflow run.
        first_night: First night of the run.
        last_night: Last night of the run.
    """

    use_case: str
    lake: Lake
    scoring_models: Mapping[str, ScoringModel]
    shadow: ScoringModel | None = None
    features_version: int
    run_id: str
    first_night: date
    last_night: date

    def nights(self, timezone: str) -> Nights:
        """Return the nights of the run, in the use case's ``timezone``."""
        return Nights(first=self.first_night, last=self.last_night, timezone=timezone)


@dataclass(frozen=True, kw_only=True)
class Part:
    """Scores of one variant; of all rows without an experiment.

    Attributes:
        scoring_model: The model version that scored them.
        files: Unpublished files of the scores table.
        rows_in: Rows that it received.
    """

    scoring_model: ScoringModel
    files: tuple[DataFile, ...] = ()
    rows_in: int = 0

    @property
    def rows_out(self) -> int:
        """Rows scored."""
        return sum(file.rows for file in self.files)

    @property
    def rows_rejected(self) -> int:
        """Rows without a finite prediction."""
        return self.rows_in - self.rows_out

    def to_dict(self) -> dict[str, Any]:
        """Return the part as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Part:
        """Parse :meth:`to_dict`; call it within :func:`nightjar.protocol.documents.reading`."""
        part = cls(
            scoring_model=ScoringModel.from_dict(document["scoring_model"]),
            files=tuple(DataFile.from_dict(file) for file in document["files"]),
            rows_in=document["rows_in"],
        )
        check_fields(part)
        return part


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Result of scoring one or several units.

    Attributes:
        parts: Variant to its rows.
        shadow_files: Unpublished files of the shadow table.
        quarantined: Unpublished files of the quarantine table: rows without a finite prediction.
        shadow_error: Why the shadow has not scored these rows; empty when it has, or without a shadow.
        peak_memory: Largest resident size of a worker so far, in bytes.
    """

    parts: Mapping[str, Part]
    shadow_files: tuple[DataFile, ...] = ()
    quarantined: tuple[DataFile, ...] = ()
    shadow_error: str = ""
    peak_memory: int = 0

    @property
    def rows_in(self) -> int:
        """Rows read."""
        return sum(part.rows_in for part in self.parts.values())

    @property
    def rows_out(self) -> int:
        """Rows scored."""
        return sum(part.rows_out for part in self.parts.values())

    @property
    def rows_rejected(self) -> int:
        """Rows in ``quarantined``."""
        return sum(file.rows for file in self.quarantined)

    @classmethod
    def merge(cls, units: Sequence[Scored]) -> Scored:
        """Merge the results of ``units``; a shadow that failed in one unit has no files at all."""
        errors = [unit.shadow_error for unit in units if unit.shadow_error]
        parts_by_variant: defaultdict[str, list[Part]] = defaultdict(list)
        for unit in units:
            for variant, part in unit.parts.items():
                parts_by_variant[variant].append(part)
        return cls(
            parts={
                variant: Part(
                    scoring_model=parts[0].scoring_model,
                    files=tuple(file for part in parts for file in part.files),
                    rows_in=sum(part.rows_in for part in parts),
                )
                for variant, parts in parts_by_variant.items()
            },
            shadow_files=() if errors else tuple(file for unit in units for file in unit.shadow_files),
            quarantined=tuple(file for unit in units for file in unit.quarantined),
            shadow_error=errors[0] if errors else "",
            peak_memory=max((unit.peak_memory for unit in units), default=0),
        )


def parts_of(values: Mapping[str, Any]) -> dict[str, Part]:
    """Return each variant's part from the values of a result of `score` or `validate_scores`.

    Raises:
        LakeError: when the values have another form.
    """
    with _reading_result():
        return {variant: Part.from_dict(part) for variant, part in values["parts"].items()}


def data_files(listed: list[Mapping[str, Any]]) -> list[DataFile]:
    """Return the data files in a result's JSON.

    Raises:
        LakeError: when the JSON has another form.
    """
    with _reading_result():
        return [DataFile.from_dict(file) for file in listed]


def _reading_result() -> AbstractContextManager[None]:
    fix = "find out who changed result.json of `score` or `validate_scores`; clear `score` of this run"
    return reading("the scores of this run", where="values of the result", fix=fix, error=LakeError)
