"""What the commands ask Airflow for: history, training, nights; the same work has the same run id."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from nightjar.contracts.errors import ConfigurationError
from nightjar.contracts.nights import Nights
from nightjar.contracts.use_case import UseCase
from nightjar.local.follow import Request

USE_CASE = "flight_delay"
HISTORY = (date(2013, 1, 1), date(2013, 3, 31))
FIRST_NIGHTS = (date(2013, 4, 1), date(2013, 4, 2), date(2013, 4, 3))
RUN_HOUR = time(2)
MAINTENANCE = "lake_maintenance"


def dag_ids(use_case: UseCase) -> tuple[str, str, str]:
    """The use case's DAGs: history, training, nightly."""
    return f"{use_case.name}_history", f"{use_case.name}_training", f"{use_case.name}_nightly"


def history(use_case: UseCase, first: date, last: date) -> Request:
    """The first load of the nights ``first`` to ``last``."""
    return Request(
        title=f"history {first} to {last}",
        dag_id=dag_ids(use_case)[0],
        run_id=f"history__{first}__{last}",
        conf={"interval_start": str(first), "interval_end": str(last)},
    )


def training(use_case: UseCase, first: date, last: date, *, attempt: str = "") -> Request:
    """A training on the nights ``first`` to ``last``.

    Args:
        use_case: The use case.
        first: First night.
        last: Last night, included.
        attempt: Makes it another run, which trains again.
    """
    return Request(
        title=f"training on {first} to {last}",
        dag_id=dag_ids(use_case)[1],
        run_id=f"training__{first}__{last}" + (f"__{attempt}" if attempt else ""),
        conf={"interval_start": str(first), "interval_end": str(last), "force": bool(attempt)},
    )


def night(use_case: UseCase, day: date) -> Request:
    """The night that follows the local day ``day``."""
    return Request(
        title=f"night {day}",
        dag_id=dag_ids(use_case)[2],
        run_id=f"night__{day}",
        interval=(run_moment(use_case, day), run_moment(use_case, day + timedelta(days=1))),
    )


def maintenance(at: datetime) -> Request:
    """One more maintenance of the lake, asked for at ``at``."""
    return Request(title="maintenance", dag_id=MAINTENANCE, run_id=f"maintenance__{at:%Y%m%d-%H%M%S}")


def run_moment(use_case: UseCase, day: date) -> datetime:
    """02:00 of the local day, in UTC: the schedule's tick, and the logical date of the night ``day``."""
    return datetime.combine(day, RUN_HOUR, tzinfo=ZoneInfo(use_case.timezone)).astimezone(UTC)


def parse_nights(use_case: UseCase, first: str, last: str) -> tuple[date, date]:
    """Check dates given on the command line against what the sources hold.

    Raises:
        ConfigurationError: naming what is wrong with them.
    """
    try:
        begin, end = date.fromisoformat(first), date.fromisoformat(last)
    except ValueError as error:
        raise ConfigurationError(
            f"{first!r} to {last!r} are no dates", where="DATE, FROM, TO", fix="write each as YYYY-MM-DD"
        ) from error
    Nights(first=begin, last=end, timezone=use_case.timezone).check_past(datetime.now(UTC))
    known_until = use_case.last_night or end
    if begin < use_case.first_night or end > known_until:
        raise ConfigurationError(
            f"the sources of {use_case.name} hold the nights {use_case.first_night} to {known_until}",
            where="DATE, FROM, TO",
            fix="choose nights among these",
        )
    return begin, end
