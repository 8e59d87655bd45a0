"""Nights: a range of local calendar days, and the prediction moment of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from nightjar.protocol.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class Nights:
    """The nights ``first`` to ``last``, inclusive. Night D follows the local day D."""

    first: date
    last: date
    timezone: str

    def __post_init__(self) -> None:
        if self.first > self.last:
            raise ConfigurationError(
                f"the interval ends ({self.last}) before it begins ({self.first})",
                where="interval_start, interval_end",
                fix="give interval_start <= interval_end",
            )

    def __iter__(self) -> Iterator[date]:
        return (self.first + timedelta(days=i) for i in range(len(self)))

    def __len__(self) -> int:
        return (self.last - self.first).days + 1

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}..{self.last}"

    def prediction_moment(self, night: date) -> datetime:
        """Return the local midnight that ends ``night``, in UTC; a day lasts 23, 24 or 25 hours."""
        midnight = datetime.combine(night + timedelta(days=1), time.min, tzinfo=ZoneInfo(self.timezone))
        return midnight.astimezone(UTC)

    def check_past(self, now: datetime) -> None:
        """Check that the day of every night has ended.

        Args:
            now: The present moment, with a time zone.

        Raises:
            ConfigurationError: when the last prediction moment lies after ``now``.
        """
        future = sum(self.prediction_moment(night) > now for night in self)
        if future:
            raise ConfigurationError(
                f"the interval {self} reaches into the future (now: {now.astimezone(UTC):%Y-%m-%d %H:%M} UTC)",
                where="interval_end",
                how_many=future,
                fix=f"choose nights whose day has ended in {self.timezone}",
            )


def first_few(nights: Sequence[date]) -> str:
    """Return the first three of ``nights`` for a message, with dots for the rest."""
    return f"{', '.join(map(str, nights[:3]))}{', ...' if len(nights) > 3 else ''}"
