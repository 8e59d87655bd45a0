"""What scoring tasks are told, and what they report; small, as it travels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from nightjar.lake.delta import DataFile
from nightjar.protocol.documents import check_fields, reading
from nightjar.protocol.errors import LakeError
from nightjar.protocol.nights import Nights


@dataclass(frozen=True, kw_only=True)
class ScoringModel:
    """A model version that scores.

    Attributes:
        name: Registered name.
        version: Registered version.
        sha256: What the model folder's checksum must be.
        folder: The model folder in the lake.
        fallback_reason: Why it speaks in another one's place; None when it is the one meant to.
    """

    name: str
    version: str
    sha256: str
    folder: str
    fallback_reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> ScoringModel:
        """What :meth:`to_dict` gave; call it within :func:`nightjar.protocol.documents.reading`."""
        scoring_model = cls(**document)
        check_fields(scoring_model)
        return scoring_model


@dataclass(frozen=True, kw_only=True)
class ScoringTask:
    """What every worker needs to know.

    Attributes:
        use_case: Name of the use case.
        lake: The lake's root.
        scoring_models: Variant to scoring model: the champion, and the challengers of an experiment.
        shadow: Who predicts beside it, for nobody to act on; None for nobody.
        features_version: Delta version of the feature table that is read.
        run_id: Airflow run.
        first_night: First night of the run.
        last_night: Last night of the run.
    """

    use_case: str
    lake: str
    scoring_models: Mapping[str, ScoringModel]
    shadow: ScoringModel | None = None
    features_version: int
    run_id: str
    first_night: date
    last_night: date

    def nights(self, timezone: str) -> Nights:
        return Nights(first=self.first_night, last=self.last_night, timezone=timezone)


@dataclass(frozen=True, kw_only=True)
class Part:
    """One variant's rows of the nights; without an experiment, all of them.

    Attributes:
        scoring_model: Who scored them.
        files: Unpublished files of the scores table.
        rows_in: Rows that it was given.
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
        """Rows that it could not take."""
        return self.rows_in - self.rows_out

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Part:
        part = cls(
            scoring_model=ScoringModel.from_dict(document["scoring_model"]),
            files=tuple(DataFile.from_dict(file) for file in document["files"]),
            rows_in=document["rows_in"],
        )
        check_fields(part)
        return part


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What scoring some rows has left behind.

    Attributes:
        parts: Variant to its rows.
        shadow_files: Those of the shadow's table.
        quarantined: Unpublished files of the quarantine table: rows that the model could not take.
        shadow_error: Why the shadow has not scored these rows; empty when it has, or is none.
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
        """What all ``units`` have left; a shadow that failed in one has no files at all."""
        errors = [unit.shadow_error for unit in units if unit.shadow_error]
        of_variant: defaultdict[str, list[Part]] = defaultdict(list)
        for unit in units:
            for variant, part in unit.parts.items():
                of_variant[variant].append(part)
        return cls(
            parts={
                variant: Part(
                    scoring_model=parts[0].scoring_model,
                    files=tuple(file for part in parts for file in part.files),
                    rows_in=sum(part.rows_in for part in parts),
                )
                for variant, parts in of_variant.items()
            },
            shadow_files=() if errors else tuple(file for unit in units for file in unit.shadow_files),
            quarantined=tuple(file for unit in units for file in unit.quarantined),
            shadow_error=errors[0] if errors else "",
            peak_memory=max((unit.peak_memory for unit in units), default=0),
        )


def parts_of(values: Mapping[str, Any]) -> dict[str, Part]:
    """Variant to its rows, as the values of a result of `score` or `validate_scores` name them.

    Raises:
        LakeError: when they name something else.
    """
    with _reading_result():
        return {variant: Part.from_dict(part) for variant, part in values["parts"].items()}


def data_files(listed: list[Mapping[str, Any]]) -> list[DataFile]:
    """Files as a result's JSON names them.

    Raises:
        LakeError: when it names something else.
    """
    with _reading_result():
        return [DataFile.from_dict(file) for file in listed]


def _reading_result() -> AbstractContextManager[None]:
    fix = "see who changed result.json of `score` or `validate_scores`; clear `score` of this run"
    return reading("the scores of this run", where="values of the result", fix=fix, error=LakeError)
