"""Row counts of one source on one night."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, kw_only=True)
class NightCount:
    """Row counts of one source on one night.

    Attributes:
        night: The night.
        rows: Rows read.
        rejected: Rows that break at least one rule above severity ``warn``.
        broken: Rule name to the number of rows that break it; rules without broken rows are left out.
    """

    night: date
    rows: int
    rejected: int
    broken: Mapping[str, int]

    @property
    def accepted(self) -> int:
        """Rows that are not rejected."""
        return self.rows - self.rejected
