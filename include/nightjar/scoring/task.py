"""What scoring tasks are told, and what they report; small, as it travels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from nightjar.contracts.nights import Nights
from nightjar.lake.delta import DataFile


@dataclass(frozen=True, kw_only=True)
class Speaker:
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


@dataclass(frozen=True, kw_only=True)
class ScoringTask:
    """What every worker needs to know.

    Attributes:
        use_case: Name of the use case.
        lake: The lake's root.
        speaker: Whose predictions are the night's scores.
        shadow: Who predicts beside it, for nobody to act on; None for nobody.
        features_version: Delta version of the feature table that is read.
        run_id: Airflow run.
        first_night: First night of the run.
        last_night: Last night of the run.
    """

    use_case: str
    lake: str
    speaker: Speaker
    shadow: Speaker | None = None
    features_version: int
    run_id: str
    first_night: date
    last_night: date

    def nights(self, timezone: str) -> Nights:
        return Nights(first=self.first_night, last=self.last_night, timezone=timezone)


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What scoring some rows has left behind.

    Attributes:
        files: Unpublished files of the scores table.
        shadow_files: Those of the shadow's table.
        quarantined: Unpublished files of the quarantine table: rows that the model could not take.
        rows_in: Rows read.
        rows_rejected: Rows in ``quarantined``.
        shadow_error: Why the shadow has not scored these rows; empty when it has, or is none.
        peak_memory: Largest resident size of a worker so far, in bytes.
    """

    files: tuple[DataFile, ...]
    shadow_files: tuple[DataFile, ...] = ()
    quarantined: tuple[DataFile, ...] = ()
    rows_in: int = 0
    rows_rejected: int = 0
    shadow_error: str = ""
    peak_memory: int = 0

    @property
    def rows_out(self) -> int:
        """Rows scored."""
        return sum(file.rows for file in self.files)

    @classmethod
    def together(cls, parts: list[Scored]) -> Scored:
        """What all ``parts`` have left; a shadow that failed in one has no files at all."""
        errors = [part.shadow_error for part in parts if part.shadow_error]
        return cls(
            files=tuple(file for part in parts for file in part.files),
            shadow_files=() if errors else tuple(file for part in parts for file in part.shadow_files),
            quarantined=tuple(file for part in parts for file in part.quarantined),
            rows_in=sum(part.rows_in for part in parts),
            rows_rejected=sum(part.rows_rejected for part in parts),
            shadow_error=errors[0] if errors else "",
            peak_memory=max((part.peak_memory for part in parts), default=0),
        )


def data_files(listed: list[Mapping[str, Any]]) -> list[DataFile]:
    """Files as a result's JSON names them."""
    return [DataFile(**file) for file in listed]
