"""Scores that are written and not published yet: which model version scored which files."""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.protocol.data_file import DataFile


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
