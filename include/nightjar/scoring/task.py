"""Inputs and results of scoring tasks; small, because Spark serializes them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from nightjar.lake.lake import Lake
from nightjar.protocol.data_file import DataFile
from nightjar.protocol.nights import Nights
from nightjar.protocol.scores import Part, ScoringModel


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
