"""When a use case runs, and for which nights. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import NoReturn
from zoneinfo import ZoneInfo

from nightjar.declaration.cron import check_cron
from nightjar.declaration.declared import Count, Declaration, Text, refuse


@dataclass(frozen=True, kw_only=True)
class Schedule(Declaration):
    """When a use case runs, and for which nights.

    Attributes:
        timezone: IANA time zone of the nights.
        nightly: Cron expression of the nightly run, in ``timezone``; due at most once a day. A run does all nights
            since the run before, those of its data interval: one for ``0 2 * * *``, seven for ``0 2 * * 1`` (Mondays),
            a month's for ``0 2 1 * *``, and for ``0 2 * * 2-6`` (mornings after business days) one, on Tuesdays three.
        training: Cron expression of the training, in ``timezone``.
        first_night: Earliest night in the sources.
        last_night: Latest night in the sources; None for sources that continue.
        deadline_minutes: Minutes after its scheduled time until an unfinished night alerts.
    """

    timezone: Text
    nightly: Text
    training: Text
    first_night: date
    last_night: date | None = None
    deadline_minutes: Count = 60

    def check(self) -> None:
        """Check the time zone, the cron expressions and the order of the nights."""
        try:
            ZoneInfo(self.timezone)
        except (LookupError, ValueError, OSError):
            _refuse_zone(self.timezone)
        check_cron(self.nightly, where="Schedule.nightly", at_most_daily=True)
        check_cron(self.training, where="Schedule.training")
        if self.last_night is not None and self.last_night < self.first_night:
            refuse(
                f"last_night {self.last_night} is before first_night {self.first_night}",
                where="Schedule.last_night",
                fix="give a later night, or None for sources that continue",
            )


def _refuse_zone(zone: str) -> NoReturn:
    from zoneinfo import available_timezones  # reads the files of all zones, so only on an error

    zones = sorted(available_timezones())
    folded = {name.casefold(): name for name in zones}
    near = folded.get(zone.casefold())
    listed = ", ".join(name for name in zones if name.partition("/")[0] == (near or "Europe").partition("/")[0])
    meant = f"; did you mean {near!r}?" if near else ""
    refuse(
        f"unknown time zone {zone!r}", where="Schedule.timezone", fix=f"give an IANA zone, e.g. UTC, {listed}{meant}"
    )
